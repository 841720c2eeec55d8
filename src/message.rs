//! The texts of messages: templates in five languages, checked at load, and the values copied into them.

mod built_in;
mod explain;
mod folder;
mod form;
mod language;
mod lint;
mod load;
mod mistake;
mod page;
mod part;
mod sentences;
mod sms;
mod template;
mod vocabulary;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

pub use self::{
    explain::{Explanation, MessageState, MessageStep, Progress, Remedy},
    language::canonical_tag,
    load::{BRAND_CHARS_MAX, TenantWording, TextByLanguage, Wording},
    mistake::TemplateMistake,
    page::{Page, PageSentence, Reader, Summary},
    sms::{EmbeddedMark, SmsRules},
    vocabulary::{LABEL_CHARS_MAX, TITLE_CHARS_MAX},
};
use self::{
    form::Form,
    language::{Language, Languages},
    sms::in_alphabet,
    template::{Markup, Template, Values},
    vocabulary::Vocabulary,
};
use crate::{
    domain::{
        code::guess::Digits,
        ids::{ActionName, Locale, TenantId},
        recipient::Channel,
        verification::binding::Binding,
    },
    ports::sender::{Content, Speech},
};

/// The facts that a message may contain. `Debug` shows neither the code nor the binding.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The tenant of the customer.
    pub tenant: &'a TenantId,
    /// The channel that carries the message.
    pub channel: Channel,
    /// The customer's language. `None`, or a language without texts: the default language is used.
    pub locale: Option<&'a Locale>,
    /// The action that the code is for.
    pub action: &'a ActionName,
    /// The code that the message carries.
    pub code: &'a Digits,
    /// The details that are approved.
    pub binding: &'a Binding,
    /// Minutes until the code expires; 0 counts as 1.
    pub minutes: u64,
    /// The URL of the page with the button that approves; only for e-mails.
    pub link: Option<Link<'a>>,
}

/// The URL of a link. It contains a secret, so it is never printed.
#[derive(Clone, Copy)]
pub struct Link<'a>(pub &'a str);

impl std::fmt::Debug for Link<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link(hidden)")
    }
}

/// Identifies a template: for every tenant and action, or for one of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    tenant: Option<TenantId>,
    language: Language,
    action: Option<ActionName>,
    form: Form,
}

/// The brand, the language and the SMS rules of the messages of a tenant.
#[derive(Clone, Debug)]
struct Branding {
    brand: String,
    /// The language for customers whose own language is unknown or has no texts.
    language: Language,
    sms: SmsRules,
}

/// The templates of all messages, with the settings that they need.
#[derive(Debug)]
pub struct Messages {
    /// The voice of tenants without one of their own.
    branding: Branding,
    tenant_brandings: HashMap<TenantId, Branding>,
    by_keypad: BTreeSet<ActionName>,
    /// All languages with texts; each is complete.
    languages: Languages,
    /// All templates. The general one exists for every language and form.
    templates: HashMap<Key, Template>,
    /// What customers read in words that fit everything, because the settings have no words for it.
    gaps: Vec<TemplateMistake>,
}

impl Messages {
    /// Loads the built-in texts and those of a folder: `nl/email.txt` replaces one text, `nl/payment.email.txt`
    /// replaces it for the action `payment`, both may be in `tenants/bank/` for the tenant `bank` only, and a
    /// folder such as `pt-BR` adds a language. Blocks on the file system.
    ///
    /// # Errors
    /// All mistakes of all files, and all SMS texts that do not fit at their longest.
    pub fn load(wording: &Wording<'_>) -> Result<Self, Vec<TemplateMistake>> {
        load::load(wording)
    }

    /// Renders a message from its templates.
    #[must_use]
    pub fn render(&self, facts: &Facts<'_>) -> Content {
        let render = |form: Form| self.render_form(form, form.markup(), facts);
        let language = self.language(facts.tenant, facts.locale);
        let only_text = |text| Content {
            subject: String::new(),
            text,
            html: None,
            speech: None,
            opened: None,
            language: language.tag().clone(),
        };
        match facts.channel {
            Channel::Email => Content {
                subject: render(Form::EmailSubject),
                html: Some(render(Form::EmailHtml)),
                ..only_text(render(Form::EmailText))
            },
            Channel::Sms => only_text(render(Form::Sms) + &self.ending(facts)),
            Channel::Voice => {
                let sentences = self.render_form(Form::Voice, Markup::Ssml, facts);
                let voice = self.vocabulary(language).word("voice");
                let speech = Speech {
                    greeting: render(Form::VoiceGreeting),
                    ssml: ssml(voice, &sentences),
                    voice: voice.into(),
                };
                Content {
                    speech: Some(speech),
                    ..only_text(render(Form::Voice))
                }
            }
            Channel::Whatsapp => only_text(render(Form::Whatsapp)),
            Channel::Push => Content {
                subject: render(Form::PushTitle),
                opened: Some(render(Form::Push)),
                ..only_text(render(Form::PushAlert))
            },
        }
    }

    /// Explains the state of a verification, in sentences for the customer of this tenant.
    #[must_use]
    pub fn explain(
        &self,
        tenant: &TenantId,
        locale: Option<&Locale>,
        explanation: Explanation<'_>,
    ) -> String {
        let language = self.language(tenant, locale);
        explain::explain(self.vocabulary(language), explanation)
    }

    /// The text of a call whose code is no longer valid, and the language tag of the voice. Without a
    /// tenant, the call itself is unknown.
    #[must_use]
    pub fn no_code(&self, tenant: Option<&TenantId>, locale: Option<&Locale>) -> (&str, Arc<str>) {
        let language = locale.and_then(|locale| self.languages.best(locale));
        let language = language.unwrap_or_else(|| self.default_language(tenant));
        let vocabulary = self.vocabulary(language);
        (
            vocabulary.word("code_gone"),
            vocabulary.word("voice").into(),
        )
    }

    /// What customers read in words that fit everything ("your request"), because the settings have no words
    /// for it: each with the setting that would give them.
    #[must_use]
    pub fn gaps(&self) -> &[TemplateMistake] {
        &self.gaps
    }

    /// The language of a customer: that of the locale, or the default of the tenant.
    fn language(&self, tenant: &TenantId, locale: Option<&Locale>) -> &Language {
        locale
            .and_then(|locale| self.languages.best(locale))
            .unwrap_or_else(|| self.default_language(Some(tenant)))
    }

    fn default_language(&self, tenant: Option<&TenantId>) -> &Language {
        &tenant
            .map_or(&self.branding, |tenant| self.branding(tenant))
            .language
    }

    fn vocabulary(&self, language: &Language) -> &Vocabulary {
        &self.languages.0[language]
    }

    fn render_form(&self, form: Form, markup: Markup, facts: &Facts<'_>) -> String {
        let language = self.language(facts.tenant, facts.locale);
        let vocabulary = self.vocabulary(language);
        let branding = self.branding(facts.tenant);
        let digits = facts.code.expose();
        // Customers copy what they read into a field that may hold six characters, so nothing stands between
        // the digits.
        let code = match form {
            Form::Voice => spoken(digits),
            _ => digits.to_owned(),
        };
        let is_sms = form == Form::Sms;
        let own_words = |words: String| {
            if is_sms {
                in_alphabet(&words, &branding.sms).into_owned()
            } else {
                words
            }
        };
        let never_share = if is_sms {
            "never_share_sms"
        } else {
            "never_share"
        };
        let detail = |(label, value)| vocabulary.detail(&own_words(label), value);
        let values = Values {
            code,
            code_plain: digits,
            brand: &branding.brand,
            action: own_words(vocabulary.title_of(facts.action).to_owned()),
            minutes: own_words(vocabulary.minutes(facts.minutes.max(1))),
            details: vocabulary
                .details(facts.binding)
                .into_iter()
                .map(detail)
                .collect(),
            never_share: vocabulary.word(never_share),
            link: facts.link.map(|Link(address)| address),
        };
        self.template(facts, language, form).render(&values, markup)
    }

    /// The last lines of an SMS, for browsers and apps; empty if the code is entered
    /// only on a keypad.
    fn ending(&self, facts: &Facts<'_>) -> String {
        if self.by_keypad.contains(facts.action) {
            return String::new();
        }
        self.branding(facts.tenant).sms.ending(facts.code.expose())
    }

    fn branding(&self, tenant: &TenantId) -> &Branding {
        self.tenant_brandings.get(tenant).unwrap_or(&self.branding)
    }

    /// The most specific template. The tenant takes precedence over the action, because it knows
    /// its customers and its own terms.
    fn template(&self, facts: &Facts<'_>, language: &Language, form: Form) -> &Template {
        let (tenant, action) = (Some(facts.tenant), Some(facts.action));
        let chain = [
            (tenant, action),
            (tenant, None),
            (None, action),
            (None, None),
        ];
        let find = |(tenant, action): (Option<&TenantId>, Option<&ActionName>)| {
            self.templates.get(&Key {
                tenant: tenant.cloned(),
                language: language.clone(),
                action: action.cloned(),
                form,
            })
        };
        chain
            .into_iter()
            .find_map(find)
            .expect("a language is complete before it is used")
    }
}

/// A document of SSML 1.1.
fn ssml(tag: &str, sentences: &str) -> String {
    let name = "http://www.w3.org/2001/10/synthesis";
    format!("<speak version=\"1.1\" xmlns=\"{name}\" xml:lang=\"{tag}\">\n{sentences}\n</speak>")
}

/// The code for speech, digit by digit with a pause between the groups: `1 2 3, 4 5 6`.
fn spoken(digits: &str) -> String {
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        match index {
            0 => {}
            _ if index == digits.len() / 2 => out.push_str(", "),
            _ => out.push(' '),
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests;

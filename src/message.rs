//! The texts of messages: templates in five languages, checked at load, and the values copied into them.

mod built_in;
mod explain;
mod form;
mod language;
mod lint;
mod load;
mod mistake;
mod sentences;
mod sms;
mod template;

use std::collections::{BTreeSet, HashMap};

pub use self::{
    explain::{Explanation, MessageState, MessageStep, Progress, Remedy},
    load::{BRAND_CHARS_MAX, TenantWording, Wording},
    mistake::TemplateMistake,
    sms::SmsRules,
};
use self::{
    form::Form,
    language::Language,
    template::{Markup, Template, Values},
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

/// The brand and the SMS rules of the messages of a tenant.
#[derive(Clone, Debug)]
struct Branding {
    brand: String,
    sms: SmsRules,
}

/// The templates of all messages, with the settings that they need.
#[derive(Debug)]
pub struct Messages {
    default_language: Language,
    /// The voice of tenants without one of their own.
    branding: Branding,
    tenant_brandings: HashMap<TenantId, Branding>,
    by_keypad: BTreeSet<ActionName>,
    /// All templates. The general one exists for every language and form.
    templates: HashMap<Key, Template>,
}

impl Messages {
    /// Loads the built-in templates and those of a folder that replace them: `nl/email.txt` replaces one text,
    /// `nl/payment.email.txt` replaces it for the action `payment`, and both may be in `tenants/bank/` for the tenant
    /// `bank` only. Blocks on the file system.
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
        let language = self.language(facts.locale);
        let only_text = |text| Content {
            subject: String::new(),
            text,
            html: None,
            speech: None,
            opened: None,
            language: language.tag(),
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
                let speech = Speech {
                    greeting: render(Form::VoiceGreeting),
                    ssml: ssml(language, &sentences),
                    voice: language.voice_tag(),
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

    /// Explains the state of a verification, in sentences for the customer.
    #[must_use]
    pub fn explain(&self, locale: Option<&Locale>, explanation: Explanation<'_>) -> String {
        explain::explain(self.language(locale), explanation)
    }

    /// The text of a call whose code is no longer valid, and the language tag of the voice.
    #[must_use]
    pub fn no_code(&self, locale: Option<&Locale>) -> (&'static str, &'static str) {
        let language = self.language(locale);
        (language.code_gone(), language.voice_tag())
    }

    fn language(&self, locale: Option<&Locale>) -> Language {
        locale
            .and_then(|locale| locale.lookup().find_map(|tag| Language::from_tag(&tag)))
            .unwrap_or(self.default_language)
    }

    fn render_form(&self, form: Form, markup: Markup, facts: &Facts<'_>) -> String {
        let language = self.language(facts.locale);
        let code = match form {
            Form::Voice => spoken(facts.code.expose()),
            Form::EmailSubject
            | Form::EmailText
            | Form::EmailHtml
            | Form::Sms
            | Form::VoiceGreeting
            | Form::Whatsapp
            | Form::PushTitle
            | Form::PushAlert
            | Form::Push => grouped(facts.code.expose()),
        };
        let never_share = if form == Form::Sms {
            language.never_share_in_sms()
        } else {
            language.never_share()
        };
        let values = Values {
            code,
            code_plain: facts.code.expose(),
            brand: &self.branding(facts.tenant).brand,
            action: facts.action.as_str().replace('_', " "),
            minutes: language.minutes(facts.minutes.max(1)),
            details: facts
                .binding
                .iter()
                .map(|(name, value)| format!("{}: {value}", name.replace('_', " ")))
                .collect(),
            never_share,
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
    fn template(&self, facts: &Facts<'_>, language: Language, form: Form) -> &Template {
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
                language,
                action: action.cloned(),
                form,
            })
        };
        chain
            .into_iter()
            .find_map(find)
            .expect("the built-in templates hold every language and form")
    }
}

/// A document of SSML 1.1.
fn ssml(language: Language, sentences: &str) -> String {
    let (name, tag) = ("http://www.w3.org/2001/10/synthesis", language.voice_tag());
    format!("<speak version=\"1.1\" xmlns=\"{name}\" xml:lang=\"{tag}\">\n{sentences}\n</speak>")
}

/// The code in two groups: `123 456`, `123 4567`, `1234 5678`.
fn grouped(digits: &str) -> String {
    let (head, tail) = digits.split_at(digits.len() / 2);
    format!("{head} {tail}")
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

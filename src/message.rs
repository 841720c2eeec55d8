//! What a message says: templates in three languages, checked at load, and the values copied into them.

mod explain;
mod form;
mod language;
mod load;
mod template;

use std::{collections::HashMap, path::Path};

pub use self::{explain::Explanation, load::TemplateMistake};
use self::{
    form::Form,
    language::Language,
    template::{Template, Values},
};
use crate::{
    domain::{
        binding::Binding,
        guess::Digits,
        ids::{ActionName, Locale},
        recipient::Channel,
    },
    ports::sender::Content,
};

/// All that a message may tell. `Debug` shows neither the code nor the binding.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The road it takes.
    pub channel: Channel,
    /// The customer's language; absent, or without texts of its own: the default language.
    pub locale: Option<&'a Locale>,
    /// What the code is for.
    pub action: &'a ActionName,
    /// The code.
    pub code: &'a Digits,
    /// What exactly is approved.
    pub binding: &'a Binding,
    /// How many minutes the code is still good; 0 counts as 1.
    pub minutes: u64,
}

/// Which template: the general one of a language, or the one for an action.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    language: Language,
    action: Option<ActionName>,
    form: Form,
}

/// The texts of all messages.
#[derive(Debug)]
pub struct Messages {
    brand: String,
    default_language: Language,
    /// Holds the general template of every language and form.
    templates: HashMap<Key, Template>,
}

impl Messages {
    /// Reads the built-in templates and, over them, those of `dir`: `nl/email.txt` replaces one text,
    /// `nl/payment.email.txt` replaces it for the action `payment`. Blocks on the file system.
    ///
    /// # Errors
    /// All mistakes of all files.
    pub fn load(dir: Option<&Path>, default_language: &str, brand: &str) -> Result<Self, Vec<TemplateMistake>> {
        load::load(dir, default_language, brand)
    }

    /// Writes a message.
    #[must_use]
    pub fn render(&self, facts: &Facts<'_>) -> Content {
        let render = |form| self.render_form(form, facts);
        let language = self.language(facts.locale).tag();
        let only_text = |text| Content { subject: String::new(), text, html: None, language };
        match facts.channel {
            Channel::Email => Content {
                subject: render(Form::EmailSubject),
                text: render(Form::EmailText),
                html: Some(render(Form::EmailHtml)),
                language,
            },
            Channel::Sms => only_text(render(Form::Sms)),
            Channel::Voice => only_text(render(Form::Voice)),
            Channel::Whatsapp => only_text(render(Form::Whatsapp)),
        }
    }

    /// Tells the customer how a verification stands.
    #[must_use]
    pub fn explain(&self, locale: Option<&Locale>, explanation: Explanation<'_>) -> String {
        explain::explain(self.language(locale), explanation)
    }

    fn language(&self, locale: Option<&Locale>) -> Language {
        locale.and_then(|locale| Language::from_tag(&locale.language())).unwrap_or(self.default_language)
    }

    fn render_form(&self, form: Form, facts: &Facts<'_>) -> String {
        let language = self.language(facts.locale);
        let code = match form {
            Form::Voice => spoken(facts.code.expose()),
            Form::EmailSubject | Form::EmailText | Form::EmailHtml | Form::Sms | Form::Whatsapp => grouped(facts.code.expose()),
        };
        let values = Values {
            code,
            code_plain: facts.code.expose(),
            brand: &self.brand,
            action: facts.action.as_str().replace('_', " "),
            minutes: language.minutes(facts.minutes.max(1)),
            details: facts.binding.iter().map(|(name, value)| format!("{name}: {value}")).collect(),
            never_share: language.never_share(),
        };
        self.template(language, facts.action, form).render(&values, form.markup())
    }

    fn template(&self, language: Language, action: &ActionName, form: Form) -> &Template {
        let general = Key { language, action: None, form };
        let own = Key { action: Some(action.clone()), ..general.clone() };
        let template = self.templates.get(&own).or_else(|| self.templates.get(&general));
        template.expect("the built-in templates hold every language and form")
    }
}

/// `123 456`, `123 4567`, `1234 5678`.
fn grouped(digits: &str) -> String {
    let (head, tail) = digits.split_at(digits.len() / 2);
    format!("{head} {tail}")
}

/// `1 2 3, 4 5 6`: a voice reads each digit, and rests between the groups.
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

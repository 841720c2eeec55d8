//! Loads the built-in texts and the operator's own, and reports every mistake in every file and setting.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use super::{
    Branding, Key, Messages,
    folder::Loader,
    language::{Language, Languages},
    lint,
    mistake::TemplateMistake,
    part::Part,
    sms::SmsRules,
    template::Template,
    vocabulary::{label_problem, title_problem},
};
use crate::domain::ids::{ActionName, TenantId, visible_problem};

/// Longest brand, in characters: it is part of every SMS, which must fit into one segment.
pub const BRAND_CHARS_MAX: usize = 40;

/// A text in several languages: by the tag of each.
pub type TextByLanguage = BTreeMap<String, String>;

/// What is different in the messages of a tenant.
#[derive(Clone, Copy, Debug, Default)]
pub struct TenantWording<'a> {
    /// The name by which its customers know it; `None`: the common one.
    pub brand: Option<&'a str>,
    /// The tag of the language for its customers whose own language has no texts; `None`: the common one.
    pub default_language: Option<&'a str>,
    /// The host of its page on which customers enter the code of an SMS; `None`: the common one.
    pub web_host: Option<&'a str>,
}

/// The settings and files that messages are made from.
#[derive(Clone, Debug, Default)]
pub struct Wording<'a> {
    /// A folder of files that replace built-in texts and add languages; `None`: only the built-in ones.
    pub templates_dir: Option<&'a Path>,
    /// The tag of the language for customers whose own language has no texts.
    pub default_language: &'a str,
    /// The name by which customers know the sender of the messages.
    pub brand: &'a str,
    /// The rules for SMS.
    pub sms: SmsRules,
    /// All actions, because their titles count for the length of an SMS.
    pub actions: Vec<ActionName>,
    /// What customers read for each action.
    pub titles: BTreeMap<ActionName, TextByLanguage>,
    /// What customers read for each bound name.
    pub labels: BTreeMap<String, TextByLanguage>,
    /// The names that actions bind, which need labels.
    pub bound: BTreeSet<String>,
    /// The actions whose code is entered only on a telephone's keypad, so that no browser or app
    /// should fill it in.
    pub by_keypad: BTreeSet<ActionName>,
    /// All tenants, each with what is different in its messages.
    pub tenants: BTreeMap<TenantId, TenantWording<'a>>,
}

pub(super) fn load(wording: &Wording<'_>) -> Result<Messages, Vec<TemplateMistake>> {
    let mut loader = Loader::of_built_in();
    if let Some(dir) = wording.templates_dir {
        loader.read(dir, &wording.tenants.keys().collect());
    }
    take_settings(&mut loader, wording);
    let default_language = language(
        &mut loader,
        "messages.default_language",
        wording.default_language,
    );
    let mut tenant_languages = BTreeMap::new();
    for (tenant, own) in &wording.tenants {
        if let Some(tag) = own.default_language {
            let setting = format!("tenants.{}.default_language", tenant.as_str());
            tenant_languages.insert(tenant.clone(), language(&mut loader, &setting, tag));
        }
    }
    let brands_fit = judge_brands(&mut loader, wording);
    let Loader {
        templates,
        languages: mut all,
        mut mistakes,
        without_sms,
        ..
    } = loader;
    // The length of an SMS is judged next; where its texts are mistaken, that waits until they are right.
    all.0.retain(|language, _| !without_sms.contains(language));
    let Some(language) = default_language.or_else(|| all.0.keys().next().cloned()) else {
        return Err(mistakes);
    };
    let branding = Branding {
        brand: wording.brand.to_owned(),
        language,
        sms: wording.sms.clone(),
    };
    let own = |(tenant, own): (&TenantId, &TenantWording<'_>)| {
        let language = tenant_languages.get(tenant).cloned().flatten();
        (tenant.clone(), branding.of(*own, language))
    };
    let messages = Messages {
        tenant_brandings: wording.tenants.iter().map(own).collect(),
        branding,
        by_keypad: wording.by_keypad.clone(),
        gaps: [gaps(&all, wording), idle(&templates, wording)].concat(),
        languages: all,
        templates,
    };
    if brands_fit {
        mistakes.extend(lint::sms(&messages, &wording.actions));
    }
    if mistakes.is_empty() {
        Ok(messages)
    } else {
        Err(mistakes)
    }
}

/// Whether all brands can be read and are short enough; a mistake is recorded for each that is not.
fn judge_brands(loader: &mut Loader, wording: &Wording<'_>) -> bool {
    let own = |(tenant, own): (&TenantId, &TenantWording<'_>)| {
        let setting = format!("tenants.{}.brand", tenant.as_str());
        own.brand.map(|brand| (setting, brand.to_owned()))
    };
    let common = ("messages.brand".to_owned(), wording.brand.to_owned());
    let all = std::iter::once(common).chain(wording.tenants.iter().filter_map(own));
    let mut fit = true;
    for (setting, brand) in all {
        if let Some(problem) = visible_problem(brand.trim(), BRAND_CHARS_MAX) {
            loader.mistake(&setting, problem);
            fit = false;
        }
    }
    fit
}

/// The language of a setting; if it has no texts, a mistake is recorded.
fn language(loader: &mut Loader, setting: &str, tag: &str) -> Option<Language> {
    let known = Language::parse(tag).filter(|tag| loader.languages.0.contains_key(tag));
    if known.is_none() {
        let names = loader.languages.names();
        loader.mistake(setting, format!("is not one of {names}"));
    }
    known
}

/// Adds the titles and labels of the settings to the vocabularies of their languages.
fn take_settings(loader: &mut Loader, wording: &Wording<'_>) {
    for (action, texts) in &wording.titles {
        let setting = format!("actions.{}.title", action.as_str());
        take_texts(loader, (Part::Titles, action.as_str()), &setting, texts);
    }
    for (name, texts) in &wording.labels {
        let setting = format!("labels.{name}");
        take_texts(loader, (Part::Labels, name), &setting, texts);
    }
}

fn take_texts(
    loader: &mut Loader,
    (part, name): (Part, &str),
    setting: &str,
    texts: &TextByLanguage,
) {
    for (tag, text) in texts {
        let problem = match part {
            Part::Titles => title_problem(text),
            _ => label_problem(text),
        };
        let language = language(loader, &format!("{setting}.{tag}"), tag);
        if let Some(problem) = problem {
            loader.mistake(&format!("{setting}.{tag}"), problem);
        } else if let Some(vocabulary) = language.and_then(|tag| loader.languages.0.get_mut(&tag)) {
            vocabulary.set(part, name, text);
        }
    }
}

/// Texts for actions that the settings do not have, which are never used.
fn idle(templates: &HashMap<Key, Template>, wording: &Wording<'_>) -> Vec<TemplateMistake> {
    let mut idle: Vec<String> = templates
        .keys()
        .filter_map(|key| {
            let action = key.action.as_ref()?;
            let is_known = wording.actions.contains(action);
            let (tag, form) = (key.language.tag(), key.form.file_name());
            (!is_known).then(|| format!("{tag}/{}.{form}", action.as_str()))
        })
        .collect();
    idle.sort();
    idle.dedup();
    let told = idle.into_iter().map(|file| TemplateMistake {
        path: "messages.templates_dir".to_owned(),
        line: None,
        problem: format!("has {file}, but [actions] has no such action, so it is not used"),
    });
    told.collect()
}

/// The actions and bound names that have no words in some language, each with its setting.
fn gaps(languages: &Languages, wording: &Wording<'_>) -> Vec<TemplateMistake> {
    let mut gaps = Vec::new();
    let mut add = |setting: String, instead: &str, missing: Vec<&str>| {
        let Some(first) = missing.first() else {
            return;
        };
        let sample = languages
            .0
            .iter()
            .find(|(language, _)| **language.tag() == **first);
        let shown = sample.map_or("", |(_, vocabulary)| vocabulary.word(instead));
        gaps.push(TemplateMistake {
            path: setting,
            line: None,
            problem: format!(
                "has no text in {}, so customers read only {shown:?} there; set one for each language",
                missing.join(", ")
            ),
        });
    };
    for action in &wording.actions {
        let without = languages
            .0
            .iter()
            .filter(|(_, words)| words.title(action).is_none());
        let missing = without.map(|(language, _)| &**language.tag()).collect();
        add(
            format!("actions.{}.title", action.as_str()),
            "request",
            missing,
        );
    }
    for name in &wording.bound {
        let without = languages
            .0
            .iter()
            .filter(|(_, words)| words.label(name).is_none());
        let missing = without.map(|(language, _)| &**language.tag()).collect();
        add(format!("labels.{name}"), "detail", missing);
    }
    gaps
}

impl Branding {
    /// The brand, language and SMS rules of a tenant. The embedded host belongs to the common page, so a
    /// tenant with a page of its own has none.
    fn of(&self, own: TenantWording<'_>, language: Option<Language>) -> Self {
        let mut branding = self.clone();
        if let Some(brand) = own.brand {
            brand.clone_into(&mut branding.brand);
        }
        if let Some(language) = language {
            branding.language = language;
        }
        if let Some(host) = own.web_host {
            branding.sms = SmsRules {
                web_host: Some(host.to_owned()),
                web_embedded_host: None,
                ..branding.sms
            };
        }
        branding
    }
}

#[cfg(test)]
mod tests;

//! Judges each SMS at its longest: the brand and the actions of the settings, eight digits, ten minutes.
//!
//! What is bound is left out: its length is known only at the start of a verification, and it is never cut, because
//! the customer must see what is approved. Such a message may take another segment.

use super::{Facts, Key, Messages, form::Form, language::Language, mistake::TemplateMistake};
use crate::domain::{
    binding::Binding,
    guess::Digits,
    ids::{ActionName, Locale},
    recipient::Channel,
};

/// The longest life of a code.
const MINUTES: u64 = 10;
/// The longest code.
const CODE: &[u8] = b"88888888";

/// What is wrong with which SMS.
pub(super) fn sms(messages: &Messages, actions: &[ActionName]) -> Vec<TemplateMistake> {
    let mut mistakes: Vec<_> = messages
        .sms
        .mistakes()
        .into_iter()
        .map(|(key, problem)| mistake(format!("messages.{key}"), problem.to_owned()))
        .collect();
    for language in Language::ALL {
        for action in longest(messages, language, actions) {
            let flaw = messages.sms.flaw(&at_its_longest(messages, language, &action));
            let path = format!("{}/sms.txt, for {}", language.tag(), action.as_str());
            mistakes.extend(flaw.map(|flaw| mistake(path, flaw)));
        }
    }
    mistakes
}

/// The actions with a text of their own, and of the others the one with the longest name.
fn longest(messages: &Messages, language: Language, actions: &[ActionName]) -> Vec<ActionName> {
    let own =
        |action: &ActionName| messages.templates.contains_key(&Key { language, action: Some(action.clone()), form: Form::Sms });
    let mut judged: Vec<_> = messages
        .templates
        .keys()
        .filter(|key| key.language == language && key.form == Form::Sms)
        .filter_map(|key| key.action.clone())
        .collect();
    judged.sort();
    judged.extend(actions.iter().filter(|action| !own(action)).max_by_key(|action| action.as_str().len()).cloned());
    judged
}

fn at_its_longest(messages: &Messages, language: Language, action: &ActionName) -> String {
    let (locale, binding) = (Locale::parse(language.tag()).ok(), Binding::default());
    let code = Digits::from_ascii(CODE).expect("it is eight digits");
    let facts = Facts {
        channel: Channel::Sms,
        locale: locale.as_ref(),
        action,
        code: &code,
        binding: &binding,
        minutes: MINUTES,
        link: None,
    };
    messages.render(&facts).text
}

fn mistake(path: String, problem: String) -> TemplateMistake {
    TemplateMistake { path, line: None, problem }
}

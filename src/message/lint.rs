//! Checks that each SMS fits even at its longest: with the brand and the titles of the actions, eight
//! digits and ten minutes.
//!
//! The details of the binding are left out of the check: their length is known only at the start of
//! a verification, and they are never shortened, because the customer must see what is approved.
//! They may cost a further segment.

use super::{Facts, Key, Messages, form::Form, language::Language, mistake::TemplateMistake};
use crate::domain::{
    code::guess::Digits,
    ids::{ActionName, Locale, TenantId},
    recipient::Channel,
    verification::binding::Binding,
};

/// The longest life of a code, in minutes; a longer number would need more characters.
const MINUTES: u64 = 10;
/// A code of the greatest length.
const CODE: &[u8] = b"88888888";

/// The mistakes of the SMS texts of all languages, actions and tenants.
pub(super) fn sms(messages: &Messages, actions: &[ActionName]) -> Vec<TemplateMistake> {
    // A mistake that concerns all tenants is reported once.
    let mut mistakes = judge(messages, None, actions);
    let mut tenants: Vec<_> = messages.tenant_brandings.keys().collect();
    tenants.sort();
    for tenant in tenants {
        for found in judge(messages, Some(tenant), actions) {
            if !mistakes.contains(&found) {
                let tenant = tenant.as_str();
                let path = match found.path.strip_prefix("messages.") {
                    Some(key) => format!("tenants.{tenant}.{key}"),
                    None => format!("tenant {tenant}: {}", found.path),
                };
                mistakes.push(TemplateMistake { path, ..found });
            }
        }
    }
    mistakes
}

/// The mistakes of the texts of one tenant, or of a tenant without texts of its own.
fn judge(
    messages: &Messages,
    tenant: Option<&TenantId>,
    actions: &[ActionName],
) -> Vec<TemplateMistake> {
    let rules = &tenant
        .map_or(&messages.branding, |tenant| messages.branding(tenant))
        .sms;
    let flaws = rules.mistakes().into_iter();
    let mut mistakes: Vec<_> = flaws
        .map(|(key, problem)| mistake(format!("messages.{key}"), problem.to_owned()))
        .collect();
    for language in messages.languages.0.keys() {
        for action in longest(messages, tenant, language, actions) {
            let flaw = rules.flaw(&at_its_longest(messages, tenant, language, &action));
            let path = format!("{}/sms.txt, for {}", language.tag(), action.as_str());
            mistakes.extend(flaw.map(|flaw| mistake(path, flaw)));
        }
    }
    mistakes
}

/// The actions to check: those with a text of their own, and of the others the one
/// with the longest title.
fn longest(
    messages: &Messages,
    tenant: Option<&TenantId>,
    language: &Language,
    actions: &[ActionName],
) -> Vec<ActionName> {
    let concerns = |key: &&Key| {
        key.language == *language
            && key.form == Form::Sms
            && (key.tenant.is_none() || key.tenant.as_ref() == tenant)
    };
    let mut judged: Vec<_> = messages
        .templates
        .keys()
        .filter(concerns)
        .filter_map(|key| key.action.clone())
        .collect();
    judged.sort();
    judged.dedup();
    let others = actions.iter().filter(|action| !judged.contains(action));
    let vocabulary = messages.vocabulary(language);
    let length = |action: &&ActionName| vocabulary.title_of(action).chars().count();
    let longest = others.max_by_key(length).cloned();
    judged.extend(longest);
    judged
}

fn at_its_longest(
    messages: &Messages,
    tenant: Option<&TenantId>,
    language: &Language,
    action: &ActionName,
) -> String {
    let (locale, binding) = (Locale::parse(language.tag()).ok(), Binding::default());
    let code = Digits::from_ascii(CODE).expect("it is eight digits");
    // Stands for every tenant without texts of its own. A tenant with this very name is checked twice.
    let nobody = TenantId::parse("-").expect("it fits the grammar");
    messages
        .render(&Facts {
            tenant: tenant.unwrap_or(&nobody),
            channel: Channel::Sms,
            locale: locale.as_ref(),
            action,
            code: &code,
            binding: &binding,
            minutes: MINUTES,
            link: None,
        })
        .text
}

fn mistake(path: String, problem: String) -> TemplateMistake {
    TemplateMistake {
        path,
        line: None,
        problem,
    }
}

//! Checks what the settings only refer to: files, templates and senders. Opens no connection.

use std::sync::Arc;

use super::{
    Machine,
    certificates::sections,
    compose::messages,
    senders::{hook, sender_parts},
};
use crate::{
    config::{Mistake, Mistakes, Profile, Settings, StoreEngine},
    keys,
    listener::tls::Encryption,
    ports::sender::receipts,
    sender::settings::SettingError,
};

/// Everything that would prevent a start, each with its key. Skips sections with known mistakes,
/// because they are incomplete.
#[must_use]
pub fn problems(settings: &Settings, known: &Mistakes) -> Vec<Mistake> {
    let mut problems = Vec::new();
    // Missing keys that will be generated at the start are no problem.
    if !settings.keys.make_missing
        && !known.concern("keys")
        && let Err(errors) = keys::load(settings)
    {
        let mistakes = errors.0.into_iter().map(|(key, error)| Mistake {
            key,
            what: error.to_string(),
        });
        problems.extend(mistakes);
    }
    let is_complete = |table: &str| !known.concern(table);
    for (section, listener) in sections(settings) {
        let identity = listener.tls.as_ref().filter(|_| is_complete(section));
        if let Some(error) = identity.and_then(|identity| Encryption::new(identity).err()) {
            problems.push(mistake(section, error.setting(), &error));
        }
    }
    if let StoreEngine::Redis(redis) = &settings.store.engine
        && is_complete("store")
        && let Err(error) = redis.certificates.check()
    {
        problems.push(mistake("store", error.key, &error.what));
    }
    if is_complete("messages") && is_complete("tenants") && is_complete("actions") {
        let templates = messages(settings).err().unwrap_or_default();
        problems.extend(templates.iter().map(|flaw| mistake("messages", "", flaw)));
    }
    let machine = Machine::default();
    for (name, sender) in &settings.senders {
        let section = format!("senders.{name}");
        if is_complete(&section) {
            let outbox = (settings.profile == Profile::Development).then(Arc::default);
            let parts = sender_parts(&machine, outbox, receipts::queue().0);
            let error = sender.settings.build(&parts).err();
            problems.extend(error.map(|error| of_setting(&section, &error)));
        }
    }
    if let Some(rule) = settings.hook.as_ref().filter(|_| is_complete("hook")) {
        let error = hook(rule, &machine).err();
        problems.extend(error.map(|error| of_setting("hook", &error)));
    }
    problems
}

fn of_setting(section: &str, error: &SettingError) -> Mistake {
    mistake(section, &error.key, &error.problem)
}

/// A mistake in a key of a section; an empty key means the section as a whole.
fn mistake(section: &str, key: &str, what: &impl ToString) -> Mistake {
    let key = if key.is_empty() {
        section.to_owned()
    } else {
        format!("{section}.{key}")
    };
    Mistake {
        key,
        what: what.to_string(),
    }
}

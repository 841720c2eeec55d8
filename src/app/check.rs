//! Checks what the settings only refer to: files, templates and senders. Opens no connection.

use std::sync::Arc;

use super::{
    Machine,
    compose::messages,
    senders::{hook, sender_parts},
    serve::server_tls,
};
use crate::{
    config::{Mistake, Mistakes, Profile, Settings, StoreEngine},
    keys,
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
    let identity = settings.grpc.tls.as_ref().filter(|_| is_complete("grpc"));
    if let Some(error) = identity.and_then(|identity| server_tls(identity).err()) {
        problems.push(mistake("grpc", error.setting(), &error));
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

/// What is permitted but looks wrong: questionable settings, and what customers would read without words of their
/// own. The settings must have no mistakes.
#[must_use]
pub fn warnings(settings: &Settings) -> Vec<Mistake> {
    let mut warnings = settings.warnings();
    if let Ok(messages) = messages(settings) {
        warnings.extend(messages.gaps().iter().map(|gap| Mistake {
            key: gap.path.clone(),
            what: gap.problem.clone(),
        }));
    }
    warnings
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

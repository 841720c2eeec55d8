//! Looks at the files that the settings name, so that all that would stop a start is told at once.

use std::{path::Path, sync::Arc};

use super::{
    Machine,
    compose::messages,
    senders::{Means, make},
    stores::redis_settings,
};
use crate::{
    config::Settings,
    keys,
    ports::{receipt, store_url::StoreUrl},
};

/// Everything that is wrong with the files that the settings name, each with its key.
#[must_use]
pub fn problems(settings: &Settings) -> Vec<String> {
    let mut problems = Vec::new();
    // Keys that are made when missing are no problem.
    if !settings.keys.make_missing
        && let Err(error) = keys::load(settings)
    {
        problems.push(format!("keys: {error}"));
    }
    if let Err(error) = messages(settings) {
        problems.push(format!("messages: {error:#}"));
    }
    let (outbox, (receipts, _)) = (Arc::default(), receipt::queue());
    let Machine { clock, entropy, .. } = Machine::default();
    let means = Means { profile: settings.profile, clock: &clock, entropy: &entropy, receipts: &receipts, outbox: Some(&outbox) };
    for (name, sender) in &settings.senders {
        let made = make(sender, &means);
        problems.extend(made.err().map(|error| format!("senders.{name}: {error:#}")));
    }
    if let StoreUrl::Redis(url) = &settings.store.url {
        problems.extend(redis_settings(settings, url).err().map(|error| format!("store: {error:#}")));
    }
    if let Some(tls) = &settings.grpc.tls {
        let unreadable = |path: &Path| std::fs::read(path).err().map(|error| format!("{}: {error}", path.display()));
        problems.extend(unreadable(&tls.cert_file).map(|problem| format!("grpc.tls_cert_file: {problem}")));
        problems.extend(unreadable(&tls.key_file).map(|problem| format!("grpc.tls_key_file: {problem}")));
    }
    problems
}

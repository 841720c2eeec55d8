//! Looks at the files that the settings name, so that all that would stop a start is told at once.

use std::{path::Path, sync::Arc};

use super::{
    Machine,
    callbacks::receiver,
    compose::messages,
    senders::{Means, make},
    serve::server_tls,
    stores::redis_settings,
};
use crate::{
    config::Settings,
    keys,
    ports::{sender::receipts, store::url::StoreUrl},
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
    problems.extend(sender_problems(settings));
    if let StoreUrl::Redis(url) = &settings.store.url {
        problems.extend(
            redis_settings(settings, url)
                .err()
                .map(|error| format!("store: {error:#}")),
        );
    }
    problems.extend(tls_problems(settings));
    problems
}

/// Each file that cannot be read, and if both can, whether they fit together.
fn tls_problems(settings: &Settings) -> Vec<String> {
    let Some(tls) = &settings.grpc.tls else {
        return Vec::new();
    };
    let unreadable = |(key, path): (&str, &Path)| {
        let error = std::fs::read(path).err()?;
        Some(format!("grpc.{key}: {}: {error}", path.display()))
    };
    let files = [
        ("tls_cert_file", tls.cert_file.as_path()),
        ("tls_key_file", tls.key_file.as_path()),
    ];
    let problems: Vec<_> = files.into_iter().filter_map(unreadable).collect();
    if problems.is_empty() {
        let unfit = server_tls(tls).err();
        return unfit
            .map(|error| format!("{error:#}"))
            .into_iter()
            .collect();
    }
    problems
}

fn sender_problems(settings: &Settings) -> Vec<String> {
    let (outbox, machine, (receipts, _)) = (Arc::default(), Machine::default(), receipts::queue());
    let means = Means {
        profile: settings.profile,
        clock: &machine.clock,
        entropy: &machine.entropy,
        public_url: settings.http.public_url.as_deref(),
        receipts: &receipts,
        outbox: Some(&outbox),
    };
    let problems = settings.senders.iter().flat_map(|(name, sender)| {
        let problems = [
            make(name, sender, &means).err(),
            receiver(sender).and_then(Result::err),
        ];
        problems
            .into_iter()
            .flatten()
            .map(move |error| format!("senders.{name}: {error:#}"))
    });
    let hook = settings
        .hook
        .as_ref()
        .and_then(|hook| super::hook::hook(hook, settings.profile, &machine.clock).err());
    problems
        .chain(hook.map(|error| format!("hook: {error:#}")))
        .collect()
}

//! Checks what the settings only refer to: files, folders, addresses, templates and senders. Opens no connection.

mod addresses;
mod certificates;
mod paths;

use std::{fmt::Display, sync::Arc};

use self::certificates::{PairKeys, of_listener};
use super::{Machine, certificates::sections, compose::messages, senders::sender_parts};
use crate::{
    config::{Mistake, Mistakes, Profile, Settings, StoreEngine},
    format::certificate::Purpose,
    keys,
    listener::tls::TlsIdentity,
    message::TemplateMistake,
    ports::sender::receipts,
    sender::settings::SettingError,
    store::redis::RedisSettings,
};

/// What was found in the settings.
#[derive(Debug, Default)]
pub struct Findings {
    /// What would prevent a start, or make it useless.
    pub mistakes: Vec<Mistake>,
    /// What is permitted but looks wrong, or soon will be.
    pub warnings: Vec<Mistake>,
}

impl Findings {
    fn mistake(&mut self, key: String, what: impl Display) {
        let what = what.to_string();
        self.mistakes.push(Mistake { key, what });
    }

    fn warning(&mut self, key: String, what: impl Display) {
        let what = what.to_string();
        self.warnings.push(Mistake { key, what });
    }
}

/// Everything that would prevent a start, each with its key, and warnings. What follows from a known mistake is left
/// out: nothing is said about a key that has one.
#[must_use]
pub fn findings(settings: &Settings, known: &Mistakes) -> Findings {
    let mut findings = Findings {
        warnings: settings.warnings(),
        ..Findings::default()
    };
    listeners(settings, &mut findings);
    store(settings, &mut findings);
    keys(settings, &mut findings);
    texts(settings, &mut findings);
    senders(settings, &mut findings);
    let is_known = |mistake: &Mistake| known.0.iter().any(|other| other.key == mistake.key);
    findings.mistakes.retain(|mistake| !is_known(mistake));
    findings
}

fn listeners(settings: &Settings, findings: &mut Findings) {
    let now = Machine::default().clock.now();
    for (section, listener) in sections(settings) {
        if let Some(why) = addresses::unusable(listener.listen) {
            findings.mistake(format!("{section}.listen"), why);
        }
        if let Some(TlsIdentity { chain, key, .. }) = &listener.tls {
            certificates::identity(of_listener(section), (chain, key), now, findings);
        }
    }
}

fn store(settings: &Settings, findings: &mut Findings) {
    paths::check(&settings.data_dir, &settings.store.engine, findings);
    if let StoreEngine::Redis(redis) = &settings.store.engine {
        store_certificates(redis, findings);
    }
}

fn store_certificates(redis: &RedisSettings, findings: &mut Findings) {
    let now = Machine::default().clock.now();
    if let Some(ca) = &redis.certificates.ca {
        certificates::authorities("store.ca_file", ca, now, findings);
    }
    if let Some((chain, key)) = &redis.certificates.client {
        let keys = PairKeys {
            section: "store",
            certificate: "client_cert_file",
            key: "client_key_file",
            purpose: Purpose::Client,
        };
        certificates::identity(keys, (chain, key), now, findings);
    }
}

fn keys(settings: &Settings, findings: &mut Findings) {
    // Missing keys that will be generated at the start are no problem.
    if settings.keys.make_missing {
        return;
    }
    for (key, error) in keys::problems(settings) {
        findings.mistake(key, error);
    }
}

/// What customers would read: flaws of the texts, and names for which there are no words.
fn texts(settings: &Settings, findings: &mut Findings) {
    match messages(settings) {
        Ok(messages) => {
            for gap in messages.gaps() {
                findings.warning(gap.path.clone(), &gap.problem);
            }
        }
        Err(flaws) => {
            for flaw in flaws {
                text_flaw(settings, flaw, findings);
            }
        }
    }
}

/// A flaw of a text, with the key that must be corrected: its own, or that of the folder of the file.
fn text_flaw(settings: &Settings, flaw: TemplateMistake, findings: &mut Findings) {
    let dir = settings.messages.templates_dir.as_ref();
    let is_file = dir.is_some_and(|dir| flaw.path.starts_with(&*dir.to_string_lossy()));
    let is_key = ["messages.", "actions.", "labels.", "tenants."]
        .iter()
        .any(|section| flaw.path.starts_with(section));
    if is_file {
        findings.mistake("messages.templates_dir".to_owned(), flaw);
    } else if is_key {
        findings.mistake(flaw.path, flaw.problem);
    } else {
        findings.mistake("messages".to_owned(), flaw);
    }
}

fn senders(settings: &Settings, findings: &mut Findings) {
    let machine = Machine::default();
    for (name, sender) in &settings.senders {
        let section = format!("senders.{name}");
        let outbox = (settings.profile == Profile::Development).then(Arc::default);
        let parts = sender_parts(&machine, outbox, receipts::queue().0);
        for error in sender.settings.problems(&parts) {
            of_setting(&section, &error, findings);
        }
    }
    if let Some(rule) = &settings.hook {
        for error in rule.call.problems() {
            of_setting("hook", &error, findings);
        }
    }
}

/// A mistake in a key of a section; an empty key means the section as a whole.
fn of_setting(section: &str, error: &SettingError, findings: &mut Findings) {
    let key = if error.key.is_empty() {
        section.to_owned()
    } else {
        format!("{section}.{}", error.key)
    };
    findings.mistake(key, &error.problem);
}

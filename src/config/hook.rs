//! `[hook]`: who may stop a message just before it goes out.

use std::{path::PathBuf, time::Duration};

use super::Table;
use crate::domain::recipient::Channel;

/// How the hook is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// By signed webhooks.
    Http {
        /// Where it is.
        url: String,
        /// The files of the secrets that sign.
        secret_files: Vec<PathBuf>,
        /// Hosts that may be in an inner network.
        allow_hosts: Vec<String>,
    },
    /// Over gRPC.
    Grpc {
        /// Where it is.
        address: String,
        /// The file of the token that it wants.
        token_file: Option<PathBuf>,
    },
}

/// The hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookSettings {
    /// How it is called.
    pub kind: HookKind,
    /// For which channels it is asked.
    pub channels: Vec<Channel>,
    /// More certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Without an answer: may the message go out?
    pub allow_without_answer: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    None,
    Http,
    Grpc,
}

pub(super) fn hook(mut table: Table<'_>) -> Option<HookSettings> {
    let kind = table.word(
        "kind",
        &[
            ("none", Kind::None),
            ("http", Kind::Http),
            ("grpc", Kind::Grpc),
        ],
        Kind::None,
    );
    let kind = match kind {
        Kind::None => {
            table.finish();
            return None;
        }
        Kind::Http => http(&mut table),
        Kind::Grpc => {
            let token_file = table.text("token_file").map(PathBuf::from);
            table.required("address").map(|address| HookKind::Grpc {
                address,
                token_file,
            })
        }
    };
    let all = Channel::ALL.map(|channel| (channel.as_str(), channel));
    // No silent default: one loses messages, the other lets them out unjudged.
    let answers = [("allow", true), ("deny", false)];
    let find = |text: &str| {
        let found = answers
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, allow)| *allow);
        found.ok_or("must be allow or deny: what holds when the hook does not answer in time")
    };
    let default = table.parsed("default", find);
    // All is read before anything is given up, so that every mistake is told.
    let (channels, ca_file) = (
        table.words("channels", &all, &all),
        table.text("ca_file").map(PathBuf::from),
    );
    let timeout = table.millis("timeout_ms", 500, &(50..=3000));
    table.finish();
    Some(HookSettings {
        kind: kind?,
        channels,
        ca_file,
        timeout,
        allow_without_answer: default?,
    })
}

fn http(table: &mut Table<'_>) -> Option<HookKind> {
    let secret_files: Vec<PathBuf> = table
        .list("secret_files")
        .unwrap_or_default()
        .into_iter()
        .map(PathBuf::from)
        .collect();
    if secret_files.is_empty() {
        table.mistake("secret_files", "must name at least one file");
    }
    let allow_hosts = table.list("allow_hosts").unwrap_or_default();
    Some(HookKind::Http {
        url: table.required("url")?,
        secret_files,
        allow_hosts,
    })
}

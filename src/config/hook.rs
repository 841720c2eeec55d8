//! `[hook]`: the operator's check before each message is sent.

use super::Table;
use crate::{
    domain::recipient::Channel,
    sender::{
        operator::{hook::HookCall, plugin::PeerSettings, webhook::SignedSettings},
        transport::http::ConnectionSettings,
    },
};

/// The operator's check before each message is sent.
#[derive(Clone, Debug)]
pub struct HookSettings {
    /// How the hook is called, and how long it may take to answer.
    pub call: HookCall,
    /// The channels whose messages are checked.
    pub channels: Vec<Channel>,
    /// Whether a message may be sent if the hook does not answer.
    pub allow_without_answer: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    None,
    Http,
    Grpc,
}

pub(super) fn hook(mut table: Table<'_>) -> Option<HookSettings> {
    let kinds = [
        ("none", Kind::None),
        ("http", Kind::Http),
        ("grpc", Kind::Grpc),
    ];
    let call = match table.word("kind", &kinds, Kind::None) {
        Kind::None => {
            table.finish();
            return None;
        }
        Kind::Http => http(&mut table),
        Kind::Grpc => grpc(&mut table),
    };
    let all = Channel::ALL.map(|channel| (channel.as_str(), channel));
    let channels = table.words("channels", &all, &all);
    // There is no safe default: "allow" sends unchecked messages, "deny" stops all messages while the hook is down.
    let answers = [("allow", true), ("deny", false)];
    let allow_without_answer = table.required_word("default", &answers);
    table.finish();
    Some(HookSettings {
        call,
        channels,
        allow_without_answer: allow_without_answer.unwrap_or_default(),
    })
}

fn timeout(table: &mut Table<'_>) -> std::time::Duration {
    table.millis("timeout_ms", 500, &(50..=3000))
}

fn http(table: &mut Table<'_>) -> HookCall {
    let (url, secrets) = (
        table.required("url"),
        table.required_secrets("secret_files"),
    );
    let connection = ConnectionSettings {
        allow_hosts: table.list("allow_hosts").unwrap_or_default(),
        plaintext: !table.is_production(),
        ca_file: table.file("ca_file"),
        timeout: timeout(table),
    };
    HookCall::Http(SignedSettings {
        url: url.unwrap_or_default(),
        secrets,
        connection,
    })
}

fn grpc(table: &mut Table<'_>) -> HookCall {
    let (address, token) = (table.required("address"), table.secret("token_file"));
    let (ca_file, timeout) = (table.file("ca_file"), timeout(table));
    HookCall::Grpc(PeerSettings {
        address: address.unwrap_or_default(),
        token,
        ca_file,
        timeout,
    })
}

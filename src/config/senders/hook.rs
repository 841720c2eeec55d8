//! `kind = "webhook"` and `kind = "plugin"`: an operator's own service or process.

use std::path::PathBuf;

use super::{super::Table, http::Connection, receipts::Receipts};
use crate::domain::recipient::Channel;

/// A service that gets signed webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSender {
    /// What it carries.
    pub channels: Vec<Channel>,
    /// Where it is.
    pub url: String,
    /// The files of the secrets that sign.
    pub secret_files: Vec<PathBuf>,
    /// How it is reached.
    pub connection: Connection,
    /// How it tells us what became of a message, if it does.
    pub receipts: Option<Receipts>,
}

/// A process that is called over gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginSender {
    /// What it carries.
    pub channels: Vec<Channel>,
    /// Where it is.
    pub address: String,
    /// The file of the token that it wants.
    pub token_file: Option<PathBuf>,
    /// How it is reached.
    pub connection: Connection,
    /// How it tells us what became of a message, if it does.
    pub receipts: Option<Receipts>,
}

fn channels(row: &mut Table<'_>) -> Vec<Channel> {
    row.required_words(
        "channels",
        &Channel::ALL.map(|channel| (channel.as_str(), channel)),
    )
}

pub(super) fn webhook(row: &mut Table<'_>, public: bool) -> Option<WebhookSender> {
    let (channels, url, connection) = (channels(row), row.required("url"), Connection::read(row));
    let receipts = Receipts::of_ours(row, public);
    let files: Vec<PathBuf> = row
        .list("secret_files")
        .unwrap_or_default()
        .into_iter()
        .map(PathBuf::from)
        .collect();
    if files.is_empty() {
        row.mistake("secret_files", "must name at least one file");
    }
    Some(WebhookSender {
        channels,
        url: url?,
        secret_files: files,
        connection,
        receipts,
    })
}

pub(super) fn plugin(row: &mut Table<'_>, public: bool) -> Option<PluginSender> {
    let (channels, address, connection) = (
        channels(row),
        row.required("address"),
        Connection::read(row),
    );
    let receipts = Receipts::of_ours(row, public);
    if !connection.allow_hosts.is_empty() {
        row.mistake("allow_hosts", "is of no use here: address says all");
    }
    let token_file = row.text("token_file").map(PathBuf::from);
    Some(PluginSender {
        channels,
        address: address?,
        token_file,
        connection,
        receipts,
    })
}

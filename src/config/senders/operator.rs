//! `kind = "webhook"` and `kind = "plugin"`: a service or process of the operator's own.

use std::sync::Arc;

use super::{ConfiguredSender, Section, channels, connection, receipts::Receipts};
use crate::sender::operator::{
    plugin::{PeerSettings, PluginSettings},
    webhook::{SignedSettings, WebhookSettings},
};

pub(super) fn webhook(section: &mut Section<'_>) -> ConfiguredSender {
    let row = &mut section.row;
    // Read all keys before returning, so that every mistake is reported.
    let (channels, url) = (channels(row), row.required("url"));
    let secrets = row.required_secrets("secret_files");
    let connection = connection(row);
    let receipts = Receipts::of_own_service(section);
    let settings = WebhookSettings {
        channels,
        signed: SignedSettings {
            url: url.unwrap_or_default(),
            secrets,
            connection,
        },
        addresses: section.addresses(receipts.is_some(), false),
    };
    ConfiguredSender {
        settings: Arc::new(settings),
        receiver: receipts.map(|receipts| receipts.receiver),
    }
}

pub(super) fn plugin(section: &mut Section<'_>) -> ConfiguredSender {
    let row = &mut section.row;
    let (channels, address) = (channels(row), row.required("address"));
    let (token, ca_file) = (row.secret("token_file"), row.file("ca_file"));
    let timeout = row.millis("timeout_ms", 10_000, &(100..=15_000));
    let receipts = Receipts::of_own_service(section);
    let settings = PluginSettings {
        channels,
        peer: PeerSettings {
            address: address.unwrap_or_default(),
            token,
            ca_file,
            timeout,
        },
        addresses: section.addresses(receipts.is_some(), false),
    };
    ConfiguredSender {
        settings: Arc::new(settings),
        receiver: receipts.map(|receipts| receipts.receiver),
    }
}

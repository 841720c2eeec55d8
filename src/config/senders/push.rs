//! `kind = "fcm"`, `"apns"` and `"webpush"`: the push services of apps and browsers.

use super::{super::Table, ConfiguredSender, Section, connection};
use crate::sender::{
    push::{apns::ApnsSettings, fcm::FcmSettings, webpush::WebPushSettings},
    transport::http::{check_contact, is_host_pattern},
};

/// The push services of common browsers: Chrome and browsers based on it, Firefox, Safari, Edge.
const HOSTS: [&str; 4] = [
    "fcm.googleapis.com",
    "*.push.services.mozilla.com",
    "*.push.apple.com",
    "*.notify.windows.com",
];

pub(super) fn fcm(section: &mut Section<'_>) -> ConfiguredSender {
    let row = &mut section.row;
    let service_account = row.required_document("service_account_file");
    let base_url = base_url(row, "https://fcm.googleapis.com");
    let connection = connection(row);
    ConfiguredSender::silent(FcmSettings {
        service_account: service_account.unwrap_or_default(),
        base_url,
        connection,
    })
}

pub(super) fn apns(section: &mut Section<'_>) -> ConfiguredSender {
    let row = &mut section.row;
    let key = row.required_document("key_file");
    let (key_id, team_id) = (row.parsed("key_id", id), row.parsed("team_id", id));
    let topic = row.parsed("topic", topic);
    let base_url = base_url(row, "https://api.push.apple.com");
    let connection = connection(row);
    ConfiguredSender::silent(ApnsSettings {
        key: key.unwrap_or_default(),
        key_id: key_id.unwrap_or_default(),
        team_id: team_id.unwrap_or_default(),
        topic: topic.unwrap_or_default(),
        base_url,
        connection,
    })
}

pub(super) fn webpush(section: &mut Section<'_>) -> ConfiguredSender {
    let row = &mut section.row;
    let key = row.required_document("key_file");
    let contact = row.parsed("contact", contact);
    let hosts = hosts(row);
    let connection = connection(row);
    ConfiguredSender::silent(WebPushSettings {
        key: key.unwrap_or_default(),
        contact: contact.unwrap_or_default(),
        hosts,
        connection,
    })
}

fn base_url(row: &mut Table<'_>, default: &str) -> String {
    row.text("base_url").unwrap_or_else(|| default.to_owned())
}

fn id(text: &str) -> Result<String, &'static str> {
    let is_plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    if text.len() == 10 && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("must be 10 capital letters and digits")
    }
}

fn topic(text: &str) -> Result<String, &'static str> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    if text.len() <= 155 && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("must be a bundle id: letters, digits, dots and hyphens")
    }
}

fn contact(text: &str) -> Result<String, &'static str> {
    check_contact(text).map(|()| text.to_owned())
}

fn hosts(row: &mut Table<'_>) -> Vec<String> {
    let Some(hosts) = row.list("hosts") else {
        let default = HOSTS.map(str::to_owned).to_vec();
        row.note_list("hosts", &default);
        return default;
    };
    if hosts.is_empty() {
        row.mistake("hosts", "must name at least one host");
    }
    for host in hosts.iter().filter(|host| !is_host_pattern(host)) {
        let what =
            "each must be a name such as push.example.com, or *. and a name such as example.com";
        row.mistake("hosts", format!("has {host:?}; {what}"));
    }
    hosts
}

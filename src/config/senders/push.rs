//! `kind = "fcm"`, `"apns"` and `"webpush"`: the push services of apps and browsers.

use std::path::PathBuf;

use super::{super::Table, http::Connection};

/// The push services of the usual browsers: Chrome and those made of it, Firefox, Safari, Edge.
const HOSTS: [&str; 4] = [
    "fcm.googleapis.com",
    "*.push.services.mozilla.com",
    "*.push.apple.com",
    "*.notify.windows.com",
];

/// Firebase Cloud Messaging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FcmSender {
    /// The file of the service account.
    pub service_account_file: PathBuf,
    /// Where the API is.
    pub base_url: String,
    /// How it is reached.
    pub connection: Connection,
}

/// Apple's push service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApnsSender {
    /// The file of the signing key.
    pub key_file: PathBuf,
    /// The name of the key.
    pub key_id: String,
    /// The name of the team.
    pub team_id: String,
    /// The app's bundle id.
    pub topic: String,
    /// Where the service is.
    pub base_url: String,
    /// How it is reached.
    pub connection: Connection,
}

/// The push services of browsers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebPushSender {
    /// The file of the application server's key.
    pub key_file: PathBuf,
    /// Whom a push service can reach.
    pub contact: String,
    /// Which hosts an endpoint may have.
    pub hosts: Vec<String>,
    /// How they are reached.
    pub connection: Connection,
}

pub(super) fn fcm(row: &mut Table<'_>) -> Option<FcmSender> {
    let file = row.required("service_account_file").map(PathBuf::from);
    let base_url = row
        .text("base_url")
        .unwrap_or_else(|| "https://fcm.googleapis.com".to_owned());
    let connection = Connection::read(row);
    Some(FcmSender {
        service_account_file: file?,
        base_url,
        connection,
    })
}

pub(super) fn apns(row: &mut Table<'_>) -> Option<ApnsSender> {
    let key_file = row.required("key_file").map(PathBuf::from);
    let id = |text: &str| {
        let fits = text.len() == 10
            && text
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if fits {
            Ok(text.to_owned())
        } else {
            Err("must be 10 capital letters and digits")
        }
    };
    let (key_id, team_id) = (row.parsed("key_id", id), row.parsed("team_id", id));
    let topic = row.parsed("topic", |text| {
        let fits = text.len() <= 155
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
        if fits {
            Ok(text.to_owned())
        } else {
            Err("must be a bundle id: letters, digits, dots and hyphens")
        }
    });
    let base_url = row
        .text("base_url")
        .unwrap_or_else(|| "https://api.push.apple.com".to_owned());
    let connection = Connection::read(row);
    Some(ApnsSender {
        key_file: key_file?,
        key_id: key_id?,
        team_id: team_id?,
        topic: topic?,
        base_url,
        connection,
    })
}

/// A name in lower case, or `*.` and what the names of one service end in.
fn is_host(entry: &str) -> bool {
    let name = entry.strip_prefix("*.").unwrap_or(entry);
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.split('.').all(is_label) && (name.contains('.') || entry == name)
}

pub(super) fn webpush(row: &mut Table<'_>) -> Option<WebPushSender> {
    let key_file = row.required("key_file").map(PathBuf::from);
    let contact = row.parsed("contact", |text| {
        let names_somebody = text.starts_with("https://")
            || text
                .strip_prefix("mailto:")
                .is_some_and(|to| to.contains('@'));
        let fits = names_somebody && text.bytes().all(|b| b.is_ascii_graphic());
        if fits {
            Ok(text.to_owned())
        } else {
            Err("must be mailto: and an address, or an https URL")
        }
    });
    let hosts = row.list("hosts").unwrap_or_else(|| {
        let usual = HOSTS.map(str::to_owned).to_vec();
        row.note_list("hosts", &usual);
        usual
    });
    if hosts.is_empty() || !hosts.iter().all(|host| is_host(host)) {
        row.mistake(
            "hosts",
            "must be names such as push.example.com, or *. and a name such as example.com",
        );
    }
    let connection = Connection::read(row);
    Some(WebPushSender {
        key_file: key_file?,
        contact: contact?,
        hosts,
        connection,
    })
}

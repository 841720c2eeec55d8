//! `[senders]`: who brings messages.

mod hook;
mod http;
mod preset;
mod push;
mod receipts;
mod sns;

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

pub use self::hook::{PluginSender, WebhookSender};
pub use self::http::{Connection, HttpAnswers, HttpAuth, HttpBody, HttpMethod, HttpRequest, HttpSender};
use self::preset::{PRESETS, preset};
pub use self::push::{ApnsSender, FcmSender, WebPushSender};
pub use self::receipts::Receipts;
pub use self::sns::SnsSender;
use super::{Profile, Table};
use crate::domain::recipient::Channel;

/// How a mail connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// Not at all.
    None,
    /// By STARTTLS, or nothing is sent.
    Starttls,
    /// From the first byte on.
    Implicit,
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who the mail is from.
    pub from: String,
    /// How the connection is encrypted.
    pub tls: SmtpTls,
    /// The user name, if it wants one.
    pub username: Option<String>,
    /// The file of the password.
    pub password_file: Option<PathBuf>,
    /// More certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Of one hand-over.
    pub timeout: Duration,
    /// Connections at a time.
    pub pool_max: u32,
    /// What we call ourselves.
    pub hello_name: Option<String>,
}

/// A sender.
#[derive(Clone, Debug)]
pub enum SenderSettings {
    /// A mail server.
    Smtp(Box<SmtpSettings>),
    /// A provider's HTTP API.
    Http(Box<HttpSender>),
    /// A service of the operator's own.
    Webhook(Box<WebhookSender>),
    /// A process of the operator's own.
    Plugin(Box<PluginSender>),
    /// Firebase Cloud Messaging.
    Fcm(Box<FcmSender>),
    /// Apple's push service.
    Apns(Box<ApnsSender>),
    /// The push services of browsers.
    WebPush(Box<WebPushSender>),
    /// Amazon SNS.
    Sns(Box<SnsSender>),
    /// Standard output.
    Console,
    /// The development outbox.
    Outbox,
}

impl SenderSettings {
    /// How it tells us what became of a message, if it does.
    #[must_use]
    pub fn receipts(&self) -> Option<&Receipts> {
        match self {
            Self::Http(http) => http.receipts.as_ref(),
            Self::Webhook(webhook) => webhook.receipts.as_ref(),
            Self::Plugin(plugin) => plugin.receipts.as_ref(),
            Self::Smtp(_) | Self::Fcm(_) | Self::Apns(_) | Self::WebPush(_) | Self::Sns(_) | Self::Console | Self::Outbox => None,
        }
    }

    /// What it lacks to carry messages of a channel that it could carry.
    pub(super) fn lacks(&self, channel: Channel) -> Option<String> {
        match self {
            Self::Http(http) => {
                http.lacks.get(&channel).map(|keys| keys.join(", ").replace("receipts", "http.public_url and receipts"))
            }
            Self::Smtp(_)
            | Self::Webhook(_)
            | Self::Plugin(_)
            | Self::Fcm(_)
            | Self::Apns(_)
            | Self::WebPush(_)
            | Self::Sns(_)
            | Self::Console
            | Self::Outbox => None,
        }
    }

    /// Can it carry messages of this channel?
    pub(super) fn carries(&self, channel: Channel) -> bool {
        match self {
            Self::Smtp(_) => channel == Channel::Email,
            Self::Http(http) => http.requests.contains_key(&channel),
            Self::Webhook(webhook) => webhook.channels.contains(&channel),
            Self::Plugin(plugin) => plugin.channels.contains(&channel),
            Self::Fcm(_) | Self::Apns(_) | Self::WebPush(_) => channel == Channel::Push,
            Self::Sns(_) => channel == Channel::Sms,
            Self::Console | Self::Outbox => true,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Smtp,
    Http,
    Webhook,
    Plugin,
    Fcm,
    Apns,
    WebPush,
    Sns,
    /// The preset's file.
    Preset(&'static str),
    Console,
    Outbox,
}

const KINDS: [(&str, Kind); 10] = [
    ("smtp", Kind::Smtp),
    ("http", Kind::Http),
    ("webhook", Kind::Webhook),
    ("plugin", Kind::Plugin),
    ("fcm", Kind::Fcm),
    ("apns", Kind::Apns),
    ("webpush", Kind::WebPush),
    ("sns", Kind::Sns),
    ("console", Kind::Console),
    ("outbox", Kind::Outbox),
];

fn kinds() -> impl Iterator<Item = (&'static str, Kind)> {
    KINDS.into_iter().chain(PRESETS.map(|(name, source)| (name, Kind::Preset(source))))
}

/// `public`: is there an address under which providers reach us?
pub(super) fn senders(mut table: Table<'_>, profile: Profile, public: bool) -> BTreeMap<String, SenderSettings> {
    let mut senders = BTreeMap::new();
    for (name, mut row) in table.named() {
        let find = |text: &str| {
            let kind = kinds().find(|(word, _)| *word == text).map(|(_, kind)| kind);
            kind.ok_or_else(|| format!("must be one of {}", kinds().map(|(word, _)| word).collect::<Vec<_>>().join(", ")))
        };
        let sender = match row.parsed("kind", find) {
            // Nothing is known of its keys, so none of them is a mistake.
            None => continue,
            Some(Kind::Smtp) => smtp(&mut row, profile).map(|smtp| SenderSettings::Smtp(Box::new(smtp))),
            Some(Kind::Http) => http::http(&mut row, public).map(|http| SenderSettings::Http(Box::new(http))),
            Some(Kind::Preset(source)) => preset(source, &mut row, public).map(|http| SenderSettings::Http(Box::new(http))),
            Some(Kind::Webhook) => hook::webhook(&mut row, public).map(|hook| SenderSettings::Webhook(Box::new(hook))),
            Some(Kind::Plugin) => hook::plugin(&mut row, public).map(|plugin| SenderSettings::Plugin(Box::new(plugin))),
            Some(Kind::Fcm) => push::fcm(&mut row).map(|fcm| SenderSettings::Fcm(Box::new(fcm))),
            Some(Kind::Apns) => push::apns(&mut row).map(|apns| SenderSettings::Apns(Box::new(apns))),
            Some(Kind::WebPush) => push::webpush(&mut row).map(|webpush| SenderSettings::WebPush(Box::new(webpush))),
            Some(Kind::Sns) => sns::sns(&mut row).map(|sns| SenderSettings::Sns(Box::new(sns))),
            Some(Kind::Console) => Some(SenderSettings::Console),
            Some(Kind::Outbox) => Some(SenderSettings::Outbox),
        };
        if profile == Profile::Production && matches!(sender, Some(SenderSettings::Console | SenderSettings::Outbox)) {
            row.mistake("kind", "shows codes, so it is refused in production");
        }
        if sender.as_ref().is_some_and(|sender| sender.receipts().is_some()) && !is_plain(&name) {
            row.mistake_here("is called by its provider under its name, which must be of a-z, 0-9, _ and -");
        }
        senders.extend(sender.map(|sender| (name, sender)));
        row.finish();
    }
    table.finish();
    senders
}

/// A name that can stand in a URL as it is.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-')
}

fn smtp(row: &mut Table<'_>, profile: Profile) -> Option<SmtpSettings> {
    let host = row.required("host");
    let tls = row.word(
        "tls",
        &[("starttls", SmtpTls::Starttls), ("implicit", SmtpTls::Implicit), ("none", SmtpTls::None)],
        SmtpTls::Starttls,
    );
    let port = match tls {
        SmtpTls::None => 25,
        SmtpTls::Starttls => 587,
        SmtpTls::Implicit => 465,
    };
    let from = row.required("from");
    let (username, password_file) = (row.text("username"), row.text("password_file").map(PathBuf::from));
    if username.is_some() != password_file.is_some() {
        row.mistake("username", "and password_file come together");
    }
    if profile == Profile::Production && tls == SmtpTls::None && !host.as_deref().is_some_and(is_loopback) {
        row.mistake("tls", "must be starttls or implicit in production, unless the host is on loopback");
    }
    Some(SmtpSettings {
        port: row.small("port", port, &(1..=65_535)),
        tls,
        username,
        password_file,
        ca_file: row.text("ca_file").map(PathBuf::from),
        timeout: row.millis("timeout_ms", 10_000, &(100..=60_000)),
        pool_max: row.small("pool_max", 16, &(1..=1000)),
        hello_name: row.text("hello_name"),
        host: host?,
        from: from?,
    })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

//! `[senders]`: who brings messages.

mod hook;
mod http;
mod preset;
mod push;
mod receipts;
mod smpp;
mod smtp;
mod sns;

use std::collections::BTreeMap;

pub use self::hook::{PluginSender, WebhookSender};
pub use self::http::{
    Connection, HttpAnswers, HttpAuth, HttpBody, HttpMethod, HttpRequest, HttpSender,
};
use self::preset::{PRESETS, preset};
pub use self::push::{ApnsSender, FcmSender, WebPushSender};
pub use self::receipts::Receipts;
pub use self::smpp::SmppSender;
pub use self::smtp::{DkimSettings, SmtpSettings, SmtpTls};
pub use self::sns::SnsSender;
use super::{Profile, Table};
use crate::domain::recipient::Channel;

/// A sender.
#[derive(Clone, Debug)]
pub enum SenderSettings {
    /// A mail server.
    Smtp(Box<SmtpSettings>),
    /// A message centre.
    Smpp(Box<SmppSender>),
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
            Self::Smtp(_)
            | Self::Smpp(_)
            | Self::Fcm(_)
            | Self::Apns(_)
            | Self::WebPush(_)
            | Self::Sns(_)
            | Self::Console
            | Self::Outbox => None,
        }
    }

    /// What it lacks to carry messages of a channel that it could carry.
    pub(super) fn lacks(&self, channel: Channel) -> Option<String> {
        match self {
            Self::Http(http) => http.lacks.get(&channel).map(|keys| {
                keys.join(", ")
                    .replace("receipts", "http.public_url and receipts")
            }),
            Self::Smtp(_)
            | Self::Smpp(_)
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
            Self::Smpp(_) | Self::Sns(_) => channel == Channel::Sms,
            Self::Console | Self::Outbox => true,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Smtp,
    Smpp,
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

const KINDS: [(&str, Kind); 11] = [
    ("smtp", Kind::Smtp),
    ("smpp", Kind::Smpp),
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
    KINDS
        .into_iter()
        .chain(PRESETS.map(|(name, source)| (name, Kind::Preset(source))))
}

/// `public`: is there an address under which providers reach us?
pub(super) fn senders(
    mut table: Table<'_>,
    profile: Profile,
    public: bool,
) -> BTreeMap<String, SenderSettings> {
    let mut senders = BTreeMap::new();
    for (name, mut row) in table.named() {
        let find = |text: &str| {
            let kind = kinds()
                .find(|(word, _)| *word == text)
                .map(|(_, kind)| kind);
            kind.ok_or_else(|| {
                format!(
                    "must be one of {}",
                    kinds().map(|(word, _)| word).collect::<Vec<_>>().join(", ")
                )
            })
        };
        let sender = match row.parsed("kind", find) {
            // Nothing is known of its keys, so none of them is a mistake.
            None => continue,
            Some(Kind::Smtp) => {
                smtp::smtp(&mut row, profile).map(|smtp| SenderSettings::Smtp(Box::new(smtp)))
            }
            Some(Kind::Smpp) => {
                smpp::smpp(&mut row, profile).map(|smpp| SenderSettings::Smpp(Box::new(smpp)))
            }
            Some(Kind::Http) => {
                http::http(&mut row, public).map(|http| SenderSettings::Http(Box::new(http)))
            }
            Some(Kind::Preset(source)) => {
                preset(source, &mut row, public).map(|http| SenderSettings::Http(Box::new(http)))
            }
            Some(Kind::Webhook) => {
                hook::webhook(&mut row, public).map(|hook| SenderSettings::Webhook(Box::new(hook)))
            }
            Some(Kind::Plugin) => hook::plugin(&mut row, public)
                .map(|plugin| SenderSettings::Plugin(Box::new(plugin))),
            Some(Kind::Fcm) => push::fcm(&mut row).map(|fcm| SenderSettings::Fcm(Box::new(fcm))),
            Some(Kind::Apns) => {
                push::apns(&mut row).map(|apns| SenderSettings::Apns(Box::new(apns)))
            }
            Some(Kind::WebPush) => {
                push::webpush(&mut row).map(|webpush| SenderSettings::WebPush(Box::new(webpush)))
            }
            Some(Kind::Sns) => sns::sns(&mut row).map(|sns| SenderSettings::Sns(Box::new(sns))),
            Some(Kind::Console) => Some(SenderSettings::Console),
            Some(Kind::Outbox) => Some(SenderSettings::Outbox),
        };
        if profile == Profile::Production
            && matches!(
                sender,
                Some(SenderSettings::Console | SenderSettings::Outbox)
            )
        {
            row.mistake("kind", "shows codes, so it is refused in production");
        }
        if sender
            .as_ref()
            .is_some_and(|sender| sender.receipts().is_some())
            && !is_plain(&name)
        {
            row.mistake_here(
                "is called by its provider under its name, which must be of a-z, 0-9, _ and -",
            );
        }
        senders.extend(sender.map(|sender| (name, sender)));
        row.finish();
    }
    table.finish();
    senders
}

/// A name that can stand in a URL as it is.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-'
    })
}

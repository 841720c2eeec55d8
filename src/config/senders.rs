//! `[senders]` and `[routes]`: who brings messages, and in which order they are tried.

mod hook;
mod http;
mod preset;
mod push;
mod smtp;
mod sns;

use std::collections::BTreeMap;

pub use self::hook::{PluginSender, WebhookSender};
pub use self::http::{Connection, HttpAnswers, HttpAuth, HttpBody, HttpMethod, HttpRequest, HttpSender};
use self::preset::{PRESETS, preset};
pub use self::push::{ApnsSender, FcmSender, WebPushSender};
pub use self::smtp::{DkimSettings, SmtpSettings, SmtpTls};
pub use self::sns::SnsSender;
use super::{Profile, Table};
use crate::domain::recipient::Channel;

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
    /// Can it carry messages of this channel?
    fn carries(&self, channel: Channel) -> bool {
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

pub(super) fn senders(mut table: Table<'_>, profile: Profile) -> BTreeMap<String, SenderSettings> {
    let mut senders = BTreeMap::new();
    for (name, mut row) in table.named() {
        let find = |text: &str| {
            let kind = kinds().find(|(word, _)| *word == text).map(|(_, kind)| kind);
            kind.ok_or_else(|| format!("must be one of {}", kinds().map(|(word, _)| word).collect::<Vec<_>>().join(", ")))
        };
        let sender = match row.parsed("kind", find) {
            // Nothing is known of its keys, so none of them is a mistake.
            None => continue,
            Some(Kind::Smtp) => smtp::smtp(&mut row, profile).map(|smtp| SenderSettings::Smtp(Box::new(smtp))),
            Some(Kind::Http) => http::http(&mut row).map(|http| SenderSettings::Http(Box::new(http))),
            Some(Kind::Preset(source)) => preset(source, &mut row).map(|http| SenderSettings::Http(Box::new(http))),
            Some(Kind::Webhook) => hook::webhook(&mut row).map(|hook| SenderSettings::Webhook(Box::new(hook))),
            Some(Kind::Plugin) => hook::plugin(&mut row).map(|plugin| SenderSettings::Plugin(Box::new(plugin))),
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
        senders.extend(sender.map(|sender| (name, sender)));
        row.finish();
    }
    table.finish();
    senders
}

pub(super) fn routes(
    mut table: Table<'_>,
    senders: &BTreeMap<String, SenderSettings>,
    profile: Profile,
) -> BTreeMap<Channel, Vec<String>> {
    let mut routes = BTreeMap::new();
    for (name, mut row) in table.named() {
        let names = row.list("senders").unwrap_or_default();
        let channel = Channel::from_name(&name);
        match channel {
            None => row.mistake_here("is no channel: push, email, sms, voice, whatsapp"),
            Some(_) if names.is_empty() => row.mistake("senders", "must name at least one sender"),
            Some(channel) => {
                for sender in &names {
                    match senders.get(sender) {
                        None => row.mistake("senders", format!("{sender:?} is none of the senders")),
                        Some(settings) if !settings.carries(channel) => {
                            row.mistake("senders", format!("{sender:?} does not carry {}", channel.as_str()));
                        }
                        Some(_) => {}
                    }
                }
                routes.insert(channel, names);
            }
        }
        row.finish();
    }
    if profile == Profile::Production && routes.is_empty() {
        table.mistake_here("must have at least one route in production");
    }
    table.finish();
    routes
}

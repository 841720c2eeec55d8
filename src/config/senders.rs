//! `[senders]`: the senders that hand messages to providers, each read into the settings type of its own.
//!
//! A new sender is one row in `KINDS` and a file here that reads its section.

mod development;
mod http;
mod operator;
mod preset;
mod push;
mod receipts;
mod smpp;
mod smtp;
mod sns;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::Table;
use crate::{
    domain::{
        ids::{Invalid, SenderName},
        recipient::Channel,
    },
    http::callbacks::Receiver,
    sender::{
        settings::SenderSettings,
        transport::{addresses::Addresses, http::ConnectionSettings},
    },
};

/// A sender, and how the calls of its provider are verified and read.
#[derive(Clone, Debug)]
pub struct ConfiguredSender {
    /// The sender's own settings.
    pub settings: Arc<dyn SenderSettings>,
    /// Receives its receipts and questions; `None` if its provider does not call us.
    pub receiver: Option<Receiver>,
}

impl ConfiguredSender {
    /// A sender whose provider does not call us.
    fn silent(settings: impl SenderSettings) -> Self {
        Self {
            settings: Arc::new(settings),
            receiver: None,
        }
    }
}

/// The senders of the settings.
pub(super) struct Senders {
    /// Those that could be read.
    pub(super) ready: BTreeMap<String, ConfiguredSender>,
    /// Those that could not: their mistakes are told, so that a route to them is none.
    pub(super) broken: BTreeSet<String>,
}

/// One table `[senders.NAME]`, and what its reading depends on.
struct Section<'a> {
    row: Table<'a>,
    name: SenderName,
    /// The base URL under which providers call us, if they can.
    public_url: Option<&'a str>,
}

impl Section<'_> {
    /// Where the provider calls us back, if it has receipts: for `calls` also to ask what a call says.
    fn addresses(&self, receipts: bool, calls: bool) -> Option<Addresses> {
        let (url, name) = (self.public_url.filter(|_| receipts)?, self.name.as_str());
        Some(Addresses {
            callbacks: format!("{url}/callbacks/{name}"),
            calls: calls.then(|| format!("{url}/calls/{name}")),
        })
    }
}

/// Reads the section of one kind of sender; `None` if its mistakes leave nothing to build.
type Read = fn(&mut Section<'_>) -> Option<ConfiguredSender>;

const KINDS: [(&str, Read); 17] = [
    ("smtp", smtp::read),
    ("smpp", smpp::read),
    ("http", http::read),
    ("webhook", operator::webhook),
    ("plugin", operator::plugin),
    ("fcm", push::fcm),
    ("apns", push::apns),
    ("webpush", push::webpush),
    ("sns", sns::read),
    ("twilio", preset::twilio),
    ("vonage", preset::vonage),
    ("vonage_voice", preset::vonage_voice),
    ("messagebird", preset::messagebird),
    ("infobip", preset::infobip),
    ("whatsapp_cloud", preset::whatsapp_cloud),
    ("console", development::console),
    ("outbox", development::outbox),
];

/// `public_url`: the base URL under which providers call us.
pub(super) fn senders(mut table: Table<'_>, public_url: Option<&str>) -> Senders {
    let (mut ready, mut broken) = (BTreeMap::new(), BTreeSet::new());
    for (name, row) in table.named() {
        let read = match SenderName::parse(&name) {
            Ok(parsed) => sender(row, parsed, public_url),
            Err(Invalid(what)) => {
                row.mistake_here(format!("has a name that {what}"));
                None
            }
        };
        match read {
            Some(sender) => drop(ready.insert(name, sender)),
            None => drop(broken.insert(name)),
        }
    }
    table.finish();
    Senders { ready, broken }
}

fn sender(
    mut row: Table<'_>,
    name: SenderName,
    public_url: Option<&str>,
) -> Option<ConfiguredSender> {
    // Without a kind nothing is known of the other keys, so none of them is a mistake.
    let read = row.required_word("kind", &KINDS)?;
    let mut section = Section {
        row,
        name,
        public_url,
    };
    let sender = read(&mut section);
    let row = &mut section.row;
    if let Some(sender) = &sender {
        if row.is_production() && sender.settings.shows_codes() {
            row.mistake(
                "kind",
                "shows codes, so production refuses it; use a sender of a provider",
            );
        }
        if sender.receiver.is_some() && !is_plain(section.name.as_str()) {
            row.mistake_here(
                "is part of the URL that its provider calls; name it with a-z, 0-9, _ and -",
            );
        }
    }
    section.row.finish();
    sender
}

/// Whether a name can stand in a URL as it is.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-'
    })
}

/// The keys that all senders with an HTTP API share.
fn connection(row: &mut Table<'_>) -> ConnectionSettings {
    ConnectionSettings {
        allow_hosts: row.list("allow_hosts").unwrap_or_default(),
        plaintext: !row.is_production(),
        ca_file: row.file("ca_file"),
        // A customer waits, so the limit is short.
        timeout: row.millis("timeout_ms", 10_000, &(100..=15_000)),
    }
}

/// The required list of channels that a sender carries.
fn channels(row: &mut Table<'_>) -> Vec<Channel> {
    let all = Channel::ALL.map(|channel| (channel.as_str(), channel));
    row.required_words("channels", &all)
}

/// Whether a host is this machine, to which production may talk in plaintext.
fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

//! `[senders]`: the senders of messages, each read into its own settings type.
//!
//! A new sender needs one row in `KINDS`, and a file here that reads its section.

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

use super::{Mistake, Profile, Settings, Table};
use crate::{
    domain::{
        ids::{Invalid, SenderName},
        recipient::Channel,
    },
    http::callbacks::Receiver,
    sender::{
        settings::{SenderSettings, SettingError},
        transport::{addresses::Addresses, http::ConnectionSettings},
    },
};

/// A sender, and how its provider's callbacks are verified and read.
#[derive(Clone, Debug)]
pub struct ConfiguredSender {
    /// The sender's own settings.
    pub settings: Arc<dyn SenderSettings>,
    /// Receives the provider's receipts and questions; `None` if the provider does not call us.
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

/// The senders in the settings.
pub(super) struct Senders {
    /// Senders that could be read.
    pub(super) ready: BTreeMap<String, ConfiguredSender>,
    /// The names of senders whose channels are not known for mistakes; a route to them is not another mistake.
    pub(super) broken: BTreeSet<String>,
}

/// One table `[senders.NAME]`, with what else is needed to read it.
struct Section<'a> {
    row: Table<'a>,
    name: SenderName,
    /// The base URL under which providers call us; `None` if they cannot.
    public_url: Option<&'a str>,
}

impl Section<'_> {
    /// The URLs that the provider calls: for receipts, and with `calls` also to ask what a voice call
    /// says. `None` without receipts.
    fn addresses(&self, receipts: bool, calls: bool) -> Option<Addresses> {
        let (url, name) = (self.public_url.filter(|_| receipts)?, self.name.as_str());
        Some(Addresses {
            callbacks: format!("{url}/callbacks/{name}"),
            calls: calls.then(|| format!("{url}/calls/{name}")),
            login: None,
        })
    }
}

/// Reads the section of one kind of sender. What cannot be read is left empty, so that the rest is checked in the same
/// round; its mistake is recorded.
type Read = fn(&mut Section<'_>) -> ConfiguredSender;

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

/// Reads all senders. `public_url`: the base URL under which providers call us.
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
        if let Some((sender, carries)) = read {
            if carries == Carries::Unknown {
                broken.insert(name.clone());
            }
            ready.insert(name, sender);
        } else {
            broken.insert(name);
        }
    }
    table.finish();
    Senders { ready, broken }
}

/// Whether it is known which channels a sender was meant to carry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    Known,
    Unknown,
}

fn sender(
    mut row: Table<'_>,
    name: SenderName,
    public_url: Option<&str>,
) -> Option<(ConfiguredSender, Carries)> {
    // The keys of an unknown kind are not checked, so none of them is reported.
    let read = row.required_word("kind", &KINDS)?;
    let mut section = Section {
        row,
        name,
        public_url,
    };
    let sender = read(&mut section);
    let row = &mut section.row;
    let is_unknown = row.is_mistaken("channels") || row.is_mistaken_here();
    let carries = if is_unknown {
        Carries::Unknown
    } else {
        Carries::Known
    };
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
    section.row.finish();
    Some((sender, carries))
}

/// The senders that no route names, which therefore send nothing. In development the outbox may be one.
pub(super) fn idle(settings: &Settings) -> Vec<Mistake> {
    if settings.profile != Profile::Production {
        return Vec::new();
    }
    let of_tenants = settings.tenants.values().map(|tenant| &tenant.routes);
    let routes = std::iter::once(&settings.routes).chain(of_tenants);
    let named: BTreeSet<&String> = routes
        .flat_map(BTreeMap::values)
        .flat_map(|route| {
            route
                .senders
                .iter()
                .chain(route.countries.values().flatten())
        })
        .collect();
    let idle = settings.senders.keys().filter(|name| !named.contains(name));
    idle.map(|name| Mistake {
        key: format!("senders.{name}"),
        what: "is in no route, so it sends nothing".to_owned(),
    })
    .collect()
}

/// Settings of senders that are permitted but look wrong.
pub(super) fn warnings(senders: &BTreeMap<String, ConfiguredSender>) -> Vec<Mistake> {
    let of_one = |(name, sender): (&String, &ConfiguredSender)| {
        let warnings = sender.settings.warnings().into_iter();
        let name = name.clone();
        warnings.map(move |SettingError { key, problem }| Mistake {
            key: format!("senders.{name}.{key}"),
            what: problem,
        })
    };
    senders.iter().flat_map(of_one).collect()
}

/// Whether a name can be part of a URL without escapes.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-'
    })
}

/// Reads the keys shared by all senders with an HTTP API.
fn connection(row: &mut Table<'_>) -> ConnectionSettings {
    ConnectionSettings {
        allow_hosts: row.list("allow_hosts").unwrap_or_default(),
        plaintext: !row.is_production(),
        ca_file: row.file("ca_file"),
        // A customer is waiting, so the limit is short.
        timeout: row.millis("timeout_ms", 10_000, &(100..=15_000)),
    }
}

/// Reads the required list of channels that a sender carries.
fn channels(row: &mut Table<'_>) -> Vec<Channel> {
    let all = Channel::ALL.map(|channel| (channel.as_str(), channel));
    row.required_words("channels", &all)
}

/// Whether a host is this machine, to which production may connect in plaintext.
fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

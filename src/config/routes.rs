//! `[routes]`, `[tenants.NAME.routes]` and `[breaker]`: which senders take a message, and when one is left alone.

use std::{collections::BTreeMap, time::Duration};

use super::{Profile, SenderSettings, Table};
use crate::domain::{
    delivery::route::SENDERS_MAX,
    ids::Invalid,
    recipient::{Channel, number::Country},
};

/// The most that a sender weighs.
const WEIGHT_MAX: u16 = 1000;
/// The shortest wait before a hedge: well within it most answers come, and each that does not costs a second message.
const HEDGE_MIN: Duration = Duration::from_millis(500);

/// The senders of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSettings {
    /// Their names, in the order in which they are tried.
    pub senders: Vec<String>,
    /// How often each comes first, one number for each. Empty: the order always holds.
    pub weights: Vec<u16>,
    /// Those for the numbers of a country.
    pub countries: BTreeMap<Country, Vec<String>>,
    /// After how long without an answer the next sender gets the message too; none: never.
    pub hedge_after: Option<Duration>,
}

/// The routes of one set of settings.
pub type ChannelRoutes = BTreeMap<Channel, RouteSettings>;

/// When a sender is left alone for a while.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// Messages that fail in a row, after which it is.
    pub failures: u8,
    /// How long, the first time.
    pub open: Duration,
    /// The longest.
    pub open_max: Duration,
}

impl BreakerSettings {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let settings = Self {
            failures: table.small("failures", 5, &(1..=50)),
            open: table.seconds("open_s", 10, &(1..=600)),
            open_max: table.seconds("open_max_s", 120, &(1..=3600)),
        };
        if settings.open > settings.open_max {
            table.mistake("open_s", "is longer than open_max_s");
        }
        table.finish();
        settings
    }
}

/// What a route may name, and how long its senders have.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) senders: &'a BTreeMap<String, SenderSettings>,
    pub(super) send_deadline: Duration,
}

pub(super) fn routes(table: Table<'_>, means: Means<'_>, profile: Profile) -> ChannelRoutes {
    if profile == Profile::Production && table.keys().is_empty() {
        table.mistake_here("must have at least one route in production");
    }
    channel_routes(table, means)
}

/// The routes of one tenant, for channels that all tenants have.
pub(super) fn of_tenant(
    row: &mut Table<'_>,
    means: Means<'_>,
    usual: &ChannelRoutes,
) -> ChannelRoutes {
    let routes = channel_routes(row.table("routes"), means);
    for channel in routes.keys().filter(|channel| !usual.contains_key(channel)) {
        let channel = channel.as_str();
        row.mistake(
            &format!("routes.{channel}"),
            format!("needs [routes.{channel}] beside it, for the other tenants"),
        );
    }
    routes
}

fn channel_routes(mut table: Table<'_>, means: Means<'_>) -> ChannelRoutes {
    let mut routes = BTreeMap::new();
    for (name, mut row) in table.named() {
        let Some(channel) = Channel::from_name(&name) else {
            // Nothing is known of its keys, so none of them is a mistake.
            row.mistake_here("is no channel: push, email, sms, voice, whatsapp");
            continue;
        };
        routes.insert(channel, route(&mut row, channel, means));
        row.finish();
    }
    table.finish();
    routes
}

fn route(row: &mut Table<'_>, channel: Channel, means: Means<'_>) -> RouteSettings {
    let Means {
        senders,
        send_deadline,
    } = means;
    let names = names(row, "senders", channel, senders);
    let weights = weights(row, names.len());
    let hedge_after = hedge_after(row, send_deadline);
    let mut table = row.table("countries");
    let mut countries = BTreeMap::new();
    for key in table.keys() {
        let names = self::names(&mut table, &key, channel, senders);
        // From the environment the letters come in lower case.
        match Country::parse(&key.to_ascii_uppercase()) {
            Ok(_) if matches!(channel, Channel::Email | Channel::Push) => {
                table.mistake(&key, "is for telephone numbers alone")
            }
            Ok(country) => drop(countries.insert(country, names)),
            Err(Invalid(what)) => table.mistake(&key, what),
        }
    }
    table.finish();
    RouteSettings {
        senders: names,
        weights,
        countries,
        hedge_after,
    }
}

/// A list of senders that carry the channel.
fn names(
    table: &mut Table<'_>,
    key: &str,
    channel: Channel,
    senders: &BTreeMap<String, SenderSettings>,
) -> Vec<String> {
    let names = table.list(key).unwrap_or_default();
    if names.is_empty() || names.len() > SENDERS_MAX {
        table.mistake(key, format!("must name 1 to {SENDERS_MAX} senders"));
    }
    for (at, name) in names.iter().enumerate() {
        match senders.get(name) {
            None => table.mistake(key, format!("{name:?} is none of the senders")),
            Some(settings) if !settings.carries(channel) => {
                let lacks = settings
                    .lacks(channel)
                    .map_or_else(String::new, |keys| format!(" without {keys}"));
                table.mistake(
                    key,
                    format!("{name:?} does not carry {}{lacks}", channel.as_str()),
                );
            }
            Some(_) if names[..at].contains(name) => {
                table.mistake(key, format!("{name:?} comes twice"))
            }
            Some(_) => {}
        }
    }
    names
}

fn weights(row: &mut Table<'_>, senders: usize) -> Vec<u16> {
    let Some(texts) = row.list("weights") else {
        return Vec::new();
    };
    let parse = |text: &String| text.parse().ok().filter(|weight| *weight <= WEIGHT_MAX);
    let weights: Option<Vec<u16>> = texts.iter().map(parse).collect();
    match weights {
        Some(weights) if weights.len() == senders && weights.iter().any(|weight| *weight > 0) => {
            return weights;
        }
        Some(weights) if weights.len() == senders => {
            row.mistake("weights", "must hold one above 0")
        }
        Some(_) => row.mistake(
            "weights",
            format!("must be as many as the senders, which are {senders}"),
        ),
        None => row.mistake(
            "weights",
            format!("must be whole numbers within 0 to {WEIGHT_MAX}"),
        ),
    }
    Vec::new()
}

fn hedge_after(row: &mut Table<'_>, send_deadline: Duration) -> Option<Duration> {
    let after = row.millis("hedge_ms", 0, &(0..=10_000));
    if after.is_zero() {
        return None;
    }
    if after < HEDGE_MIN {
        row.mistake(
            "hedge_ms",
            format!("must be 0, or {} or more", HEDGE_MIN.as_millis()),
        );
    } else if after >= send_deadline {
        row.mistake("hedge_ms", "must be below worker.send_deadline_ms");
    }
    Some(after)
}

//! `[routes]`, `[tenants.NAME.routes]` and `[breaker]`: which senders send a message, and when a failing one is
//! skipped.

use std::{collections::BTreeMap, time::Duration};

use super::{Table, reader::spelling::hint, senders::Senders};
use crate::{
    domain::{
        delivery::route::SENDERS_MAX,
        ids::Invalid,
        recipient::{Channel, number::Country},
    },
    service::delivery::breakers::BreakerSettings,
};

/// The largest weight that the settings accept.
const WEIGHT_MAX: u16 = 1000;
/// The shortest wait before a hedged send. Most answers arrive well within it; each that does not
/// costs a second message.
const HEDGE_MIN: Duration = Duration::from_millis(500);

/// The senders of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSettings {
    /// The names of the senders, in the order in which they are tried.
    pub senders: Vec<String>,
    /// How often each sender is tried first, one number per sender. Empty: always in the order of `senders`.
    pub weights: Vec<u16>,
    /// Senders for the numbers of a country, used instead of `senders`.
    pub countries: BTreeMap<Country, Vec<String>>,
    /// The time without an answer after which the next sender gets the message too; `None` for never.
    pub hedge_after: Option<Duration>,
}

/// The routes of all channels that have one.
pub type ChannelRoutes = BTreeMap<Channel, RouteSettings>;

/// `[breaker]`: when a failing sender is skipped, and for how long.
pub(super) fn breaker(mut table: Table<'_>) -> BreakerSettings {
    let settings = BreakerSettings {
        failures: table.small("failures", 5, &(1..=50)),
        open: table.seconds("open_s", 10, &(1..=600)),
        open_max: table.seconds("open_max_s", 120, &(1..=3600)),
    };
    if settings.open > settings.open_max {
        table.mistake(
            "open_s",
            "is longer than open_max_s; lower it or raise the other",
        );
    }
    table.finish();
    settings
}

/// The senders that routes can name, and the deadline for them.
#[derive(Clone, Copy)]
pub(super) struct RouteContext<'a> {
    pub(super) senders: &'a Senders,
    pub(super) send_deadline: Duration,
}

pub(super) fn routes(table: Table<'_>, context: RouteContext<'_>) -> ChannelRoutes {
    if table.is_production() && table.keys().is_empty() {
        table.mistake_here("is empty; production needs at least one route");
    }
    channel_routes(table, context)
}

/// The routes of one tenant; each needs a route of the same channel for the other tenants.
pub(super) fn of_tenant(
    row: &mut Table<'_>,
    context: RouteContext<'_>,
    usual: &ChannelRoutes,
) -> ChannelRoutes {
    let routes = channel_routes(row.table("routes"), context);
    let is_unclear = row.is_root_unclear("routes");
    let lacking = |channel: &&Channel| !usual.contains_key(channel) && !is_unclear;
    for channel in routes.keys().filter(lacking) {
        let channel = channel.as_str();
        row.mistake(
            &format!("routes.{channel}"),
            format!("needs [routes.{channel}] too, for the other tenants"),
        );
    }
    routes
}

fn channel_routes(mut table: Table<'_>, context: RouteContext<'_>) -> ChannelRoutes {
    let mut routes = BTreeMap::new();
    for (name, mut row) in table.named() {
        let Some(channel) = Channel::from_name(&name) else {
            // The keys of an unknown channel are not checked, so none of them is reported.
            row.mistake_here(
                "is not a channel; the channels are push, email, sms, voice, whatsapp",
            );
            continue;
        };
        routes.insert(channel, route(&mut row, channel, context));
        row.finish();
    }
    table.finish();
    routes
}

fn route(row: &mut Table<'_>, channel: Channel, context: RouteContext<'_>) -> RouteSettings {
    let names = names(row, "senders", channel, context.senders);
    let weights = weights(row, names.len());
    let hedge_after = hedge_after(row, context.send_deadline);
    let mut table = row.table("countries");
    let mut countries = BTreeMap::new();
    for key in table.keys() {
        let names = self::names(&mut table, &key, channel, context.senders);
        // Keys from environment variables are in lower case.
        match Country::parse(&key.to_ascii_uppercase()) {
            Ok(_) if matches!(channel, Channel::Email | Channel::Push) => table.mistake(
                &key,
                "is a country, and this channel has no telephone numbers",
            ),
            Ok(country) => drop(countries.insert(country, names)),
            Err(Invalid(what)) => table.mistake(&key, format!("is a key that {what}")),
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

/// Reads a list of senders, each of which must carry the channel.
fn names(table: &mut Table<'_>, key: &str, channel: Channel, senders: &Senders) -> Vec<String> {
    let names = table.list(key).unwrap_or_default();
    if names.is_empty() || names.len() > SENDERS_MAX {
        let what = format!(
            "names {} senders; it must name 1 to {SENDERS_MAX}",
            names.len()
        );
        table.mistake(key, what);
    }
    for (at, name) in names.iter().enumerate() {
        let problem = if names[..at].contains(name) {
            Some("twice".to_owned())
        } else {
            unusable(name, channel, senders)
        };
        if let Some(problem) = problem {
            table.mistake(key, format!("names {name:?} {problem}"));
        }
    }
    names
}

/// Why a sender cannot be in a route of this channel, as the end of a sentence; `None` if it can.
fn unusable(name: &str, channel: Channel, senders: &Senders) -> Option<String> {
    // The mistakes of a broken sender are already reported.
    if senders.broken.contains(name) {
        return None;
    }
    let Some(sender) = senders.ready.get(name) else {
        let known = senders.ready.keys().chain(&senders.broken);
        let hint = hint(known.map(String::as_str), name);
        return Some(format!("without a section [senders.{name}]{hint}"));
    };
    if sender.settings.carries(channel) {
        return None;
    }
    let missing = sender.settings.missing_for(channel);
    let without = missing.map_or_else(String::new, |keys| format!(" without {keys}"));
    Some(format!(
        "which does not carry {}{without}",
        channel.as_str()
    ))
}

fn weights(row: &mut Table<'_>, senders: usize) -> Vec<u16> {
    let Some(texts) = row.list("weights") else {
        return Vec::new();
    };
    let parse = |text: &String| text.parse().ok().filter(|weight| *weight <= WEIGHT_MAX);
    let weights: Option<Vec<u16>> = texts.iter().map(parse).collect();
    let problem = match weights {
        None => format!("must be whole numbers from 0 to {WEIGHT_MAX}"),
        Some(weights) if weights.len() != senders => {
            format!("has {} weights for {senders} senders", weights.len())
        }
        Some(weights) if weights.iter().all(|weight| *weight == 0) => {
            "must have at least one weight above 0".to_owned()
        }
        Some(weights) => return weights,
    };
    row.mistake("weights", problem);
    Vec::new()
}

fn hedge_after(row: &mut Table<'_>, send_deadline: Duration) -> Option<Duration> {
    let after = row.millis("hedge_ms", 0, &(0..=10_000));
    if after.is_zero() {
        return None;
    }
    if after < HEDGE_MIN {
        let what = format!("must be 0 (off), or at least {}", HEDGE_MIN.as_millis());
        row.mistake("hedge_ms", what);
    } else if after >= send_deadline {
        row.mistake("hedge_ms", "must be shorter than worker.send_deadline_ms");
    }
    Some(after)
}

//! `countersign keys usage`: counts the stored records and events by the key that seals them.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::json;

use super::{complain, say};
use crate::{
    app,
    config::Settings,
    domain::crypto::keyring::Kid,
    service::record::usage::{KeyUsage, Sealed},
};

/// The kinds of records, in the order of the columns.
const KINDS: [&str; 5] = ["subject", "breaker", "delivery", "tally", "unknown"];

/// A key id that is in the ring or in the store.
struct Line<'a> {
    /// `None` for data that names no key.
    kid: Option<&'a Kid>,
    in_ring: bool,
    current: bool,
    sealed: Sealed,
}

/// Counts, prints the result, and warns about keys that are needed but missing.
pub(super) async fn run(settings: &Settings, as_json: bool) -> anyhow::Result<()> {
    let store = app::read_store(settings).await?;
    let usage = KeyUsage::count(&*store).await?;
    let ring: Vec<&Kid> = settings.keys.ring.iter().map(|entry| &entry.kid).collect();
    let lines = lines(&ring, &usage);
    if as_json {
        say(&json_of(&lines));
    } else {
        say(&table(&lines));
    }
    lines
        .iter()
        .filter_map(warning)
        .for_each(|text| complain(&text));
    Ok(())
}

/// The keys of the ring in their order, then keys found only in the store.
fn lines<'a>(ring: &[&'a Kid], usage: &'a KeyUsage) -> Vec<Line<'a>> {
    let sealed = |kid: Option<&Kid>| usage.by_kid.get(&kid.cloned()).cloned().unwrap_or_default();
    let of_ring = ring.iter().enumerate().map(|(place, kid)| Line {
        kid: Some(kid),
        in_ring: true,
        current: place == 0,
        sealed: sealed(Some(kid)),
    });
    let others = usage.by_kid.keys().map(Option::as_ref);
    let others = others.filter(|kid| kid.is_none_or(|kid| !ring.contains(&kid)));
    let others = others.map(|kid| Line {
        kid,
        in_ring: false,
        current: false,
        sealed: sealed(kid),
    });
    let mut lines: Vec<_> = of_ring.chain(others).collect();
    // Data that names no key comes last.
    lines.sort_by_key(|line| line.kid.is_none());
    lines
}

/// The heading of a column.
fn plural(kind: &str) -> String {
    match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{kind}s"),
    }
}

fn table(lines: &[Line<'_>]) -> String {
    let mut text = format!("{:<18}{:<18}", "key id", "in keys.ring");
    for kind in KINDS {
        let _ = write!(text, "{:>12}", plural(kind));
    }
    let _ = write!(text, "{:>12}", "events");
    for line in lines {
        let name = line.kid.map_or("(names no key)", Kid::as_str);
        let place = match (line.in_ring, line.current, line.kid) {
            (true, true, _) => "yes, current",
            (true, false, _) => "yes",
            (false, _, Some(_)) => "NO",
            (false, _, None) => "-",
        };
        let _ = write!(text, "\n{name:<18}{place:<18}");
        for kind in KINDS {
            let count = line.sealed.records.get(kind).copied().unwrap_or_default();
            let _ = write!(text, "{count:>12}");
        }
        let _ = write!(text, "{:>12}", line.sealed.events);
    }
    text
}

fn json_of(lines: &[Line<'_>]) -> String {
    let line = |line: &Line<'_>| {
        let count = |kind| line.sealed.records.get(kind).copied().unwrap_or_default();
        let records: BTreeMap<&str, u64> = KINDS.map(|kind| (kind, count(kind))).into();
        json!({
            "kid": line.kid.map(Kid::as_str),
            "in_ring": line.in_ring,
            "current": line.current,
            "records": records,
            "events": line.sealed.events,
        })
    };
    let keys: Vec<_> = lines.iter().map(line).collect();
    json!({ "keys": keys }).to_string()
}

/// What the operator must know about a key; `None` for the current key.
fn warning(line: &Line<'_>) -> Option<String> {
    let (records, events) = (line.sealed.all_records(), line.sealed.events);
    match (line.kid, line.in_ring) {
        _ if line.current => None,
        (Some(kid), true) if records == 0 && events == 0 => Some(format!(
            "{}: nothing stored needs this key; it can leave keys.ring once the longest code lifetime has passed",
            kid.as_str()
        )),
        (Some(kid), true) => Some(format!(
            "{}: still needed by {records} records and {events} events; keep it in keys.ring",
            kid.as_str()
        )),
        (Some(kid), false) => Some(format!(
            "warning: {}: NOT in keys.ring, so {records} records and {events} events cannot be opened; put the key back",
            kid.as_str()
        )),
        (None, _) => Some(format!(
            "warning: {records} records and {events} events name no key: they are damaged, foreign, or of a newer version"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage() -> KeyUsage {
        let sealed = |subjects, events| Sealed {
            records: [("subject", subjects)].into(),
            events,
        };
        let kid = |kid| Some(Kid::parse(kid).unwrap());
        KeyUsage {
            by_kid: [
                (kid("a-dropped"), sealed(3, 4)),
                (kid("new"), sealed(1, 2)),
                (kid("old"), sealed(5, 0)),
                (None, sealed(6, 0)),
            ]
            .into(),
        }
    }

    #[test]
    fn seal_06_a_key_in_use_that_is_missing_is_warned_of() {
        let ring = ["new", "old", "idle"].map(|kid| Kid::parse(kid).unwrap());
        let (ring, usage) = (ring.each_ref().to_vec(), usage());
        let lines = lines(&ring, &usage);
        let table = table(&lines);
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|row| row.split_whitespace().collect())
            .collect();
        assert_eq!(
            rows[1],
            ["new", "yes,", "current", "1", "0", "0", "0", "0", "2"]
        );
        assert_eq!(rows[2], ["old", "yes", "5", "0", "0", "0", "0", "0"]);
        assert_eq!(rows[3], ["idle", "yes", "0", "0", "0", "0", "0", "0"]);
        assert_eq!(rows[4], ["a-dropped", "NO", "3", "0", "0", "0", "0", "4"]);
        assert_eq!(
            rows[5],
            ["(names", "no", "key)", "-", "6", "0", "0", "0", "0", "0"]
        );
        let told: Vec<String> = lines.iter().filter_map(warning).collect();
        let about = [
            "old: still needed by 5",
            "idle: nothing stored",
            "warning: a-dropped: NOT",
            "warning: 6",
        ];
        assert_eq!(told.len(), about.len(), "{told:?}");
        for (told, about) in told.iter().zip(about) {
            assert!(told.starts_with(about), "{told}");
        }
        let json: serde_json::Value = serde_json::from_str(&json_of(&lines)).unwrap();
        assert_eq!(json["keys"][3]["kid"], "a-dropped");
        assert_eq!(json["keys"][3]["in_ring"], false);
        assert_eq!(json["keys"][3]["records"]["subject"], 3);
        assert_eq!(json["keys"][4]["kid"], serde_json::Value::Null);
    }
}

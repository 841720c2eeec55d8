//! Events: one stream per shard. An entry holds the events of one commit. Its id is the time in milliseconds by the
//! server's clock, and a number within that millisecond.

use redis::cmd;

use super::{
    Core,
    connection::{
        lua::TRIM,
        node::Lane,
        trip::{Trip, go},
    },
    keys::{read_short, short, slot},
};
use crate::{
    domain::{record::key::RecordKey, time::Timestamp},
    ports::store::{Retention, StoreError, StoredEvent, Trimmed, whole_entries},
};

/// The largest number of entries deleted by one call of the script, so that other calls are not delayed.
const TRIM_STEP: u64 = 256;

/// The low bits of a cursor: the number of an event within its millisecond.
const CURSOR_BITS: u32 = 22;

impl Core {
    /// The id argument for a new event: `*` for the server's clock, or the test's time.
    pub(super) fn event_id(&self) -> String {
        self.test_now().map_or_else(
            || "*".to_owned(),
            |now| format!("{}-*", now.as_micros() / 1000),
        )
    }

    pub(super) async fn append_event(
        &self,
        key: &RecordKey,
        event: &[u8],
    ) -> Result<(), StoreError> {
        let events = self.keys.events(self.keys.shard(key));
        let mut add = cmd("XADD");
        add.arg(&events).arg(self.event_id());
        add.arg("k").arg(short(&key.to_bytes())).arg("e").arg(event);
        go(
            &self.topology,
            Trip::once(slot(&events), Lane::Plain),
            &[add],
        )
        .await
        .map(drop)
    }

    pub(super) async fn read_events(
        &self,
        shard: u16,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let events = self.keys.events(shard);
        let (mut after, mut found) = (after, Vec::new());
        loop {
            let mut range = cmd("XRANGE");
            range
                .arg(&events)
                .arg(entry_after(after))
                .arg("+")
                .arg("COUNT")
                .arg(i64::try_from(limit).unwrap_or(i64::MAX));
            let rows: Vec<(String, Vec<Vec<u8>>)> =
                go(&self.topology, Trip::repeatable(slot(&events)), &[range])
                    .await?
                    .one()?;
            let last = rows.last().and_then(|(id, _)| cursor(id));
            let more = rows.len() >= limit;
            found.extend(rows.into_iter().flat_map(read_entry));
            match last {
                // Entries in a form that no version writes are passed over.
                Some(last) if more && found.len() < limit => after = last,
                Some(_) | None => return Ok(whole_entries(found, limit)),
            }
        }
    }

    /// Deletes events of the shards of this process, oldest first.
    pub(super) async fn trim_own_events(&self, keep: Retention) -> Result<Trimmed, StoreError> {
        let mut trimmed = Trimmed::default();
        for shard in self.share.own().iter() {
            loop {
                let (old, young, entries, left) = self.trim(*shard, keep).await?;
                trimmed.old += old;
                trimmed.young += young;
                if entries < TRIM_STEP {
                    trimmed.fullest = trimmed.fullest.max(left);
                    break;
                }
            }
        }
        Ok(trimmed)
    }

    async fn trim(&self, shard: u16, keep: Retention) -> Result<(u64, u64, u64, u64), StoreError> {
        let events = self.keys.events(shard);
        let trip = Trip::repeatable(slot(&events)).script(&TRIM);
        let mut call = TRIM.on(&[events]);
        call.arg(keep.since.as_micros().div_ceil(1000))
            .arg(keep.entries_max)
            .arg(TRIM_STEP);
        go(&self.topology, trip, &[call]).await?.one()
    }
}

/// The cursor that comes right before the first entry of this time.
pub(super) fn cursor_before(at: Timestamp) -> u64 {
    (at.as_micros().div_ceil(1000) << CURSOR_BITS).saturating_sub(1)
}

/// Where a stream is read from, as an argument of `XRANGE`.
fn entry_after(cursor: u64) -> String {
    let (millis, number) = (cursor >> CURSOR_BITS, cursor & ((1 << CURSOR_BITS) - 1));
    if cursor == 0 {
        "-".to_owned()
    } else {
        format!("({millis}-{number}")
    }
}

/// The cursor of an entry; `None` if the id is not one.
fn cursor(id: &str) -> Option<u64> {
    let (millis, number) = id.split_once('-')?;
    let (millis, number): (u64, u64) = (millis.parse().ok()?, number.parse().ok()?);
    Some((millis << CURSOR_BITS) | number)
}

/// The events of a stream entry: the record key in `k`, and each event in an `e`. Version 0.1 wrote one event per entry.
/// None for an entry in any other form.
fn read_entry((id, fields): (String, Vec<Vec<u8>>)) -> Vec<StoredEvent> {
    let (mut key, mut events) = (None, Vec::new());
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match &name[..] {
            b"k" => key = read_short(&value),
            b"e" => events.push(value),
            _ => {}
        }
    }
    let (Some(key), Some(cursor)) = (key, cursor(&id)) else {
        return Vec::new();
    };
    let at = Timestamp::from_micros((cursor >> CURSOR_BITS) * 1000);
    let stored = |sealed| StoredEvent {
        cursor,
        key,
        at,
        sealed,
    };
    events.into_iter().map(stored).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_and_the_cursors_of_its_millisecond_go_together() {
        let at = |micros| cursor_before(Timestamp::from_micros(micros));
        let entry = |id: &str| cursor(id).unwrap();
        assert!(at(7000) < entry("7-0") && at(7000) >= entry("6-4194303"));
        assert!(
            at(7001) >= entry("7-4194303"),
            "an entry has whole milliseconds"
        );
        assert_eq!(at(0), 0);
        assert_eq!(entry_after(0), "-");
        assert_eq!(entry_after(entry("7-3")), "(7-3");
    }
}

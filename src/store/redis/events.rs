//! Events: one stream per shard. An entry's id is the time in milliseconds by the server's clock, and a number within
//! that millisecond.

use redis::cmd;

use super::{
    Core,
    connection::{
        node::Lane,
        trip::{Trip, go},
    },
    keys::{read_short, short, slot},
};
use crate::{
    domain::{record::key::RecordKey, time::Timestamp},
    ports::store::{StoreError, StoredEvent},
    store::bounds::{EVENTS_MAX, TRIM_STEP},
};

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

    /// The largest number of events that a shard keeps.
    pub(super) fn events_max(&self) -> u64 {
        EVENTS_MAX / u64::from(self.keys.shards())
    }

    pub(super) async fn append_event(
        &self,
        key: &RecordKey,
        event: &[u8],
    ) -> Result<(), StoreError> {
        let events = self.keys.events(self.keys.shard(key));
        let mut add = cmd("XADD");
        add.arg(&events)
            .arg("MAXLEN")
            .arg("~")
            .arg(self.events_max())
            .arg(self.event_id());
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
        let (millis, number) = (after >> CURSOR_BITS, after & ((1 << CURSOR_BITS) - 1));
        let from = if after == 0 {
            "-".to_owned()
        } else {
            format!("({millis}-{number}")
        };
        let mut range = cmd("XRANGE");
        range
            .arg(&events)
            .arg(from)
            .arg("+")
            .arg("COUNT")
            .arg(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows: Vec<(String, Vec<Vec<u8>>)> =
            go(&self.topology, Trip::repeatable(slot(&events)), &[range])
                .await?
                .one()?;
        Ok(rows.into_iter().filter_map(event).collect())
    }

    /// Deletes the events written before `end` in the shards of this process; returns how many.
    pub(super) async fn trim_own_events(&self, end: Timestamp) -> Result<u64, StoreError> {
        let mut dropped = 0;
        for shard in self.share.own().iter() {
            // In steps, so that other calls are not delayed; the last call is exact, and has little left to do.
            while let count @ 1.. = self.trim(*shard, end, Some(TRIM_STEP)).await? {
                dropped += count;
            }
            dropped += self.trim(*shard, end, None).await?;
        }
        Ok(dropped)
    }

    /// With `step`, deletes whole nodes of the stream, at most `step` events; without, deletes exactly all.
    async fn trim(
        &self,
        shard: u16,
        end: Timestamp,
        step: Option<usize>,
    ) -> Result<u64, StoreError> {
        let events = self.keys.events(shard);
        let mut call = cmd("XTRIM");
        call.arg(&events)
            .arg("MINID")
            .arg(if step.is_some() { "~" } else { "=" })
            .arg(end.as_micros() / 1000);
        if let Some(step) = step {
            call.arg("LIMIT").arg(step);
        }
        go(&self.topology, Trip::repeatable(slot(&events)), &[call])
            .await?
            .one()
    }
}

/// Parses a stream entry; `None` for an entry in any other form.
fn event((id, fields): (String, Vec<Vec<u8>>)) -> Option<StoredEvent> {
    let (millis, number) = id.split_once('-')?;
    let (millis, number): (u64, u64) = (millis.parse().ok()?, number.parse().ok()?);
    let mut fields = fields.into_iter().skip(1).step_by(2);
    let (key, sealed) = (fields.next()?, fields.next()?);
    Some(StoredEvent {
        cursor: (millis << CURSOR_BITS) | number,
        key: read_short(&key)?,
        at: Timestamp::from_micros(millis * 1000),
        sealed,
    })
}

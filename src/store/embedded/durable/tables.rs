//! The tables of the database file, and the writes that keep them consistent with each other.

use redb::{
    Database, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction,
};

use crate::{
    domain::{
        record::key::{RECORD_KEY_BYTES, RecordKey},
        time::Timestamp,
    },
    ports::store::{Commit, Committed, SealedEvent, Token, Write},
};

/// The format that this program writes. Raise it with each change of the tables below.
pub(super) const FORMAT: u64 = 2;

/// Numbers about the store itself. The table's name has no version, because it holds the version of the others.
pub(super) const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");

pub(super) const FORMAT_KEY: &str = "format";

/// Key in `NUMBERS`: the cursor of the newest event ever written, so that no cursor is used again after a trim.
pub(super) const LAST_CURSOR_KEY: &str = "last_cursor";

/// Ids of the store itself; today only the generation.
pub(super) const IDS: TableDefinition<&str, &[u8; 16]> = TableDefinition::new("ids.v1");

pub(super) const GENERATION_KEY: &str = "generation";

/// A record key as bytes: kind letter, then hash.
pub(super) type Key = &'static [u8; RECORD_KEY_BYTES];

/// A stored record: compare token, due time in microseconds, sealed bytes.
pub(super) type Row = (&'static [u8; 12], Option<u64>, &'static [u8]);

/// Records by record key.
pub(super) const RECORDS: TableDefinition<Key, Row> = TableDefinition::new("records.v2");

/// The due index: one entry (due time in microseconds, record key) for each record that has a due time.
pub(super) const DUE: TableDefinition<(u64, Key), ()> = TableDefinition::new("due.v2");

/// A stored event: time in microseconds, record key, sealed bytes.
type EventRow = (u64, Key, &'static [u8]);

/// The audit events by their cursors.
pub(super) const EVENTS: TableDefinition<u64, EventRow> = TableDefinition::new("events.v2");

/// The tables of one write transaction, opened once for the whole batch.
pub(super) struct Tables<'t> {
    numbers: Table<'t, &'static str, u64>,
    records: Table<'t, Key, Row>,
    due: Table<'t, (u64, Key), ()>,
    events: Table<'t, u64, EventRow>,
    last_cursor: u64,
}

impl<'t> Tables<'t> {
    /// Opens the tables, and creates missing ones.
    pub(super) fn open(write: &'t WriteTransaction) -> Result<Self, redb::Error> {
        let numbers = write.open_table(NUMBERS)?;
        let last_cursor = numbers
            .get(LAST_CURSOR_KEY)?
            .map_or(0, |cursor| cursor.value());
        let (records, due, events) = (
            write.open_table(RECORDS)?,
            write.open_table(DUE)?,
            write.open_table(EVENTS)?,
        );
        Ok(Self {
            numbers,
            records,
            due,
            events,
            last_cursor,
        })
    }

    /// Writes a change with its due entry and events; nothing if the record has another token.
    pub(super) fn commit(
        &mut self,
        commit: &Commit,
        at: Timestamp,
    ) -> Result<Committed, redb::Error> {
        let key = &commit.key.to_bytes();
        let found = self.found(key)?;
        if found.map(|(token, _)| token) != commit.expect {
            return Ok(Committed::Conflict);
        }
        if let Some((_, Some(wake_at))) = found {
            self.due.remove((wake_at, key))?;
        }
        match &commit.write {
            Write::Put {
                blob,
                wake_at,
                keep_until: _,
            } => {
                let wake_at = wake_at.map(Timestamp::as_micros);
                self.records
                    .insert(key, (&blob.token, wake_at, &*blob.bytes))?;
                if let Some(wake_at) = wake_at {
                    self.due.insert((wake_at, key), ())?;
                }
            }
            Write::Delete => {
                self.records.remove(key)?;
            }
        }
        commit
            .events
            .iter()
            .try_for_each(|event| self.append(&commit.key, event, at))?;
        Ok(Committed::Done)
    }

    /// Moves the due entry of a record, if it has one; nothing if the record has another token.
    pub(super) fn postpone(
        &mut self,
        key: &RecordKey,
        expect: Option<Token>,
        until: Timestamp,
    ) -> Result<Committed, redb::Error> {
        let key = &key.to_bytes();
        let found = self.found(key)?;
        if found.map(|(token, _)| token) != expect {
            return Ok(Committed::Conflict);
        }
        let Some((token, Some(wake_at))) = found else {
            return Ok(Committed::Done);
        };
        let until = until.as_micros();
        let bytes = self.records.get(key)?.map(|row| row.value().2.to_vec());
        self.records
            .insert(key, (&token, Some(until), &*bytes.unwrap_or_default()))?;
        self.due.remove((wake_at, key))?;
        self.due.insert((until, key), ())?;
        Ok(Committed::Done)
    }

    /// Token and due time of a stored record.
    fn found(
        &self,
        key: &[u8; RECORD_KEY_BYTES],
    ) -> Result<Option<(Token, Option<u64>)>, redb::Error> {
        let row = self.records.get(key)?;
        Ok(row.map(|row| (*row.value().0, row.value().1)))
    }

    /// Appends an event with the next cursor; `at` is the time stored with it.
    pub(super) fn append(
        &mut self,
        key: &RecordKey,
        event: &SealedEvent,
        at: Timestamp,
    ) -> Result<(), redb::Error> {
        self.last_cursor += 1;
        self.events.insert(
            self.last_cursor,
            (at.as_micros(), &key.to_bytes(), event.as_slice()),
        )?;
        Ok(())
    }

    /// Ends the batch: stores the last cursor and drops the oldest events beyond `events_max`; returns how many.
    pub(super) fn finish(mut self, events_max: u64) -> Result<u64, redb::Error> {
        self.numbers.insert(LAST_CURSOR_KEY, self.last_cursor)?;
        let lost = self.events.len()?.saturating_sub(events_max);
        for _ in 0..lost {
            self.events.pop_first()?;
        }
        Ok(lost)
    }
}

/// Deletes at most `limit` events written before `end`, oldest first; returns how many.
pub(super) fn trim_events(
    db: &Database,
    end: Timestamp,
    limit: usize,
) -> Result<usize, redb::Error> {
    let write = db.begin_write()?;
    let mut dropped = 0;
    {
        let mut events = write.open_table(EVENTS)?;
        while dropped < limit
            && events
                .first()?
                .is_some_and(|(_, row)| row.value().0 < end.as_micros())
        {
            events.pop_first()?;
            dropped += 1;
        }
    }
    if dropped == 0 {
        write.abort()?;
    } else {
        write.commit()?;
    }
    Ok(dropped)
}

#[cfg(test)]
mod tests {
    use redb::{ReadableDatabase, backends::InMemoryBackend};

    use super::*;
    use crate::domain::ids::SubjectKey;

    #[test]
    fn the_oldest_event_makes_room_for_the_newest() {
        let db = Database::builder()
            .create_with_backend(InMemoryBackend::new())
            .unwrap();
        for (events, lost) in [(3, 0), (4, 2)] {
            let write = db.begin_write().unwrap();
            let mut tables = Tables::open(&write).unwrap();
            for _ in 0..events {
                tables
                    .append(&SubjectKey([0; 16]).into(), &vec![], Timestamp::default())
                    .unwrap();
            }
            assert_eq!(tables.finish(5).unwrap(), lost);
            write.commit().unwrap();
        }
        let events = db.begin_read().unwrap().open_table(EVENTS).unwrap();
        let kept: Vec<_> = events
            .range::<u64>(..)
            .unwrap()
            .map(|row| row.unwrap().0.value())
            .collect();
        assert_eq!(kept, [3, 4, 5, 6, 7]);
    }
}

//! The tables of the database file, and the writes that keep them consistent with each other.

use std::ops::Bound;

use redb::{
    Database, ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
    WriteTransaction,
};

use super::entry::{pack, unpack};
use crate::{
    domain::{
        record::key::{RECORD_KEY_BYTES, RecordKey},
        time::Timestamp,
    },
    ports::store::{Commit, Committed, Retention, SealedEvent, StoredEvent, Token, Trimmed, Write},
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

/// The events of one commit: time in microseconds, record key, sealed bytes as in `entry`.
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
        self.append(&commit.key, &commit.events, at)?;
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

    /// Appends the events of one commit with the next cursor; `at` is the time stored with them.
    pub(super) fn append(
        &mut self,
        key: &RecordKey,
        events: &[SealedEvent],
        at: Timestamp,
    ) -> Result<(), redb::Error> {
        if events.is_empty() {
            return Ok(());
        }
        self.last_cursor += 1;
        let row = (at.as_micros(), &key.to_bytes(), &*pack(events));
        self.events.insert(self.last_cursor, row)?;
        Ok(())
    }

    /// Ends the batch: stores the last cursor.
    pub(super) fn finish(mut self) -> Result<(), redb::Error> {
        self.numbers.insert(LAST_CURSOR_KEY, self.last_cursor)?;
        Ok(())
    }
}

/// Reads whole entries after a cursor, until there are at least `limit` events.
pub(super) fn read_events(
    read: &ReadTransaction,
    after: u64,
    limit: usize,
) -> Result<Vec<StoredEvent>, redb::Error> {
    let table = read.open_table(EVENTS)?;
    let mut found = Vec::new();
    for row in table.range::<u64>((Bound::Excluded(after), Bound::Unbounded))? {
        if found.len() >= limit {
            break;
        }
        let (cursor, row) = row?;
        let (at, key, events) = row.value();
        let stored = |sealed| StoredEvent {
            cursor: cursor.value(),
            key: RecordKey::from_bytes(key),
            at: Timestamp::from_micros(at),
            sealed,
        };
        found.extend(unpack(events).into_iter().map(stored));
    }
    Ok(found)
}

/// The cursor before the first entry written at this time or later.
pub(super) fn cursor_before(read: &ReadTransaction, at: Timestamp) -> Result<u64, redb::Error> {
    let table = read.open_table(EVENTS)?;
    let mut before = 0;
    for row in table.range::<u64>(..)? {
        let (cursor, row) = row?;
        if row.value().0 >= at.as_micros() {
            break;
        }
        before = cursor.value();
    }
    Ok(before)
}

/// The number of entries.
pub(super) fn entries(read: &ReadTransaction) -> Result<u64, redb::Error> {
    Ok(read.open_table(EVENTS)?.len()?)
}

/// Whether a trim would delete anything.
pub(super) fn is_over(read: &ReadTransaction, keep: Retention) -> Result<bool, redb::Error> {
    let events = read.open_table(EVENTS)?;
    let first = events.first()?.map(|(_, row)| row.value().0);
    let is_old = first.is_some_and(|at| at < keep.since.as_micros());
    Ok(is_old || events.len()? > keep.entries_max)
}

/// Deletes at most `step` entries that are not to be kept, oldest first. Returns how many entries that were.
pub(super) fn trim_events(
    db: &Database,
    keep: Retention,
    step: usize,
    trimmed: &mut Trimmed,
) -> Result<usize, redb::Error> {
    let write = db.begin_write()?;
    let (mut deleted, mut here) = (0, Trimmed::default());
    {
        let mut table = write.open_table(EVENTS)?;
        let mut left = table.len()?;
        while deleted < step {
            let Some(at) = table.first()?.map(|(_, row)| row.value().0) else {
                break;
            };
            let is_old = at < keep.since.as_micros();
            if !is_old && left <= keep.entries_max {
                break;
            }
            let events = table
                .pop_first()?
                .map(|(_, row)| unpack(row.value().2).len());
            let events = events.unwrap_or_default() as u64;
            if is_old {
                here.old += events;
            } else {
                here.young += events;
            }
            (deleted, left) = (deleted + 1, left - 1);
        }
        here.fullest = left;
    }
    if deleted == 0 {
        write.abort()?;
    } else {
        write.commit()?;
    }
    trimmed.old += here.old;
    trimmed.young += here.young;
    trimmed.fullest = here.fullest;
    Ok(deleted)
}

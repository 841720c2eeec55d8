//! The events of the in-memory store, in the order of their cursors.

use std::collections::VecDeque;

use crate::{
    domain::{record::key::RecordKey, time::Timestamp},
    ports::store::{Retention, SealedEvent, StoredEvent, Trimmed, whole_entries},
};

/// The events of one commit.
#[derive(Debug)]
struct Entry {
    cursor: u64,
    key: RecordKey,
    at: Timestamp,
    events: Vec<SealedEvent>,
}

impl Entry {
    fn stored(&self) -> impl Iterator<Item = StoredEvent> {
        let stored = |sealed: &SealedEvent| StoredEvent {
            cursor: self.cursor,
            key: self.key,
            at: self.at,
            sealed: sealed.clone(),
        };
        self.events.iter().map(stored)
    }
}

/// A list of entries whose cursors have no gaps.
#[derive(Debug)]
pub(super) struct EventLog {
    entries: VecDeque<Entry>,
    next_cursor: u64,
}

impl Default for EventLog {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            next_cursor: 1,
        }
    }
}

impl EventLog {
    /// Appends the events of one commit; nothing if there are none.
    pub(super) fn push(&mut self, key: RecordKey, events: Vec<SealedEvent>, at: Timestamp) {
        if events.is_empty() {
            return;
        }
        self.entries.push_back(Entry {
            cursor: self.next_cursor,
            key,
            at,
            events,
        });
        self.next_cursor += 1;
    }

    /// Reads whole entries after a cursor, until there are at least `limit` events.
    pub(super) fn read(&self, after: u64, limit: usize) -> Vec<StoredEvent> {
        let from = self.entries.partition_point(|entry| entry.cursor <= after);
        let entries = self.entries.range(from..).take(limit);
        whole_entries(entries.flat_map(Entry::stored).collect(), limit)
    }

    /// The cursor before the first entry written at this time or later.
    pub(super) fn cursor_before(&self, at: Timestamp) -> u64 {
        let first = self.entries.iter().find(|entry| entry.at >= at);
        first.map_or(self.next_cursor, |entry| entry.cursor) - 1
    }

    /// Removes at most `step` entries that are not to be kept, oldest first. Returns how many entries that were.
    pub(super) fn trim(&mut self, keep: Retention, step: usize, trimmed: &mut Trimmed) -> usize {
        let mut removed = 0;
        while removed < step {
            let is_over = self.entries.len() as u64 > keep.entries_max;
            let Some(entry) = self
                .entries
                .pop_front_if(|first| is_over || first.at < keep.since)
            else {
                break;
            };
            let events = entry.events.len() as u64;
            if entry.at < keep.since {
                trimmed.old += events;
            } else {
                trimmed.young += events;
            }
            removed += 1;
        }
        trimmed.fullest = self.entries.len() as u64;
        removed
    }
}

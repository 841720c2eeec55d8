//! The events of the in-memory store, in the order of their cursors.

use std::collections::VecDeque;

use crate::{
    domain::{record::key::RecordKey, time::Timestamp},
    ports::store::{SealedEvent, StoredEvent},
    store::bounds::EVENTS_LOST,
};

/// A bounded list of events whose cursors have no gaps.
#[derive(Debug)]
pub(super) struct EventLog {
    events: VecDeque<StoredEvent>,
    next_cursor: u64,
    events_max: u64,
}

impl EventLog {
    pub(super) fn new(events_max: u64) -> Self {
        Self {
            events: VecDeque::new(),
            next_cursor: 1,
            events_max,
        }
    }

    /// Appends an event; beyond `events_max` the oldest is dropped and counted as lost.
    pub(super) fn push(&mut self, key: RecordKey, sealed: SealedEvent, at: Timestamp) {
        if self.events.len() as u64 >= self.events_max {
            self.events.pop_front();
            metrics::counter!(EVENTS_LOST).increment(1);
        }
        self.events.push_back(StoredEvent {
            cursor: self.next_cursor,
            key,
            at,
            sealed,
        });
        self.next_cursor += 1;
    }

    /// Reads at most `limit` events after a cursor.
    pub(super) fn read(&self, after: u64, limit: usize) -> Vec<StoredEvent> {
        let from = self.events.partition_point(|event| event.cursor <= after);
        self.events.range(from..).take(limit).cloned().collect()
    }

    /// Removes at most `limit` events written before `end`, oldest first, and returns them.
    pub(super) fn trim(&mut self, end: Timestamp, limit: usize) -> Vec<StoredEvent> {
        let old = self
            .events
            .iter()
            .take(limit)
            .take_while(|event| event.at < end)
            .count();
        self.events.drain(..old).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::SubjectKey;

    #[test]
    fn the_oldest_event_makes_room_for_the_newest() {
        let mut log = EventLog::new(3);
        for n in 0..5 {
            log.push(SubjectKey([0; 16]).into(), vec![n], Timestamp::default());
        }
        let kept: Vec<_> = log
            .read(0, 10)
            .into_iter()
            .map(|event| (event.cursor, event.sealed[0]))
            .collect();
        assert_eq!(kept, [(3, 2), (4, 3), (5, 4)]);
    }
}

//! Alarms: when records have something to send, as far as this process knows from its own commits.
//!
//! The due index knows it too, for all processes, but it is read only now and then. An alarm makes
//! a retry or a step of a plan go out in time. Alarms are lost with the process; the due index is
//! not.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    domain::{ids::SubjectKey, time::Timestamp},
    ports::system::Clock,
};

/// Most alarms at a time. Records without one are found through the due index.
const ALARMS_MAX: usize = 65_536;

/// The alarms of this process, at most one for each record.
#[derive(Default)]
pub(super) struct Alarms {
    book: Mutex<Book>,
    /// Notified when another alarm becomes the earliest.
    changed: Notify,
}

#[derive(Default)]
struct Book {
    by_time: BTreeSet<(Timestamp, SubjectKey)>,
    by_key: HashMap<SubjectKey, Timestamp>,
}

impl Alarms {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the alarm of a record, by this process's clock, and drops its earlier one.
    /// `None` only drops it.
    pub(super) fn set(&self, key: SubjectKey, at: Option<Timestamp>) {
        let mut book = self.book();
        if let Some(before) = book.by_key.remove(&key) {
            book.by_time.remove(&(before, key));
        }
        let Some(at) = at.filter(|_| book.by_key.len() < ALARMS_MAX) else {
            return;
        };
        book.by_key.insert(key, at);
        book.by_time.insert((at, key));
        if book.by_time.first() == Some(&(at, key)) {
            self.changed.notify_one();
        }
    }

    /// Waits for the next alarm, removes it, and returns its record.
    pub(super) async fn next(&self, clock: &dyn Clock) -> SubjectKey {
        loop {
            let Some((at, key)) = self.book().by_time.first().copied() else {
                self.changed.notified().await;
                continue;
            };
            let wait = at.since(clock.now());
            if wait.is_zero() {
                // Another commit may have moved it in the meantime.
                let mut book = self.book();
                if book.by_time.remove(&(at, key)) {
                    book.by_key.remove(&key);
                    return key;
                }
                continue;
            }
            tokio::select! {
                () = clock.sleep(wait) => {}
                () = self.changed.notified() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::system::ManualClock;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(n: u8) -> SubjectKey {
        SubjectKey([n; 16])
    }

    #[test]
    fn send_17_an_alarm_rings_at_its_time_and_once() {
        let start = Timestamp::from_micros(1_800_000_000_000_000);
        let (clock, alarms) = (ManualClock::new(start), Alarms::default());
        let next = || alarms.next(&clock).now_or_never();
        alarms.set(key(1), Some(start.plus(2 * SECOND)));
        alarms.set(key(2), Some(start.plus(SECOND)));
        alarms.set(key(3), Some(start));
        assert_eq!((next(), next()), (Some(key(3)), None));
        clock.advance(2 * SECOND);
        assert_eq!((next(), next(), next()), (Some(key(2)), Some(key(1)), None));
    }

    #[test]
    fn a_later_commit_moves_the_alarm_of_its_record_or_takes_it_away() {
        let start = Timestamp::from_micros(1_800_000_000_000_000);
        let (clock, alarms) = (ManualClock::new(start), Alarms::default());
        alarms.set(key(1), Some(start));
        alarms.set(key(1), Some(start.plus(SECOND)));
        alarms.set(key(2), Some(start));
        alarms.set(key(2), None);
        assert_eq!(alarms.next(&clock).now_or_never(), None);
        clock.advance(SECOND);
        assert_eq!(alarms.next(&clock).now_or_never(), Some(key(1)));
        assert!(alarms.book().by_time.is_empty() && alarms.book().by_key.is_empty());
    }

    #[test]
    fn alarms_are_bounded() {
        let alarms = Alarms::default();
        for n in 0..=u32::try_from(ALARMS_MAX).unwrap() {
            let mut key = [0; 16];
            key[..4].copy_from_slice(&n.to_be_bytes());
            alarms.set(SubjectKey(key), Some(Timestamp::default()));
        }
        assert_eq!(alarms.book().by_time.len(), ALARMS_MAX);
    }
}

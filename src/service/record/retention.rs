//! Keeps the audit trail within its age and its size, and reports events that were deleted before their age.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::Records;
use crate::{
    domain::{
        ids::SubjectKey,
        time::{Timestamp, micros},
    },
    ports::store::{Complaint, Retention, Trimmed},
    service::{Service, failure::Failure},
};

/// The most entries over all shards, if the settings give no number for a shard.
const ENTRIES_MAX: u64 = 1_000_000;

/// How long the loss of events stays a complaint.
const COMPLAIN_FOR: Duration = Duration::from_secs(3600);

/// The shortest time between two log lines about events that were lost.
const LOG_LOST_EVERY: Duration = Duration::from_secs(60);

/// The time between two log lines about events that were deleted, or kept because the clock is in doubt.
const LOG_EVERY: Duration = Duration::from_secs(3600);

/// A count that is logged now and then.
#[derive(Debug, Default)]
struct Tally {
    count: u64,
    logged_at: Option<Timestamp>,
}

impl Tally {
    /// Counts; returns the count since the last log line if it is time for one.
    fn add(&mut self, count: u64, now: Timestamp, every: Duration) -> Option<u64> {
        self.count += count;
        let is_due = self.logged_at.is_none_or(|at| now.since(at) >= every);
        if self.count == 0 || !is_due {
            return None;
        }
        self.logged_at = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

/// What this process has deleted from the audit trail.
#[derive(Debug, Default)]
pub(super) struct Trail {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    old: Tally,
    young: Tally,
    doubts: Tally,
    /// The latest loss, and how many events were lost since the complaint began.
    lost: Option<(Timestamp, u64)>,
}

impl Trail {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note_doubt(&self, why: &str, now: Timestamp) {
        if self
            .change(|state| state.doubts.add(1, now, LOG_EVERY))
            .is_some()
        {
            tracing::warn!(why, "old events kept while the clock is in doubt");
        }
    }

    fn note(&self, trimmed: Trimmed, entries_max: u64, now: Timestamp) {
        let Trimmed {
            old,
            young,
            fullest,
        } = trimmed;
        metrics::counter!("countersign_events_expired_total").increment(old);
        metrics::counter!("countersign_events_lost_total", "cause" => "trimmed").increment(young);
        metrics::gauge!("countersign_events_fill_ratio").set(fullest as f64 / entries_max as f64);
        let (aged, lost) = self.change(|state| {
            if young > 0 {
                let before = state.lost.map_or(0, |(_, count)| count);
                state.lost = Some((now, before + young));
            } else {
                state.lost = state.lost.filter(|(at, _)| now.since(*at) < COMPLAIN_FOR);
            }
            let complained = f64::from(u8::from(state.lost.is_some()));
            metrics::gauge!("countersign_store_complaints", "word" => "events_lost")
                .set(complained);
            (
                state.old.add(old, now, LOG_EVERY),
                state.young.add(young, now, LOG_LOST_EVERY),
            )
        });
        if let Some(count) = aged {
            tracing::info!(count, "old events dropped");
        }
        if let Some(count) = lost {
            tracing::error!(
                count,
                entries_max,
                "events dropped before their age, because their shard is full"
            );
        }
    }

    fn complaint(&self, entries_max: u64) -> Option<Complaint> {
        let (_, count) = self.change(|state| state.lost)?;
        Some(Complaint {
            word: "events_lost",
            text: format!(
                "{count} audit events were deleted before subject.event_retention_days, because a shard had more than {entries_max} entries; \
                 raise events.max_per_shard, or find out who causes so many events"
            ),
        })
    }
}

impl Records {
    /// The most entries of a shard.
    fn entries_max(&self) -> u64 {
        let shared = || ENTRIES_MAX / u64::from(self.store.shards().max(1));
        self.policy.events_max_per_shard.unwrap_or_else(shared)
    }

    /// The complaint about events that were deleted before their age; `None` if there were none within an hour.
    pub(super) fn complaint_about_events(&self) -> Option<Complaint> {
        self.trail.complaint(self.entries_max())
    }

    /// Goes by the earlier of the two clocks, and deletes nothing for its age while ours is in doubt: what a wrong
    /// time deletes is gone for good.
    async fn trim_events(&self) -> Result<Trimmed, Failure> {
        let doubts = self.clock.complaints();
        let now = self.clock.now();
        let since = if let Some(doubt) = doubts.first() {
            self.trail.note_doubt(&doubt.text, now);
            Timestamp::default()
        } else {
            // The record need not exist: every load tells the time of the store.
            let store_now = self.store.load(&SubjectKey([0; 16]).into()).await?.now;
            let kept = micros(self.policy.subject.event_retention);
            Timestamp::from_micros(now.min(store_now).as_micros().saturating_sub(kept))
        };
        let entries_max = self.entries_max();
        let keep = Retention { since, entries_max };
        let trimmed = self.store.trim_events(keep).await?;
        self.trail.note(trimmed, entries_max, now);
        Ok(trimmed)
    }
}

impl Service {
    /// Deletes events that are older than the retention in the settings, and the oldest of each shard that holds too
    /// many.
    ///
    /// # Errors
    /// [`Failure`] if the store did not answer; some events may be deleted.
    pub async fn trim_events(&self) -> Result<Trimmed, Failure> {
        self.records.trim_events().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_06_a_loss_of_events_is_a_complaint_for_an_hour() {
        let trail = Trail::default();
        let at = |seconds: u64| Timestamp::from_micros(1_800_000_000_000_000 + seconds * 1_000_000);
        let lose = |young, seconds| {
            let trimmed = Trimmed {
                young,
                ..Trimmed::default()
            };
            trail.note(trimmed, 100, at(seconds));
            trail.complaint(100).map(|complaint| complaint.text)
        };
        assert_eq!(lose(0, 0), None);
        assert!(lose(7, 5).unwrap().starts_with("7 audit events"));
        assert!(lose(2, 10).unwrap().starts_with("9 audit events"));
        assert!(lose(0, 3609).is_some());
        assert_eq!(lose(0, 3610), None);
        let again = lose(1, 3615).unwrap();
        assert!(again.starts_with("1 audit events"), "{again}");
    }

    #[test]
    fn a_tally_is_logged_now_and_then_and_loses_no_count() {
        let mut tally = Tally::default();
        let mut add = |count, seconds: u64| {
            let now = Timestamp::from_micros(1_800_000_000_000_000 + seconds * 1_000_000);
            tally.add(count, now, LOG_LOST_EVERY)
        };
        assert_eq!(add(0, 0), None);
        assert_eq!(add(3, 5), Some(3));
        assert_eq!((add(1, 6), add(2, 64)), (None, None));
        assert_eq!(add(0, 65), Some(3));
        assert_eq!(add(0, 200), None);
    }
}

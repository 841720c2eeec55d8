//! Records that cannot be opened: they are postponed in the due index, counted, and logged at most once a minute.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::Records;
use crate::{
    domain::{crypto::keyring::Kid, record::key::RecordKey, time::Timestamp},
    ports::store::{Committed, Complaint},
    service::{
        failure::{Failure, within},
        unreadable::{Unreadable, VaultError},
    },
};

/// The first postponement of a record; each later one is twice as long (STORE-21).
const WAIT_FIRST: Duration = Duration::from_secs(60);
/// The longest postponement of a record.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);
/// The largest number of records remembered: 100,000 take about 10 MB.
const REMEMBERED_MAX: usize = 100_000;
/// The postponement of records that are not remembered: long enough that a million of them do no harm.
const WAIT_UNREMEMBERED: Duration = Duration::from_secs(3600);
/// A record that is not due again this long after its postponement was written or deleted by another process.
const MISSED_AFTER: Duration = Duration::from_secs(300);
/// The shortest time between two log lines.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// The largest number of key ids that a complaint lists.
const KIDS_NAMED: usize = 3;

/// Metric: the records that this process could not open and still remembers.
const GAUGE: &str = "countersign_unreadable_records";

/// The records that this process could not open.
#[derive(Default)]
pub(in crate::service) struct Quarantine(Mutex<State>);

#[derive(Default)]
struct State {
    records: HashMap<RecordKey, Entry>,
    /// Records found since the last log line.
    unlogged: u64,
    logged_at: Option<Timestamp>,
    pruned_at: Timestamp,
}

struct Entry {
    /// The number of postponements so far.
    times: u32,
    /// When it is tried next.
    until: Timestamp,
    kid: Option<Kid>,
}

/// The numbers in a log line.
struct Line {
    met: u64,
    known: usize,
}

impl Quarantine {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a record that a call could not open.
    pub(in crate::service) fn remember_unreadable(
        &self,
        key: RecordKey,
        why: &Unreadable,
        now: Timestamp,
    ) {
        let mut state = self.state();
        state.remember(key, why, now);
        let line = state.line(now);
        drop(state);
        log_line(line.as_ref(), &key, why);
    }

    /// Remembers a record that the sweep could not open; returns when to try it next.
    fn postpone(&self, key: RecordKey, why: &Unreadable, now: Timestamp) -> Timestamp {
        let mut state = self.state();
        let wait = match state.remember(key, why, now) {
            None => WAIT_UNREMEMBERED,
            Some(entry) => {
                let doublings = entry.times.min(31);
                entry.times += 1;
                let wait = WAIT_FIRST.saturating_mul(1 << doublings).min(WAIT_MAX);
                entry.until = now.plus(wait);
                wait
            }
        };
        let line = state.line(now);
        drop(state);
        log_line(line.as_ref(), &key, why);
        now.plus(wait)
    }

    /// Forgets a record that can be opened again, or is gone.
    fn forget(&self, key: &RecordKey) {
        self.state().records.remove(key);
    }

    /// Updates the gauge; first drops old entries, at most once a minute.
    pub(in crate::service) fn update_gauge(&self, now: Timestamp) {
        let mut state = self.state();
        if now.since(state.pruned_at) >= LOG_EVERY {
            state.prune(now);
        }
        metrics::gauge!(GAUGE).set(state.records.len() as f64);
    }

    /// The degraded condition; `None` if all records can be opened.
    pub(in crate::service) fn complaint(&self, now: Timestamp) -> Option<Complaint> {
        let mut state = self.state();
        state.prune(now);
        if state.records.is_empty() {
            return None;
        }
        let mut by_kid: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in state.records.values() {
            let kid = entry.kid.as_ref().map_or("none", Kid::as_str);
            *by_kid.entry(kid).or_default() += 1;
        }
        let mut kids: Vec<_> = by_kid.into_iter().collect();
        kids.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let kids: Vec<String> = kids
            .iter()
            .take(KIDS_NAMED)
            .map(|(kid, count)| format!("{kid} ({count})"))
            .collect();
        Some(Complaint {
            word: "unreadable_records",
            text: format!(
                "{} stored records cannot be opened and are left unchanged; they are sealed with key id {}; \
                 put a dropped key back into keys.ring, or start the newer version that wrote them",
                state.records.len(),
                kids.join(", ")
            ),
        })
    }
}

impl State {
    /// The entry of a record, made if there is room; else `None`.
    fn remember(&mut self, key: RecordKey, why: &Unreadable, now: Timestamp) -> Option<&mut Entry> {
        self.unlogged += 1;
        if self.records.len() >= REMEMBERED_MAX && !self.records.contains_key(&key) {
            return None;
        }
        Some(self.records.entry(key).or_insert_with(|| Entry {
            times: 0,
            until: now.plus(WAIT_FIRST),
            kid: why.kid.clone(),
        }))
    }

    /// Drops records that should have been due again but were not seen.
    fn prune(&mut self, now: Timestamp) {
        self.pruned_at = now;
        self.records
            .retain(|_, entry| now < entry.until.plus(MISSED_AFTER));
    }

    /// The log line, if one is due.
    fn line(&mut self, now: Timestamp) -> Option<Line> {
        if self
            .logged_at
            .is_some_and(|logged_at| now.since(logged_at) < LOG_EVERY)
        {
            return None;
        }
        self.logged_at = Some(now);
        Some(Line {
            met: std::mem::take(&mut self.unlogged),
            known: self.records.len(),
        })
    }
}

fn log_line(line: Option<&Line>, key: &RecordKey, why: &Unreadable) {
    if let Some(Line { met, known }) = line {
        let kid = why.kid.as_ref().map_or("none", Kid::as_str);
        tracing::error!(error = %why, record = %key, kid, met, known, "records cannot be opened; left unchanged");
    }
}

impl Records {
    /// Postpones a record that cannot be opened; the record itself does not change.
    pub(in crate::service) async fn set_aside(
        &self,
        key: &RecordKey,
        why: &Unreadable,
    ) -> Result<(), Failure> {
        let until = self.quarantine.postpone(*key, why, self.clock.now());
        let postponed = within(self.deadline, async {
            Ok(self.store.postpone(key, why.token, until).await?)
        })
        .await?;
        match postponed {
            Committed::Done => {}
            // Another process has written it, so it can be opened there.
            Committed::Conflict => self.quarantine.forget(key),
        }
        Ok(())
    }

    /// Handles a due record of a kind that this version does not know: the result is always an error,
    /// and the record stays.
    pub(in crate::service) async fn unknown_kind(&self, key: &RecordKey) -> Result<(), Failure> {
        let loaded = within(self.deadline, async { Ok(self.store.load(key).await?) }).await?;
        let why = match loaded.blob {
            Some(blob) => Unreadable::new(&blob, VaultError::Kind),
            None => Unreadable {
                cause: VaultError::Kind,
                ..Unreadable::foreign()
            },
        };
        Err(Failure::RecordUnreadable(why))
    }

    /// Forgets a record that was opened.
    pub(in crate::service) fn opened(&self, key: &RecordKey) {
        self.quarantine.forget(key);
    }
}

#[cfg(test)]
mod tests;

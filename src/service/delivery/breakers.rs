//! The breakers of the senders, one shared state for all processes.
//!
//! The state of a breaker is a side record in the store. Each process keeps a copy, and messages on
//! their way use only the copy, so a closed breaker costs no trip to the store. The copy follows
//! the record by news from the store, by regular reads, and by this process's own changes. The
//! effect of a message on its breaker is written before its hand is free again: after the record
//! has opened, each hand of a process that has not heard of it can fail at most once more.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::sync;

use crate::{
    domain::{
        crypto::keyring::Keyring,
        delivery::breaker::{Breaker, BreakerRules, Pass, Passed},
        ids::{DeliveryId, SenderName},
        record::{
            key::RecordKey,
            side::{Side, SideKind},
        },
        time::{Now, Timestamp},
    },
    ports::store::Complaint,
    service::{
        failure::Failure,
        record::side::{NextSide, Sides},
    },
};

/// How often a process reads the records by itself, because news may be lost.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long the record of a breaker is kept after it was last needed, so that records
/// of removed senders go.
const MEMORY: Duration = Duration::from_secs(3600);

/// The settings of breakers: when a failing sender gets no messages for a while.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// The number of messages in a row that must fail before its breaker opens.
    pub failures: u8,
    /// How long the breaker stays open the first time.
    pub open: Duration,
    /// The longest time that it stays open.
    pub open_max: Duration,
}

/// The breakers of all senders that are on a route.
pub(in crate::service) struct Breakers {
    sides: Sides,
    rules: BreakerRules,
    each: BTreeMap<SenderName, Local>,
}

/// The breaker of one sender, with this process's copy of its state.
struct Local {
    key: RecordKey,
    copy: Mutex<Breaker>,
    /// Held while the record is changed, so that the tasks of one process do not
    /// conflict with each other.
    turn: sync::Mutex<()>,
}

impl Breakers {
    pub(in crate::service) fn new<'a>(
        sides: Sides,
        rules: BreakerRules,
        keyring: &Keyring,
        senders: impl IntoIterator<Item = &'a SenderName>,
    ) -> Self {
        let local = |sender: &SenderName| Local {
            key: RecordKey::side(keyring, SideKind::Breaker, &[sender.as_str().as_bytes()]),
            copy: Mutex::default(),
            turn: sync::Mutex::default(),
        };
        let each: BTreeMap<_, _> = senders
            .into_iter()
            .map(|sender| (sender.clone(), local(sender)))
            .collect();
        each.keys()
            .for_each(|sender| set_open_gauge(sender, &Breaker::default()));
        Self { sides, rules, each }
    }

    /// Whether a message may go to this sender, by this process's copy.
    pub(in crate::service) fn pass(&self, sender: &SenderName, now: Now) -> Pass {
        self.each
            .get(sender)
            .map_or(Pass::Free, |local| local.copy().pass(now))
    }

    /// Takes the right to probe a sender, which only one process gets; returns
    /// whether this one did.
    pub(in crate::service) async fn probe(&self, sender: &SenderName) -> bool {
        let Some(local) = self.each.get(sender) else {
            return true;
        };
        let _turn = local.turn.lock().await;
        self.change(sender, local, |breaker, now| {
            breaker.probe(&self.rules, now)
        })
        .await
    }

    /// Notes that a message is being handed to this sender, with the failures known so far.
    pub(in crate::service) fn passed(
        &self,
        sender: &SenderName,
        delivery: DeliveryId,
        as_probe: bool,
    ) -> Passed {
        let seen = self
            .each
            .get(sender)
            .map(|local| local.copy().failures().to_vec())
            .unwrap_or_default();
        Passed {
            delivery,
            as_probe,
            seen,
        }
    }

    /// Notes how the hand-over of a message ended. If that does not change the
    /// breaker, nothing is written.
    pub(in crate::service) async fn record_result(
        &self,
        sender: &SenderName,
        passed: &Passed,
        failed: bool,
    ) {
        let Some(local) = self.each.get(sender) else {
            return;
        };
        let next = |breaker: &Breaker, now| {
            let next = if failed {
                breaker.failed(passed, &self.rules, now)
            } else {
                breaker.succeeded(passed)
            };
            (next != *breaker).then_some(next)
        };
        if next(&local.copy(), self.local_now()).is_none() {
            return;
        }
        let _turn = local.turn.lock().await;
        // Another task may have made the same change while this one waited.
        if next(&local.copy(), self.local_now()).is_some() {
            self.change(sender, local, next).await;
        }
    }

    /// The senders whose breakers are not closed, as degraded conditions.
    pub(in crate::service) fn complaints(&self) -> Vec<Complaint> {
        let now = self.local_now();
        let tell = |(sender, local): (&SenderName, &Local)| {
            let until = match &*local.copy() {
                Breaker::Closed { .. } => return None,
                Breaker::Open { until, .. } | Breaker::HalfOpen { until, .. } => *until,
            };
            let sender = sender.as_str();
            let text = if now.has_reached(until) {
                format!("sender {sender:?} failed repeatedly; the next message tries it")
            } else {
                format!(
                    "sender {sender:?} failed repeatedly; its breaker is open for another {} s",
                    now.until(until).as_secs()
                )
            };
            Some(Complaint {
                word: "sender_open",
                text,
            })
        };
        self.each.iter().filter_map(tell).collect()
    }

    /// Keeps the copies up to date. Never returns.
    pub(in crate::service) async fn follow(&self) {
        join_all(
            self.each
                .iter()
                .map(|(sender, local)| self.follow_one(sender, local)),
        )
        .await;
    }

    async fn follow_one(&self, sender: &SenderName, local: &Local) {
        loop {
            let Ok(mut news) = self.sides.watch(&local.key).await else {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            };
            loop {
                news.mark_unchanged();
                self.refresh(sender, local).await;
                tokio::select! {
                    changed = news.changed() => if changed.is_err() { break },
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        }
    }

    async fn refresh(&self, sender: &SenderName, local: &Local) {
        let _turn = local.turn.lock().await;
        match self.sides.load(&local.key).await {
            Ok(state) => local.set_copy(sender, &breaker_of(state.side)),
            Err(error) => {
                tracing::debug!(%error, sender = sender.as_str(), "breaker state not read");
            }
        }
    }

    /// Changes the record, unless `next` changes nothing; returns whether this call changed it. If
    /// the store fails, only the copy is changed, and sending goes on by the copy.
    async fn change(
        &self,
        sender: &SenderName,
        local: &Local,
        next: impl Fn(&Breaker, Now) -> Option<Breaker> + Send + Sync,
    ) -> bool {
        match self.commit(sender, local, &next).await {
            Ok(changed) => changed,
            Err(error) => {
                tracing::warn!(%error, sender = sender.as_str(), "breaker state not stored; this process uses its own copy");
                let next = next(&local.copy(), self.local_now());
                next.map(|next| local.set_copy(sender, &next)).is_some()
            }
        }
    }

    async fn commit(
        &self,
        sender: &SenderName,
        local: &Local,
        next: impl Fn(&Breaker, Now) -> Option<Breaker> + Send + Sync,
    ) -> Result<bool, Failure> {
        let decide = |side, now| {
            let breaker = breaker_of(side);
            match next(&breaker, now) {
                None => (NextSide::Same, (breaker, false)),
                Some(next) if next == Breaker::default() => (NextSide::Delete, (next, true)),
                Some(next) => {
                    let until = of_use_until(&next, now);
                    (
                        NextSide::Put(Side::Breaker(next.clone()), until),
                        (next, true),
                    )
                }
            }
        };
        let (breaker, changed) = self.sides.change(&local.key, decide).await?;
        local.set_copy(sender, &breaker);
        Ok(changed)
    }

    fn local_now(&self) -> Now {
        let now = self.sides.clock.now();
        Now::new(now, now)
    }
}

impl Local {
    fn copy(&self) -> MutexGuard<'_, Breaker> {
        self.copy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the copy by a newer state; a change between closed, open and half-open is logged.
    fn set_copy(&self, sender: &SenderName, next: &Breaker) {
        let before = std::mem::replace(&mut *self.copy(), next.clone());
        if std::mem::discriminant(&before) == std::mem::discriminant(next) {
            return;
        }
        set_open_gauge(sender, next);
        let sender = sender.as_str();
        match next {
            Breaker::Closed { .. } => {
                tracing::info!(sender, "breaker closed; the sender works again");
            }
            Breaker::Open { times, .. } => {
                tracing::warn!(
                    sender,
                    times,
                    "breaker opened; the sender failed repeatedly"
                );
            }
            Breaker::HalfOpen { .. } => {
                tracing::info!(sender, "breaker half-open; one message tries the sender");
            }
        }
    }
}

fn breaker_of(side: Option<Side>) -> Breaker {
    match side {
        Some(Side::Breaker(breaker)) => breaker,
        Some(Side::Delivery { .. } | Side::Tally(_)) | None => Breaker::default(),
    }
}

fn of_use_until(breaker: &Breaker, now: Now) -> Timestamp {
    let last = match breaker {
        Breaker::Closed { .. } => now.stamp(),
        Breaker::Open { until, .. } | Breaker::HalfOpen { until, .. } => *until,
    };
    last.plus(MEMORY)
}

fn set_open_gauge(sender: &SenderName, breaker: &Breaker) {
    let open = match breaker {
        Breaker::Closed { .. } => 0.0,
        Breaker::Open { .. } | Breaker::HalfOpen { .. } => 1.0,
    };
    metrics::gauge!("countersign_sender_open", "sender" => sender.as_str().to_owned()).set(open);
}

#[cfg(test)]
mod tests;

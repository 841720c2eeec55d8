//! The breakers of the senders, one state for the whole fleet.
//!
//! The truth is a side record for each sender. Each process keeps a copy, which is all that a message on its way looks at;
//! the copy follows the record by news, by looks of its own, and by this process's own changes. So a closed breaker costs
//! no trip to the store. What a message does to its breaker is written before its hand is free for the next: after the
//! record opened, each hand of a process that has not heard of it yet can fail once more at most.

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

/// News may be lost, so a process also looks by itself this often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What is remembered of a sender that nobody asks for ends this long after it was of use.
const MEMORY: Duration = Duration::from_secs(3600);

/// When a failing sender is left out for a while.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// Messages in a row that must fail before its breaker opens.
    pub failures: u8,
    /// How long the breaker stays open the first time.
    pub open: Duration,
    /// The longest time that it stays open.
    pub open_max: Duration,
}

/// The breakers of all senders that have a route.
pub(in crate::service) struct Breakers {
    sides: Sides,
    rules: BreakerRules,
    each: BTreeMap<SenderName, Local>,
}

/// The breaker of one sender, as this process knows it.
struct Local {
    key: RecordKey,
    copy: Mutex<Breaker>,
    /// Who changes the record. One at a time, so that a process does not fight with itself over it.
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
            .for_each(|sender| show(sender, &Breaker::default()));
        Self { sides, rules, each }
    }

    /// May a message go to this sender?
    pub(in crate::service) fn pass(&self, sender: &SenderName, now: Now) -> Pass {
        self.each
            .get(sender)
            .map_or(Pass::Free, |local| local.copy().pass(now))
    }

    /// Takes the right to probe a sender, which one process of the fleet gets; says whether this one did.
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

    /// A message is handed to this sender now.
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

    /// Notes what became of a message that was handed to a sender. Where nothing changes nothing is written.
    pub(in crate::service) async fn note(
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
        // Whoever had the turn before may have done it.
        if next(&local.copy(), self.local_now()).is_some() {
            self.change(sender, local, next).await;
        }
    }

    /// What is not as it should be.
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

    /// Follows the records, for ever.
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
                self.look(sender, local).await;
                tokio::select! {
                    changed = news.changed() => if changed.is_err() { break },
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        }
    }

    async fn look(&self, sender: &SenderName, local: &Local) {
        let _turn = local.turn.lock().await;
        match self.sides.load(&local.key).await {
            Ok(stood) => local.see(sender, &breaker_of(stood.side)),
            Err(error) => {
                tracing::debug!(%error, sender = sender.as_str(), "breaker not read");
            }
        }
    }

    /// Changes the record, unless `next` has nothing to change in it; says whether this call changed it. Without the store
    /// the copy alone is changed, and sending goes on by it.
    async fn change(
        &self,
        sender: &SenderName,
        local: &Local,
        next: impl Fn(&Breaker, Now) -> Option<Breaker> + Send + Sync,
    ) -> bool {
        match self.commit(sender, local, &next).await {
            Ok(changed) => changed,
            Err(error) => {
                tracing::warn!(%error, sender = sender.as_str(), "breaker not shared; this process goes by its own copy");
                let next = next(&local.copy(), self.local_now());
                next.map(|next| local.see(sender, &next)).is_some()
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
        local.see(sender, &breaker);
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

    /// Takes a newer state into the copy.
    fn see(&self, sender: &SenderName, next: &Breaker) {
        let before = std::mem::replace(&mut *self.copy(), next.clone());
        if std::mem::discriminant(&before) == std::mem::discriminant(next) {
            return;
        }
        show(sender, next);
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
        Some(Side::Delivery { .. }) | None => Breaker::default(),
    }
}

fn of_use_until(breaker: &Breaker, now: Now) -> Timestamp {
    let last = match breaker {
        Breaker::Closed { .. } => now.stamp(),
        Breaker::Open { until, .. } | Breaker::HalfOpen { until, .. } => *until,
    };
    last.plus(MEMORY)
}

fn show(sender: &SenderName, breaker: &Breaker) {
    let open = match breaker {
        Breaker::Closed { .. } => 0.0,
        Breaker::Open { .. } | Breaker::HalfOpen { .. } => 1.0,
    };
    metrics::gauge!("countersign_sender_open", "sender" => sender.as_str().to_owned()).set(open);
}

#[cfg(test)]
mod tests;

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
        ids::DeliveryId,
        record::{
            key::RecordKey,
            side::{Side, SideKind},
        },
        time::{Now, Timestamp},
    },
    ports::store::{Committed, Complaint},
    service::{Service, failure::Failure, record::side::Sides},
};

/// News may be lost, so a process also looks by itself this often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What is remembered of a sender that nobody asks for ends this long after it was of use.
const MEMORY: Duration = Duration::from_secs(3600);
/// How often a change is tried anew because others changed the record first.
const CONFLICTS_MAX: usize = 8;

/// When a sender is left alone for a while.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// Messages that fail in a row, after which it is.
    pub failures: u8,
    /// How long, the first time.
    pub open: Duration,
    /// The longest.
    pub open_max: Duration,
}

/// The breakers of all senders that have a route.
pub(in crate::service) struct Breakers {
    sides: Sides,
    rules: BreakerRules,
    each: BTreeMap<String, Local>,
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
        senders: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let local = |sender: &str| Local {
            key: RecordKey::side(keyring, SideKind::Breaker, &[sender.as_bytes()]),
            copy: Mutex::default(),
            turn: sync::Mutex::default(),
        };
        let each: BTreeMap<_, _> = senders
            .into_iter()
            .map(|sender| (sender.to_owned(), local(sender)))
            .collect();
        each.keys()
            .for_each(|sender| show(sender, &Breaker::default()));
        Self { sides, rules, each }
    }

    /// May a message go to this sender?
    pub(in crate::service) fn pass(&self, sender: &str, now: Now) -> Pass {
        self.each
            .get(sender)
            .map_or(Pass::Free, |local| local.copy().pass(now))
    }

    /// Takes the right to probe a sender, which one process of the fleet gets; says whether this one did.
    pub(in crate::service) async fn probe(&self, sender: &str) -> bool {
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
        sender: &str,
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
    pub(in crate::service) async fn note(&self, sender: &str, passed: &Passed, failed: bool) {
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
        let tell = |(sender, local): (&String, &Local)| {
            let until = match &*local.copy() {
                Breaker::Closed { .. } => return None,
                Breaker::Open { until, .. } | Breaker::HalfOpen { until, .. } => *until,
            };
            let text = if now.has_reached(until) {
                format!("the sender {sender:?} failed again and again; the next message tries it")
            } else {
                format!(
                    "the sender {sender:?} failed again and again; it is open for another {} s",
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

    async fn follow_one(&self, sender: &str, local: &Local) {
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

    async fn look(&self, sender: &str, local: &Local) {
        let _turn = local.turn.lock().await;
        match self.sides.load(&local.key).await {
            Ok(stood) => local.see(sender, &breaker_of(stood.side)),
            Err(error) => {
                tracing::debug!(%error, sender, "The breaker of a sender could not be read.")
            }
        }
    }

    /// Changes the record, unless `next` has nothing to change in it; says whether this call changed it. Without the store
    /// the copy alone is changed, and sending goes on by it.
    async fn change(
        &self,
        sender: &str,
        local: &Local,
        next: impl Fn(&Breaker, Now) -> Option<Breaker>,
    ) -> bool {
        match self.commit(sender, local, &next).await {
            Ok(changed) => changed,
            Err(error) => {
                tracing::warn!(%error, sender, "The breaker of a sender could not be shared; this process goes by its own.");
                let next = next(&local.copy(), self.local_now());
                next.map(|next| local.see(sender, &next)).is_some()
            }
        }
    }

    async fn commit(
        &self,
        sender: &str,
        local: &Local,
        next: impl Fn(&Breaker, Now) -> Option<Breaker>,
    ) -> Result<bool, Failure> {
        for _ in 0..CONFLICTS_MAX {
            let stood = self.sides.load(&local.key).await?;
            let breaker = breaker_of(stood.side.clone());
            let Some(next) = next(&breaker, stood.now) else {
                local.see(sender, &breaker);
                return Ok(false);
            };
            let committed = if next == Breaker::default() {
                self.sides.delete(&stood).await?
            } else {
                self.sides
                    .put(
                        &stood,
                        Side::Breaker(next.clone()),
                        of_use_until(&next, stood.now),
                    )
                    .await?
            };
            match committed {
                Committed::Done => {
                    local.see(sender, &next);
                    return Ok(true);
                }
                Committed::Conflict => {}
            }
        }
        Err(Failure::Contention)
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
    fn see(&self, sender: &str, next: &Breaker) {
        let before = std::mem::replace(&mut *self.copy(), next.clone());
        if std::mem::discriminant(&before) == std::mem::discriminant(next) {
            return;
        }
        show(sender, next);
        match next {
            Breaker::Closed { .. } => {
                tracing::info!(sender, "A sender works again: its breaker is closed.")
            }
            Breaker::Open { times, .. } => tracing::warn!(
                sender,
                times,
                "A sender failed again and again: its breaker is open."
            ),
            Breaker::HalfOpen { .. } => {
                tracing::info!(sender, "One message tries a sender whose breaker is open.")
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

fn show(sender: &str, breaker: &Breaker) {
    let open = match breaker {
        Breaker::Closed { .. } => 0.0,
        Breaker::Open { .. } | Breaker::HalfOpen { .. } => 1.0,
    };
    metrics::gauge!("countersign_sender_open", "sender" => sender.to_owned()).set(open);
}

impl Service {
    /// What is not as it should be, while the service still serves.
    #[must_use]
    pub fn complaints(&self) -> Vec<Complaint> {
        let mut complaints = self.parts.store.complaints();
        complaints.extend(self.breakers.complaints());
        complaints.extend(self.quarantine.complaint(self.parts.clock.now()));
        complaints
    }

    /// Follows what the fleet knows of the senders, for ever.
    pub async fn follow_senders(&self) {
        self.breakers.follow().await;
    }
}

#[cfg(test)]
mod tests;

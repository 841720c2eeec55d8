//! Fleet-wide quotas: which quotas a message counts against, and one draw from all of them before the commit.

mod charges;
mod fallback;
pub(super) mod pumping;
mod slices;

use std::{sync::Arc, time::Duration};

use super::{
    failure::{Failure, within},
    policy::Policy,
};
use crate::{
    domain::{
        crypto::keyring::{Keyring, Mark},
        decide::Outgoing,
        ids::TenantId,
        limit::{bucket::BucketKind, pumping::Mode, rate::Rate},
        time::Timestamp,
    },
    ports::{
        store::{Draw, Drawn, Store, StoreError},
        system::Clock,
    },
};

use charges::{Charge, Tariff};
use fallback::Fallback;
use slices::Slices;

pub use pumping::{ReturnQueue, ReturnSender, return_queue};

/// The part of the service that counts: quotas, budgets and the pumping guard, with the state that this
/// process keeps of them.
pub(super) struct Limits {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    keyring: Arc<Keyring>,
    policy: Arc<Policy>,
    /// The time allowed for all store work of one command.
    deadline: Duration,
    /// The queue of approvals to be subtracted from the counts of the pumping guard.
    returns: ReturnSender,
    slices: Slices,
    fallback: Fallback,
}

/// The parts from which [`Limits`] is built.
pub(super) struct LimitParts {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) policy: Arc<Policy>,
    pub(super) deadline: Duration,
    pub(super) returns: ReturnSender,
}

impl Limits {
    pub(super) fn new(parts: LimitParts) -> Self {
        let LimitParts {
            store,
            clock,
            keyring,
            policy,
            deadline,
            returns,
        } = parts;
        Self {
            store,
            clock,
            keyring,
            policy,
            deadline,
            returns,
            slices: Slices::default(),
            fallback: Fallback::default(),
        }
    }

    /// Draws a message from every quota that it counts against: from all of them or from none. This takes one call of
    /// the store; on a Redis Cluster one call for each slot, in order, and what was drawn before a refusal stays drawn;
    /// no call if the slices of this process cover every charge. A draw is never returned, whatever happens to the
    /// message. Returns the counts of the pumping guard that would have refused the message if the guard
    /// did more than record.
    ///
    /// # Errors
    /// [`Failure::QuotaExceeded`] names the first quota that is used up. A failure of the store is an error too,
    /// unless the action may continue under the limits of this process.
    pub(super) async fn draw(&self, outgoing: &Outgoing) -> Result<Vec<BucketKind>, Failure> {
        let (policy, now) = (&self.policy, self.clock.now());
        let cost = policy.spend.cost(&outgoing.recipient);
        let charges = self.tariff(&outgoing.tenant).charges(outgoing, cost);
        // Only the store knows what the fleet has spent, so a message with a budget must wait for it.
        let has_budget = charges
            .iter()
            .any(|charge| charge.kind.dimension.is_money());
        let drawn = if policy.allows_fallback(&outgoing.action) && !has_budget {
            self.draw_or_fall_back(&charges, now).await?
        } else {
            self.draw_from_store(&charges, now).await?
        };
        match drawn {
            Drew::Taken { passed_over } => {
                policy.note_spent(&outgoing.tenant, cost);
                passed_over
                    .iter()
                    .for_each(|quota| count_refusal(*quota, policy.guard.mode));
                Ok(passed_over)
            }
            Drew::Refused {
                quota,
                rate,
                retry_after,
            } => {
                count_refusal(quota, policy.guard.mode);
                Err(Failure::QuotaExceeded {
                    quota,
                    rate,
                    retry_after,
                })
            }
        }
    }

    /// Draws 1 from a bucket that is not a quota of the settings, and is alone under its name; the inner `Err` is the wait
    /// if it is empty.
    ///
    /// # Errors
    /// [`Failure`]; the draw may have been made all the same.
    pub(super) async fn draw_one(
        &self,
        name: Mark,
        rate: Rate,
    ) -> Result<Result<(), Duration>, Failure> {
        let draws = [Draw {
            former: Some(name),
            ..Draw::one(name, rate)
        }];
        let outcome = within(self.deadline, async { Ok(self.store.draw(&draws).await?) }).await?;
        Ok(match outcome {
            Drawn::Taken(_) => Ok(()),
            Drawn::Refused { retry_after, .. } => Err(retry_after),
        })
    }

    /// The charges of a tenant's messages.
    fn tariff<'a>(&'a self, tenant: &'a TenantId) -> Tariff<'a> {
        Tariff {
            keyring: &self.keyring,
            policy: &self.policy,
            tenant,
        }
    }

    /// Gives the store half of the deadline, so that the other half is left for the commit; after that uses the
    /// limits of this process.
    async fn draw_or_fall_back(
        &self,
        charges: &[Charge],
        now: Timestamp,
    ) -> Result<Drew, StoreError> {
        let drawn =
            tokio::time::timeout(self.deadline / 2, self.draw_from_store(charges, now)).await;
        let late = |_| {
            Err(StoreError::Unavailable(
                "no answer to a draw within half of the deadline".to_owned(),
            ))
        };
        drawn
            .unwrap_or_else(late)
            .or_else(|error| self.draw_from_here(charges, now, error))
    }

    /// Draws from the store whatever the slices of this process do not cover.
    async fn draw_from_store(
        &self,
        charges: &[Charge],
        now: Timestamp,
    ) -> Result<Drew, StoreError> {
        let mut hold = self.slices.hold(now);
        let (mut places, mut draws) = (
            Vec::with_capacity(charges.len()),
            Vec::with_capacity(charges.len()),
        );
        for (place, charge) in charges.iter().enumerate() {
            let mut draw = charge.draw();
            if charge.kind.dimension.is_hot() {
                draw.want = hold.take((draw.owner, draw.slot), charge.rate);
            }
            if draw.want > 0 {
                places.push(place);
                draws.push(draw);
            }
        }
        if draws.is_empty() {
            return Ok(Drew::Taken {
                passed_over: Vec::new(),
            });
        }
        match self.store.draw(&draws).await? {
            Drawn::Taken(counts) => {
                draws
                    .iter()
                    .zip(&counts)
                    .for_each(|(draw, count)| hold.fill((draw.owner, draw.slot), *count));
                let passed_over = places.iter().zip(&counts).filter(|(_, count)| **count == 0);
                Ok(Drew::Taken {
                    passed_over: passed_over.map(|(place, _)| charges[*place].kind).collect(),
                })
            }
            Drawn::Refused { place, retry_after } => {
                hold.put_back();
                Ok(Drew::Refused {
                    quota: charges[places[place]].kind,
                    rate: charges[places[place]].rate,
                    retry_after,
                })
            }
        }
    }

    /// Draws from the limits of this process, because the store cannot be asked. Skips the pumping guard: only the
    /// store knows which approvals were subtracted.
    fn draw_from_here(
        &self,
        charges: &[Charge],
        now: Timestamp,
        error: StoreError,
    ) -> Result<Drew, StoreError> {
        metrics::counter!("countersign_quota_fallbacks_total").increment(1);
        tracing::warn!(%error, "quotas not drawn; limits of this process used instead");
        let charges: Vec<Charge> = charges
            .iter()
            .filter(|charge| !charge.kind.dimension.is_guard())
            .copied()
            .collect();
        match self.fallback.draw(&charges, now).ok_or(error)? {
            Drawn::Taken(_) => Ok(Drew::Taken {
                passed_over: Vec::new(),
            }),
            Drawn::Refused { place, retry_after } => Ok(Drew::Refused {
                quota: charges[place].kind,
                rate: charges[place].rate,
                retry_after,
            }),
        }
    }
}

/// The result of drawing a message.
enum Drew {
    /// The message may be sent, although these counts of a recording guard were exceeded.
    Taken { passed_over: Vec<BucketKind> },
    /// The message must not be sent.
    Refused {
        quota: BucketKind,
        rate: Rate,
        retry_after: Duration,
    },
}

fn count_refusal(quota: BucketKind, mode: Mode) {
    let (dimension, origin) = (quota.dimension.as_str(), quota.scope.as_str());
    if quota.dimension.is_guard() {
        metrics::counter!("countersign_guard_refusals_total", "dimension" => dimension, "origin" => origin, "mode" => mode.as_str()).increment(1);
    } else {
        metrics::counter!("countersign_quota_refusals_total", "dimension" => dimension, "origin" => origin)
            .increment(1);
    }
}

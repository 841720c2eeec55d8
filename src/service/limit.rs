//! Fleet-wide quotas: what a message counts against, and the one draw from all of it before the commit.

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
        limit::{pumping::Mode, quota::Dimension, rate::Rate},
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

pub use pumping::{DrainQueue, Drains, drains};

/// The part of the service that counts: quotas, budgets and the pumping guard, and what this process holds of them.
pub(super) struct Limits {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    keyring: Arc<Keyring>,
    policy: Arc<Policy>,
    /// The time that all store work of one command may take.
    deadline: Duration,
    /// Where approvals go that are taken back from the counts of the guard.
    drains: Drains,
    slices: Slices,
    fallback: Fallback,
}

/// What the limits are made of.
pub(super) struct LimitParts {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) policy: Arc<Policy>,
    pub(super) deadline: Duration,
    pub(super) drains: Drains,
}

impl Limits {
    pub(super) fn new(parts: LimitParts) -> Self {
        let LimitParts {
            store,
            clock,
            keyring,
            policy,
            deadline,
            drains,
        } = parts;
        Self {
            store,
            clock,
            keyring,
            policy,
            deadline,
            drains,
            slices: Slices::default(),
            fallback: Fallback::default(),
        }
    }

    /// Draws a message from every quota that it counts against, by one call of the store: from all of them or from none.
    /// What was drawn stays drawn, whatever becomes of the message. Gives the counts of the pumping guard that would have
    /// refused it, were the guard not only recording.
    ///
    /// # Errors
    /// [`Failure::QuotaExceeded`] names the first that is used up. If the store cannot be asked its error stands, unless
    /// the action may go on under the limits of this process.
    pub(super) async fn draw(&self, outgoing: &Outgoing) -> Result<Vec<Dimension>, Failure> {
        let (policy, now) = (&self.policy, self.clock.now());
        let cost = policy.spend.cost(&outgoing.recipient);
        let charges = self.tariff(&outgoing.tenant).charges(outgoing, cost);
        // What a fleet spends no process knows by itself: a message under a budget waits for the store.
        let has_budget = charges.iter().any(|charge| charge.dimension.is_money());
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

    /// Draws one from a bucket that is no quota of the settings; `Err` with the wait if it has none left.
    ///
    /// # Errors
    /// [`Failure`]; then it is not known whether it was drawn.
    pub(super) async fn draw_one(
        &self,
        bucket: Mark,
        rate: Rate,
    ) -> Result<Result<(), Duration>, Failure> {
        let draws = [Draw::one(bucket, rate)];
        let outcome = within(self.deadline, async { Ok(self.store.draw(&draws).await?) }).await?;
        Ok(match outcome {
            Drawn::Taken(_) => Ok(()),
            Drawn::Refused { retry_after, .. } => Err(retry_after),
        })
    }

    /// The prices of a tenant's messages.
    fn tariff<'a>(&'a self, tenant: &'a TenantId) -> Tariff<'a> {
        Tariff {
            keyring: &self.keyring,
            policy: &self.policy,
            tenant,
        }
    }

    /// Half of the time for the store, so that the other half is left for the commit; then the limits of this process.
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

    /// Draws from the store, except what the slices of this process still have.
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
            let draw = if charge.dimension.is_hot() {
                Draw::some(
                    charge.bucket,
                    charge.rate,
                    hold.take(charge.bucket, charge.rate),
                )
            } else {
                Draw {
                    short: charge.short,
                    ..Draw::whole(charge.bucket, charge.rate, charge.want)
                }
            };
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
                    .for_each(|(draw, count)| hold.fill(draw.bucket, *count));
                let passed_over = places.iter().zip(&counts).filter(|(_, count)| **count == 0);
                Ok(Drew::Taken {
                    passed_over: passed_over
                        .map(|(place, _)| charges[*place].dimension)
                        .collect(),
                })
            }
            Drawn::Refused { place, retry_after } => {
                hold.put_back();
                Ok(Drew::Refused {
                    quota: charges[places[place]].dimension,
                    rate: charges[places[place]].rate,
                    retry_after,
                })
            }
        }
    }

    /// Draws from the limits of this process, because the store cannot be asked.
    /// The guard has no part in it: what comes back is known to the store alone.
    fn draw_from_here(
        &self,
        charges: &[Charge],
        now: Timestamp,
        error: StoreError,
    ) -> Result<Drew, StoreError> {
        metrics::counter!("countersign_quota_fallbacks_total").increment(1);
        tracing::warn!(%error, "quotas not drawn; a message goes on under the limits of this process");
        let charges: Vec<Charge> = charges
            .iter()
            .filter(|charge| !charge.dimension.is_guard())
            .copied()
            .collect();
        match self.fallback.draw(&charges, now).ok_or(error)? {
            Drawn::Taken(_) => Ok(Drew::Taken {
                passed_over: Vec::new(),
            }),
            Drawn::Refused { place, retry_after } => Ok(Drew::Refused {
                quota: charges[place].dimension,
                rate: charges[place].rate,
                retry_after,
            }),
        }
    }
}

/// What came of drawing a message.
enum Drew {
    /// It may be sent, though these were used up.
    Taken { passed_over: Vec<Dimension> },
    /// It may not.
    Refused {
        quota: Dimension,
        rate: Rate,
        retry_after: Duration,
    },
}

fn count_refusal(quota: Dimension, mode: Mode) {
    let dimension = quota.as_str();
    if quota.is_guard() {
        metrics::counter!("countersign_guard_refusals_total", "dimension" => dimension, "mode" => mode.as_str()).increment(1);
    } else {
        metrics::counter!("countersign_quota_refusals_total", "dimension" => dimension)
            .increment(1);
    }
}

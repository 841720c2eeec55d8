//! Fleet-wide quotas: what a message counts against, and the one draw from all of it before the commit.

mod charges;
mod fallback;
pub(super) mod pumping;
mod slices;

use std::time::Duration;

use super::{Service, failure::Failure, policy::Policy};
use crate::{
    domain::{
        caller::Caller,
        decide::Outgoing,
        limit::{pumping::Mode, quota::Dimension, rate::Rate},
        time::Timestamp,
    },
    ports::store::{Draw, Drawn, StoreError},
};

use charges::{Charge, Tariff};
use fallback::Fallback;
use slices::Slices;

pub(super) use charges::Occasion;
pub use pumping::{DrainQueue, Drains, drains};

/// The part of the quotas that lives in this process.
#[derive(Default)]
pub(super) struct LocalQuotas {
    slices: Slices,
    fallback: Fallback,
}

impl Service {
    /// Draws a message from every quota that it counts against, by one call of the store: from all of them or from
    /// none. What was drawn stays drawn, whatever becomes of the message.
    ///
    /// # Errors
    /// [`Failure::QuotaExceeded`] names the first that has none left. If the store cannot be asked its error stands,
    /// unless the action may go on under the limits of this process.
    ///
    /// Gives the counts of the guard that would have refused it, were the guard not only recording.
    pub(super) async fn draw(
        &self,
        caller: &Caller,
        occasion: Occasion<'_>,
        outgoing: &Outgoing,
    ) -> Result<Vec<Dimension>, Failure> {
        let (parts, now) = (&self.parts, self.parts.clock.now());
        let policy = &parts.policy;
        let tariff = self.tariff(caller);
        let cost = policy.spend.cost(&outgoing.recipient);
        let charges = tariff.charges(occasion, outgoing, cost);
        // What a fleet spends no process knows by itself: a message under a budget waits for the store.
        let has_budget = charges.iter().any(|charge| charge.dimension.is_money());
        let drawn = if policy.allows_fallback(&outgoing.action) && !has_budget {
            // Half of the time, so that the other half is left for the commit.
            let drawn = tokio::time::timeout(
                parts.store_deadline / 2,
                self.draw_from_store(&charges, now),
            )
            .await;
            let late = |_| {
                Err(StoreError::Unavailable(
                    "no answer to a draw within half of the deadline".to_owned(),
                ))
            };
            drawn
                .unwrap_or_else(late)
                .or_else(|error| self.draw_from_here(&charges, now, error))?
        } else {
            self.draw_from_store(&charges, now).await?
        };
        match drawn {
            Drew::Taken { passed_over } => {
                policy.note_spent(caller, cost);
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

    /// What messages of a caller count against.
    fn tariff<'a>(&'a self, caller: &'a Caller) -> Tariff<'a> {
        let Policy {
            quotas,
            spend,
            guard,
            ..
        } = &self.parts.policy;
        Tariff {
            keyring: &self.parts.keyring,
            quotas,
            spend,
            guard,
            caller,
        }
    }

    /// Draws from the store, but for what the slices of this process still have.
    async fn draw_from_store(
        &self,
        charges: &[Charge],
        now: Timestamp,
    ) -> Result<Drew, StoreError> {
        let mut hold = self.quotas.slices.hold(now);
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
        match self.parts.store.draw(&draws).await? {
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
        tracing::warn!(%error, "The quotas cannot be drawn; a message goes on under the limits of this process.");
        let charges: Vec<Charge> = charges
            .iter()
            .filter(|charge| !charge.dimension.is_guard())
            .copied()
            .collect();
        match self.quotas.fallback.draw(&charges, now).ok_or(error)? {
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

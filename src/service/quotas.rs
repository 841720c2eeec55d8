//! Fleet-wide quotas: what a message counts against, and the one draw from all of it before the commit.

mod charges;
mod fallback;
mod slices;

use super::{Service, failure::Failure};
use crate::{
    domain::{caller::Caller, decide::Outgoing, time::Timestamp},
    ports::store::{Draw, Drawn, StoreError},
};

use charges::{Charge, Tariff};
use fallback::Fallback;
use slices::Slices;

pub(super) use charges::Occasion;

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
    pub(super) async fn draw(&self, caller: &Caller, occasion: Occasion<'_>, outgoing: &Outgoing) -> Result<(), Failure> {
        let (parts, now) = (&self.parts, self.parts.clock.now());
        let policy = &parts.policy;
        let tariff = Tariff { keyring: &parts.keyring, quotas: &policy.quotas, spend: &policy.spend, caller };
        let cost = policy.spend.cost(&outgoing.recipient);
        let charges = tariff.charges(occasion, outgoing, cost);
        // What a fleet spends no process knows by itself: a message under a budget waits for the store.
        let has_budget = charges.iter().any(|charge| charge.dimension.is_money());
        let drawn = if policy.allows_fallback(&outgoing.action) && !has_budget {
            // Half of the time, so that the other half is left for the commit.
            let drawn = tokio::time::timeout(parts.store_deadline / 2, self.draw_from_store(&charges, now)).await;
            let late = |_| Err(StoreError::Unavailable("no answer to a draw within half of the deadline".to_owned()));
            drawn.unwrap_or_else(late).or_else(|error| self.draw_from_here(&charges, now, error))?
        } else {
            self.draw_from_store(&charges, now).await?
        };
        match drawn {
            Drawn::Taken(_) => {
                policy.note_spent(caller, cost);
                Ok(())
            }
            Drawn::Refused { place, retry_after } => {
                let quota = charges[place].dimension;
                metrics::counter!("countersign_quota_refusals_total", "dimension" => quota.as_str()).increment(1);
                Err(Failure::QuotaExceeded { quota, retry_after })
            }
        }
    }

    /// Draws from the store, but for what the slices of this process still have.
    async fn draw_from_store(&self, charges: &[Charge], now: Timestamp) -> Result<Drawn, StoreError> {
        let mut hold = self.quotas.slices.hold(now);
        let (mut places, mut draws) = (Vec::with_capacity(charges.len()), Vec::with_capacity(charges.len()));
        for (place, charge) in charges.iter().enumerate() {
            let want = if charge.dimension.is_hot() { hold.take(charge.bucket, charge.rate) } else { charge.want };
            if want > 0 {
                places.push(place);
                draws.push(Draw::some(charge.bucket, charge.rate, want));
            }
        }
        if draws.is_empty() {
            return Ok(Drawn::Taken(Vec::new()));
        }
        match self.parts.store.draw(&draws).await? {
            Drawn::Taken(counts) => {
                draws.iter().zip(&counts).for_each(|(draw, count)| hold.fill(draw.bucket, *count));
                Ok(Drawn::Taken(counts))
            }
            Drawn::Refused { place, retry_after } => {
                hold.put_back();
                Ok(Drawn::Refused { place: places[place], retry_after })
            }
        }
    }

    /// Draws from the limits of this process, because the store cannot be asked.
    fn draw_from_here(&self, charges: &[Charge], now: Timestamp, error: StoreError) -> Result<Drawn, StoreError> {
        metrics::counter!("countersign_quota_fallbacks_total").increment(1);
        tracing::warn!(%error, "The quotas cannot be drawn; a message goes on under the limits of this process.");
        self.quotas.fallback.draw(charges, now).ok_or(error)
    }
}

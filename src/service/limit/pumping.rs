//! The pumping guard: what it counts for a message, and what an approval subtracts again.

use tokio::sync::mpsc;

use super::charges::{BucketName, Charge, Named, Tariff};
use crate::{
    domain::{
        ids::TenantId,
        limit::{
            bucket::BucketKind,
            pumping::{APPROVAL_PARTS, MESSAGE_PARTS, Mode},
            quota::Dimension,
        },
        recipient::{NumberArea, Recipient},
        verification::rules::Origin,
    },
    ports::store::{Return, Short},
    service::{Service, failure::within, limit::Limits},
};

/// The largest number of approvals waiting in the queue. Others are lost, so the guard refuses a little earlier.
const DRAINS_MAX: usize = 4096;
/// The largest number of approvals sent to the store in one call.
const BATCH_MAX: usize = 64;

/// The sending end of the queue, for approvals.
pub type ReturnSender = mpsc::Sender<Vec<Return>>;

/// The receiving end of the queue, for [`Service::give_back_all`].
pub type ReturnQueue = mpsc::Receiver<Vec<Return>>;

/// Makes the queue, with room for 4096 approvals.
#[must_use]
pub fn return_queue() -> (ReturnSender, ReturnQueue) {
    mpsc::channel(DRAINS_MAX)
}

impl Tariff<'_> {
    /// The charges of the guard for a message to a number.
    pub(super) fn guard_charges(&self, area: &NumberArea, origin: Origin) -> Vec<Charge> {
        let guard = &self.policy.guard;
        let short = if guard.mode == Mode::RecordOnly {
            Short::Skip
        } else {
            Short::Refuse
        };
        let charge = |(kind, name): (BucketKind, BucketName)| Charge {
            kind,
            name,
            rate: guard.rate(kind.scope),
            want: MESSAGE_PARTS,
            short,
        };
        self.guard_buckets(area, origin).map(charge).collect()
    }

    /// The guard's buckets that a message to a number counts in; none if its country is not counted.
    fn guard_buckets<'a>(
        &'a self,
        area: &'a NumberArea,
        origin: Origin,
    ) -> impl Iterator<Item = (BucketKind, BucketName)> + 'a {
        let dimensions = [
            (Dimension::GuardPrefix, &*area.block),
            (Dimension::GuardCountry, &*area.country),
        ];
        let counted = dimensions
            .into_iter()
            .filter(|_| self.policy.guard.counts(&area.country));
        counted.flat_map(move |(dimension, value)| {
            let names = self.names(dimension, Named::by(&[value]));
            dimension
                .kinds(origin)
                .map(move |kind| (kind, names.of(kind)))
        })
    }

    /// What an approval gives back: to the counts in which the messages of its verification were counted.
    fn returns(&self, recipients: &[Recipient], origin: Origin) -> Vec<Return> {
        let guard = &self.policy.guard;
        let mut returns: Vec<Return> = Vec::new();
        for area in recipients.iter().filter_map(Recipient::number_area) {
            for (kind, name) in self.guard_buckets(&area, origin) {
                let is_same = |back: &Return| (back.owner, back.slot) == (name.owner, name.slot);
                if !returns.iter().any(is_same) {
                    returns.push(Return {
                        owner: name.owner,
                        slot: name.slot,
                        former: name.former,
                        rate: guard.rate(kind.scope),
                        count: APPROVAL_PARTS,
                        reserve: guard.reserve_parts(kind.scope),
                    });
                }
            }
        }
        returns
    }
}

impl Limits {
    /// After an approval: queues its subtraction from the counts of all places that its messages went to. The
    /// caller's answer does not wait for it. An approval by link subtracts nothing: it does not show where else the
    /// code went, and subtracting too little is the safe side.
    pub(in crate::service) fn give_back_approved(
        &self,
        tenant: &TenantId,
        origin: Origin,
        reached: &[Recipient],
    ) {
        if reached.is_empty() || self.policy.guard.mode == Mode::Off {
            return;
        }
        let returns = self.tariff(tenant).returns(reached, origin);
        if !returns.is_empty() && self.returns.try_send(returns).is_err() {
            metrics::counter!("countersign_guard_drains_lost_total").increment(1);
        }
    }

    async fn give_back(&self, returns: &[Return]) {
        let given = within(self.deadline, async {
            Ok(self.store.give_back(returns).await?)
        });
        if let Err(error) = given.await {
            metrics::counter!("countersign_guard_drains_lost_total").increment(1);
            tracing::warn!(%error, "approvals not subtracted from the counts of the pumping guard");
        }
    }
}

impl Service {
    /// Subtracts queued approvals from the counts of the pumping guard; ends when the queue is closed.
    pub async fn give_back_all(&self, mut queue: ReturnQueue) {
        let mut batch = Vec::new();
        while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let returns: Vec<Return> = batch.drain(..).flatten().collect();
            self.limits.give_back(&returns).await;
        }
    }
}

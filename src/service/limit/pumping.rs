//! The pumping guard: what it counts for a message, and what an approval subtracts again.

use tokio::sync::mpsc;

use super::charges::{Charge, Tariff};
use crate::{
    domain::{
        ids::TenantId,
        limit::{
            pumping::{APPROVAL_PARTS, MESSAGE_PARTS, Mode},
            quota::Dimension,
        },
        recipient::{NumberArea, Recipient},
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
    pub(super) fn guard_charges(&self, area: &NumberArea) -> Vec<Charge> {
        let guard = &self.policy.guard;
        if !guard.counts(&area.country) {
            return Vec::new();
        }
        let short = if guard.mode == Mode::RecordOnly {
            Short::Skip
        } else {
            Short::Refuse
        };
        let charge = |(dimension, bucket)| Charge {
            dimension,
            bucket,
            rate: guard.rate(),
            want: MESSAGE_PARTS,
            short,
        };
        self.guard_buckets(area).map(charge).to_vec()
    }

    /// The guard's buckets. Each is in the slot of the quota for the same value, so that a cluster draws
    /// both by one call.
    fn guard_buckets(&self, area: &NumberArea) -> [(Dimension, [u8; 16]); 2] {
        let of = |dimension, first, value: &str| {
            let mut bucket = self.mark(dimension, &[value]);
            bucket[0] = self.mark(first, &[value])[0];
            (dimension, bucket)
        };
        [
            of(Dimension::GuardPrefix, Dimension::Prefix, &area.block),
            of(Dimension::GuardCountry, Dimension::Country, &area.country),
        ]
    }

    fn returns(&self, recipients: &[Recipient]) -> Vec<Return> {
        let mut returns: Vec<Return> = Vec::new();
        for area in recipients.iter().filter_map(Recipient::number_area) {
            let guard = &self.policy.guard;
            if !guard.counts(&area.country) {
                continue;
            }
            for (_, bucket) in self.guard_buckets(&area) {
                if !returns.iter().any(|back| back.bucket == bucket) {
                    let (rate, reserve) = (guard.rate(), guard.reserve_parts());
                    returns.push(Return {
                        bucket,
                        rate,
                        count: APPROVAL_PARTS,
                        reserve,
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
    pub(in crate::service) fn give_back_approved(&self, tenant: &TenantId, reached: &[Recipient]) {
        if reached.is_empty() || self.policy.guard.mode == Mode::Off {
            return;
        }
        let returns = self.tariff(tenant).returns(reached);
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

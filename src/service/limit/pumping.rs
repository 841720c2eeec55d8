//! What the guard counts for a message, and what an approval takes back.

use tokio::sync::mpsc;

use super::charges::{Charge, Tariff};
use crate::{
    domain::{
        ids::TenantId,
        limit::{
            pumping::{APPROVAL_PARTS, MESSAGE_PARTS, Mode},
            quota::Dimension,
        },
        recipient::{Numbering, Recipient},
    },
    ports::store::{Return, Short},
    service::{Service, failure::within, limit::Limits},
};

/// So many approvals wait at most to be taken back from the counts. What finds no room is not taken back: the guard closes
/// a little earlier.
const DRAINS_MAX: usize = 4096;
/// So many are taken back at once.
const BATCH_MAX: usize = 64;

/// The end for approvals.
pub type Drains = mpsc::Sender<Vec<Return>>;

/// The other end.
pub type DrainQueue = mpsc::Receiver<Vec<Return>>;

/// Both ends.
#[must_use]
pub fn drains() -> (Drains, DrainQueue) {
    mpsc::channel(DRAINS_MAX)
}

impl Tariff<'_> {
    /// What the guard counts for a message to a number.
    pub(super) fn guard_charges(&self, numbering: &Numbering) -> Vec<Charge> {
        let guard = &self.policy.guard;
        if !guard.counts(&numbering.country) {
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
        self.guard_buckets(numbering).map(charge).to_vec()
    }

    /// Each lies where the quota of the same value lies, so that a cluster draws both by one call.
    fn guard_buckets(&self, numbering: &Numbering) -> [(Dimension, [u8; 16]); 2] {
        let of = |dimension, first, value: &str| {
            let mut bucket = self.mark(dimension, &[value]);
            bucket[0] = self.mark(first, &[value])[0];
            (dimension, bucket)
        };
        [
            of(Dimension::GuardPrefix, Dimension::Prefix, &numbering.block),
            of(
                Dimension::GuardCountry,
                Dimension::Country,
                &numbering.country,
            ),
        ]
    }

    fn returns(&self, recipients: &[Recipient]) -> Vec<Return> {
        let mut returns: Vec<Return> = Vec::new();
        for numbering in recipients.iter().filter_map(Recipient::numbering) {
            let guard = &self.policy.guard;
            if !guard.counts(&numbering.country) {
                continue;
            }
            for (_, bucket) in self.guard_buckets(&numbering) {
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
    /// After an approval: takes it back from the counts of the places that its messages went to, behind the answer.
    /// A press on a link takes nothing back: it does not say where else the code went, so less is given back than could be.
    pub(in crate::service) fn drain(&self, tenant: &TenantId, reached: &[Recipient]) {
        if reached.is_empty() || self.policy.guard.mode == Mode::Off {
            return;
        }
        let returns = self.tariff(tenant).returns(reached);
        if !returns.is_empty() && self.drains.try_send(returns).is_err() {
            metrics::counter!("countersign_guard_drains_lost_total").increment(1);
        }
    }

    async fn give_back(&self, returns: &[Return]) {
        let given = within(self.deadline, async {
            Ok(self.store.give_back(returns).await?)
        });
        if let Err(error) = given.await {
            metrics::counter!("countersign_guard_drains_lost_total").increment(1);
            tracing::warn!(%error, "approvals not taken back from the counts of the pumping guard");
        }
    }
}

impl Service {
    /// Takes approvals back from the counts of the pumping guard as they come; ends with the queue.
    pub async fn give_back_all(&self, mut queue: DrainQueue) {
        let mut batch = Vec::new();
        while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let returns: Vec<Return> = batch.drain(..).flatten().collect();
            self.limits.give_back(&returns).await;
        }
    }
}

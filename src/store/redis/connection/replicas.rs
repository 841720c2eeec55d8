//! Whether a master refuses writes because too few replicas follow it.

use super::{health::Health, identity::Identity, link::Trust};
use crate::ports::store::url::Endpoint;

/// Follows one master, from one check of it to the next.
#[derive(Default)]
pub(in crate::store::redis) struct Replicas {
    /// The number of good replicas at the last check, while writes are refused.
    good: Option<u64>,
}

impl Replicas {
    /// Evaluates a check of the master, and begins or ends the complaint.
    pub(in crate::store::redis) fn follow(
        &mut self,
        at: &Endpoint,
        identity: &Identity,
        trust: &Trust,
        health: &Health,
    ) {
        let good = identity.number("min_slaves_good_slaves");
        // Without calls no write would tell that the replicas are back, but their number does.
        if self.good.is_some_and(|before| before != good) {
            trust.set_refuses_writes(false);
        }
        let refuses = trust.refuses_writes();
        self.good = refuses.then_some(good);
        health.complain("too_few_replicas", at, refuses.then(|| refusal(at)));
    }
}

/// The text of the complaint and of `/readyz`.
pub(in crate::store::redis) fn refusal(at: &Endpoint) -> String {
    format!(
        "{at} refuses writes: fewer replicas follow it than min-replicas-to-write demands (NOREPLICAS)"
    )
}

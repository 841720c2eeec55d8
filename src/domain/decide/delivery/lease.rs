//! Leases a delivery that is due to this process, if its sender has a free hand here.

use crate::domain::{
    delivery::{
        Delivery, DeliveryStatus, TRIES_MAX,
        hands::{DueDelivery, FreeHands},
        reason::Reason,
    },
    record::subject::SubjectRecord,
    time::{Now, Timestamp},
    verification::{Pending, Phase, Verification, rules::Origin},
};

/// Leases one delivery of a pending verification. Without a free hand the delivery waits; after too
/// many tries it fails.
pub(in crate::domain::decide) fn lease(
    verification: &mut Verification,
    place: usize,
    hands: &dyn FreeHands,
    at: Timestamp,
) {
    let Phase::Pending(pending) = &verification.phase else {
        return;
    };
    let delivery = verification.deliveries[place].clone();
    verification.deliveries[place] = leased(verification, pending, delivery, hands, at);
}

fn leased(
    verification: &Verification,
    pending: &Pending,
    delivery: Delivery,
    hands: &dyn FreeHands,
    at: Timestamp,
) -> Delivery {
    if delivery.tries >= TRIES_MAX {
        return delivery.fail(Reason::TooManyTries, at);
    }
    let Some(recipient) = pending.recipients.get(delivery.recipient) else {
        return delivery.fail(Reason::NoRecipient, at);
    };
    let due = DueDelivery {
        verification: verification.id,
        tenant: &verification.tenant,
        caller: &verification.caller,
        is_anonymous: verification.origin == Origin::Anonymous,
        recipient,
        delivery: &delivery,
    };
    match hands.reserve(&due) {
        Some(lease) => delivery.lease(lease, at),
        None => delivery.wait_for_hand(at),
    }
}

impl SubjectRecord {
    /// The earliest time at which a live verification has something to send: a queued delivery or a
    /// step of its plan. Deliveries for which `is_looked_after` is true are left out.
    #[must_use]
    pub fn next_send(
        &self,
        now: Now,
        is_looked_after: impl Fn(&Delivery) -> bool,
    ) -> Option<Timestamp> {
        let live = self
            .verifications
            .iter()
            .filter(|verification| verification.live(now).is_some());
        let of_one = |verification: &Verification| {
            let waits = |delivery: &Delivery| match &delivery.status {
                DeliveryStatus::Queued { not_before } if !is_looked_after(delivery) => {
                    Some(*not_before)
                }
                DeliveryStatus::Queued { .. }
                | DeliveryStatus::Leased(_)
                | DeliveryStatus::Sent
                | DeliveryStatus::Delivered
                | DeliveryStatus::Undelivered { .. }
                | DeliveryStatus::Failed { .. } => None,
            };
            let step = verification.next_step().map(|step| step.at);
            verification
                .deliveries
                .iter()
                .filter_map(waits)
                .chain(step)
                .min()
        };
        live.filter_map(of_one).min()
    }
}

//! Hands, as decisions see them. A hand is a slot for one hand-over: a process has a fixed number
//! of them for each sender.

use std::time::Duration;

use super::{Delivery, DeliveryStatus, Lease};
use crate::domain::{
    ids::{CallerName, TenantId, VerificationId},
    recipient::Recipient,
    time::{Now, Timestamp},
};

/// How long a delivery waits if its sender has no free hand in this process. Meanwhile another
/// process may lease it.
pub const HAND_WAIT: Duration = Duration::from_millis(500);

/// A delivery that may go out now.
#[derive(Clone, Copy, Debug)]
pub struct DueDelivery<'a> {
    /// The verification that it belongs to.
    pub verification: VerificationId,
    /// The tenant of the customer.
    pub tenant: &'a TenantId,
    /// The caller that started the verification.
    pub caller: &'a CallerName,
    /// Whether anybody could have started the verification.
    pub is_anonymous: bool,
    /// The address that the message goes to.
    pub recipient: &'a Recipient,
    /// The delivery as it is before its lease.
    pub delivery: &'a Delivery,
}

/// The free hands of this process. A decision asks for one for each delivery that may go out now.
/// Like the time, the answer comes from outside.
pub trait FreeHands {
    /// Reserves a hand of the sender whose turn it is, and returns the lease for it. `None`: all
    /// hands of that sender are busy.
    fn reserve(&self, due: &DueDelivery<'_>) -> Option<Lease>;
}

impl Delivery {
    /// Leaves it queued for [`HAND_WAIT`], because all hands of its sender are busy.
    #[must_use]
    pub fn wait_for_hand(mut self, now: Timestamp) -> Self {
        self.status = DeliveryStatus::Queued {
            not_before: now.plus(HAND_WAIT),
        };
        self
    }

    /// Whether it may use a hand that became free: it waits for nothing longer than a hand.
    #[must_use]
    pub fn may_take_freed_hand(&self, now: Now) -> bool {
        matches!(&self.status, DeliveryStatus::Queued { not_before } if now.until(*not_before) <= HAND_WAIT)
    }
}

//! Hands: how many messages a process hands over at once to each sender, as decisions ask for them.

use std::time::Duration;

use super::{Delivery, DeliveryStatus, Lease};
use crate::domain::{
    ids::{TenantId, VerificationId},
    recipient::Recipient,
    time::{Now, Timestamp},
};

/// The wait of a delivery whose sender has no free hand in this process. Another process may have one, or this one soon.
pub const HAND_WAIT: Duration = Duration::from_millis(500);

/// A delivery that may go out now.
#[derive(Clone, Copy, Debug)]
pub struct Parcel<'a> {
    /// The verification that it belongs to.
    pub verification: VerificationId,
    /// The tenant of the customer.
    pub tenant: &'a TenantId,
    /// The address.
    pub recipient: &'a Recipient,
    /// The delivery as it stands before its lease.
    pub delivery: &'a Delivery,
}

/// The free hands of this process. A decision asks for one for each delivery that may go out now; like the time, the answer
/// is a fact from outside.
pub trait FreeHands {
    /// Reserves a hand of the sender whose turn it is; gives the lease of that hand. `None`: all hands of that sender are
    /// full.
    fn reserve(&self, parcel: &Parcel<'_>) -> Option<Lease>;
}

impl Delivery {
    /// Without a lease, because all hands of its sender are full.
    #[must_use]
    pub fn wait_for_hand(mut self, now: Timestamp) -> Self {
        self.status = DeliveryStatus::Queued {
            not_before: now.plus(HAND_WAIT),
        };
        self
    }

    /// Whether it may go out now that a hand is free for which it waited.
    #[must_use]
    pub fn may_take_freed_hand(&self, now: Now) -> bool {
        matches!(&self.status, DeliveryStatus::Queued { not_before } if now.until(*not_before) <= HAND_WAIT)
    }
}

//! Side records: small facts that all processes share beside the subject records, each for a limited time.

use crate::domain::{
    delivery::breaker::Breaker,
    ids::{DeliveryId, VerificationId},
    time::Timestamp,
};

/// The kinds of side records, each with a letter of its own in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SideKind {
    /// The circuit breaker of a sender.
    Breaker,
    /// The delivery that a provider's message id belongs to.
    Delivery,
}

/// The content of a side record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// The state of a sender's circuit breaker.
    Breaker(Breaker),
    /// The delivery that a provider's message id belongs to.
    Delivery {
        /// The verification that the message was sent for.
        verification: VerificationId,
        /// The delivery of that verification.
        delivery: DeliveryId,
    },
}

impl Side {
    /// The kind that the key of such a record has.
    #[must_use]
    pub const fn kind(&self) -> SideKind {
        match self {
            Self::Breaker(_) => SideKind::Breaker,
            Self::Delivery { .. } => SideKind::Delivery,
        }
    }
}

/// A side record as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideRecord {
    /// Counts the commits; only associated data of the seal, never compared.
    pub version: u64,
    /// When it expires: from then on it counts as absent, and the next sweep deletes it.
    pub until: Timestamp,
    /// The content.
    pub side: Side,
}

//! Side records: small facts beside the subject records, shared by all processes for a limited time.

use crate::domain::{
    delivery::breaker::Breaker,
    ids::{DeliveryId, VerificationId},
    limit::guesses::GuessTally,
    time::Timestamp,
};

/// The kinds of side records. Each has its own letter in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SideKind {
    /// The state of a sender's circuit breaker.
    Breaker,
    /// The delivery for which a provider gave a message id.
    Delivery,
    /// The failed guesses of a caller or a tenant over all subjects.
    Tally,
}

/// The content of a side record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// The state of a sender's circuit breaker.
    Breaker(Breaker),
    /// The delivery for which a provider gave a message id, so that receipts with this id find it.
    Delivery {
        /// The verification that the message was sent for.
        verification: VerificationId,
        /// The delivery of that verification.
        delivery: DeliveryId,
    },
    /// The failed guesses of a caller or a tenant over all subjects.
    Tally(GuessTally),
}

impl Side {
    /// The kind in the key of such a record.
    #[must_use]
    pub const fn kind(&self) -> SideKind {
        match self {
            Self::Breaker(_) => SideKind::Breaker,
            Self::Delivery { .. } => SideKind::Delivery,
            Self::Tally(_) => SideKind::Tally,
        }
    }
}

/// A side record as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideRecord {
    /// The number of commits. Only associated data of the seal; commits compare the nonce instead.
    pub version: u64,
    /// When it expires: after that it counts as absent, and the next sweep deletes it.
    pub until: Timestamp,
    /// The fact that is stored, with its kind.
    pub side: Side,
}

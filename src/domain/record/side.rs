//! Side records: small facts of the fleet that stand beside the subject records, each for a limited time.

use crate::domain::{
    delivery::breaker::Breaker,
    ids::{DeliveryId, VerificationId},
    time::Timestamp,
};

/// What a side record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// How a sender's breaker stands.
    Breaker(Breaker),
    /// Which delivery a provider's name for a message means.
    Delivery {
        /// Of which verification.
        verification: VerificationId,
        /// Which of its deliveries.
        delivery: DeliveryId,
    },
}

/// A side record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideRecord {
    /// Counts the commits; only associated data of the seal, never compared.
    pub version: u64,
    /// When it ends: then it says nothing any more, and the next sweep deletes it.
    pub until: Timestamp,
    /// What it says.
    pub side: Side,
}

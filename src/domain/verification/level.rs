//! How strong the proof of a verification is, by the channels that carried its code.

use super::Verification;
use crate::domain::{
    delivery::{Delivery, DeliveryStatus},
    recipient::MethodLevel,
};

impl Verification {
    /// The levels of the channels that carried its code, or may have.
    fn levels(&self) -> impl Iterator<Item = MethodLevel> {
        let may_have_carried = |delivery: &&Delivery| match delivery.status {
            DeliveryStatus::Queued { .. } | DeliveryStatus::Failed { .. } => delivery.tries > 0,
            DeliveryStatus::Leased(_)
            | DeliveryStatus::Sent
            | DeliveryStatus::Delivered
            | DeliveryStatus::Undelivered { .. } => true,
        };
        self.deliveries
            .iter()
            .filter(may_have_carried)
            .map(|delivery| delivery.channel.level())
    }

    /// The level of a wrong guess: that of the strongest channel that carried the code.
    #[must_use]
    pub fn level_of_failure(&self) -> MethodLevel {
        self.levels().max().unwrap_or(MethodLevel::Standard)
    }

    /// The level that the right code proves: that of the weakest channel that carried it, because it may have been read
    /// there.
    #[must_use]
    pub fn level_of_approval(&self) -> MethodLevel {
        self.levels().min().unwrap_or(MethodLevel::Basic)
    }
}

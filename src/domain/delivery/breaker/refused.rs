//! The messages that a sender refused when it knew their recipients. Together they say something of the sender only
//! if they were for several areas.

use super::Passed;
use crate::domain::{crypto::keyring::Mark, ids::DeliveryId};

/// The number of different areas, mail domains or blocks of numbers, from which on refusals count. Whoever starts
/// verifications can find one or two whose servers refuse everything.
pub const AREAS_MIN: usize = 3;

/// A message that was refused, without its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedDelivery {
    /// The delivery that the message belongs to.
    pub delivery: DeliveryId,
    /// A mark of the area of its recipient.
    pub area: Mark,
}

/// The refused messages, oldest first; of each area at most as many as open the breaker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused(Vec<RefusedDelivery>);

impl Refused {
    /// The refused messages as stored.
    #[must_use]
    pub const fn from_stored(messages: Vec<RefusedDelivery>) -> Self {
        Self(messages)
    }

    /// The refused messages, to be stored.
    #[must_use]
    pub fn messages(&self) -> &[RefusedDelivery] {
        &self.0
    }

    /// How many failures they count for: none until they were for [`AREAS_MIN`] areas.
    #[must_use]
    pub fn count(&self) -> usize {
        let mut areas: Vec<&Mark> = self.0.iter().map(|message| &message.area).collect();
        areas.sort_unstable();
        areas.dedup();
        if areas.len() < AREAS_MIN {
            0
        } else {
            self.0.len()
        }
    }

    pub(super) fn deliveries(&self) -> impl Iterator<Item = DeliveryId> + '_ {
        self.0.iter().map(|message| message.delivery)
    }

    /// The same with one more message. It is left out if it is there already, or if there are `max` of its area.
    pub(super) fn with(&self, passed: &Passed, max: u8) -> Self {
        let mut messages = self.0.clone();
        let of_area = messages
            .iter()
            .filter(|message| message.area == passed.area)
            .count();
        let is_known = self.deliveries().any(|id| id == passed.delivery);
        if !is_known && of_area < usize::from(max) {
            messages.push(RefusedDelivery {
                delivery: passed.delivery,
                area: passed.area,
            });
        }
        Self(messages)
    }
}

//! Which sender of a route takes a message next: the order of the senders, and the steps along it.

use std::time::Duration;

use super::{Delivery, breaker::Pass};
use crate::domain::{
    ids::DeliveryId,
    time::{Now, Timestamp},
};

/// Senders of one route; as many fit into [`Refusals`].
pub const SENDERS_MAX: usize = 8;

/// The pause doubles so often at most while no sender of the route takes a message.
const DOUBLINGS_MAX: u32 = 5;

/// The pause of a message that comes to the end of its route without an answer that says how long.
const PAUSE: Duration = Duration::from_secs(2);

/// The senders of a route that will not take a message, by their places in its order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals(u8);

impl Refusals {
    /// As stored, one bit for each place.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// As stored.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// With one more.
    #[must_use]
    pub fn with(self, place: usize) -> Self {
        let bit = u32::try_from(place)
            .ok()
            .and_then(|place| 1_u8.checked_shl(place));
        Self(self.0 | bit.unwrap_or_default())
    }

    /// May this one still take it?
    #[must_use]
    pub fn allow(self, place: usize) -> bool {
        Self::default().with(place).0 & self.0 == 0
    }
}

/// The order in which the senders of a route are asked for one delivery: as many as there are weights, each first as
/// often as its weight says. Every process and every try sees the same order, because it comes from the delivery's id.
/// Those without weight come last, as they are listed.
#[must_use]
pub fn order(weights: &[u16], delivery: &DeliveryId) -> Vec<usize> {
    let mut left: Vec<usize> = (0..weights.len()).collect();
    let mut order = Vec::with_capacity(left.len());
    let mut random = u64::from_be_bytes(std::array::from_fn(|at| {
        delivery.0[at] ^ delivery.0[at + 8]
    }));
    while !left.is_empty() {
        let sum: u64 = left.iter().map(|at| u64::from(weights[*at])).sum();
        random = mixed(random);
        // Of 64 bits: what the remainder prefers is far below what anybody could measure.
        let mut point = random.checked_rem(sum).unwrap_or_default();
        let hit = left.iter().position(|at| {
            let weight = u64::from(weights[*at]);
            let is_hit = point < weight;
            point = point.saturating_sub(weight);
            is_hit
        });
        order.push(left.remove(hit.unwrap_or_default()));
    }
    order
}

/// The next of a row of well-mixed numbers (`SplitMix64`). It spreads load; nothing secret rests on it.
fn mixed(before: u64) -> u64 {
    let mut z = before.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Where a message stands on its route.
#[derive(Clone, Copy, Debug)]
pub struct Stand {
    /// The place in the order from which on a sender is looked for.
    pub position: usize,
    /// Who will not take it.
    pub refusals: Refusals,
    /// Hand-overs begun, this one included.
    pub tries: u8,
}

impl Stand {
    /// Of a delivery as it stands.
    #[must_use]
    pub fn of(delivery: &Delivery) -> Self {
        Self {
            position: delivery.position,
            refusals: delivery.refusals,
            tries: delivery.tries,
        }
    }
}

/// What to do with a message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This sender takes it.
    Ask {
        /// Its place.
        place: usize,
        /// Only if it gets to be the probe of the sender's breaker.
        as_probe: bool,
    },
    /// None may take it now.
    Hold {
        /// From when on to look again, from the first place on.
        until: Timestamp,
    },
    /// None will ever take it.
    Nobody,
}

/// The first sender from the message's place on that may take it. `passes` are those of the breakers, in the order of the
/// route. A breaker turns a message away only where another may take it later or sooner: it never fails one.
#[must_use]
pub fn choose(passes: &[Pass], stand: Stand, now: Now) -> Choice {
    let able = || {
        passes
            .iter()
            .enumerate()
            .filter(|(place, _)| stand.refusals.allow(*place))
    };
    let ask = |(place, pass): (usize, &Pass)| match pass {
        Pass::Free => Some(Choice::Ask {
            place,
            as_probe: false,
        }),
        Pass::AsProbe => Some(Choice::Ask {
            place,
            as_probe: true,
        }),
        Pass::Shut { .. } => None,
    };
    if let Some(choice) = able()
        .filter(|(place, _)| *place >= stand.position)
        .find_map(ask)
    {
        return choice;
    }
    // Those before were asked in this round, unless they were shut: they get their pause.
    let again = now.stamp().plus(doubled(PAUSE, stand.tries));
    let free_at = |(_, pass): (usize, &Pass)| match pass {
        Pass::Free | Pass::AsProbe => again,
        Pass::Shut { until } => *until,
    };
    able()
        .map(free_at)
        .min()
        .map_or(Choice::Nobody, |until| Choice::Hold { until })
}

/// Where a message goes that its sender did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onward {
    /// To the sender at this place, at once.
    To(usize),
    /// To the first place, after a pause.
    Round(Duration),
    /// Nowhere: every sender refused it.
    Nowhere,
}

/// The next sender at once; after the last one a pause, and the first again. `after` is how long the sender asked for.
#[must_use]
pub fn onward(senders: usize, stand: Stand, after: Option<Duration>) -> Onward {
    if (stand.position + 1..senders).any(|place| stand.refusals.allow(place)) {
        Onward::To(stand.position + 1)
    } else if (0..senders).any(|place| stand.refusals.allow(place)) {
        Onward::Round(doubled(after.unwrap_or(PAUSE), stand.tries))
    } else {
        Onward::Nowhere
    }
}

fn doubled(pause: Duration, tries: u8) -> Duration {
    pause.saturating_mul(1 << u32::from(tries.saturating_sub(1)).min(DOUBLINGS_MAX))
}

/// A pause that is up to a fifth longer, so that what failed together does not come back together. Never shorter: it may be
/// what a provider asked for.
#[must_use]
pub fn spread(pause: Duration, random: [u8; 2]) -> Duration {
    pause + pause.mul_f64(f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX) / 5.0)
}

#[cfg(test)]
mod tests;

//! Routes: which sender is asked for a message, and which one after it.

use std::time::Duration;

use super::{Delivery, breaker::Pass};
use crate::domain::{
    ids::DeliveryId,
    time::{Now, Timestamp},
};

/// Most senders of one route: [`Refusals`] has one bit for each.
pub const SENDERS_MAX: usize = 8;

/// How often the pause doubles at most while no sender of the route accepts a message. The usual pause rises from 2 s
/// to 64 s: a code lives for ten minutes at most, so a longer one could leave it no further hand-over.
const DOUBLINGS_MAX: u32 = 5;

/// The first pause of a message at the end of its route, if no sender asked for another one.
const PAUSE: Duration = Duration::from_secs(2);

/// The senders of a route that refused a message, by their places in its order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals(u8);

impl Refusals {
    /// The refusals as stored: bit n is set for place n.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The bits to store: bit n is set for place n.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The refusals with one more place. A place beyond the bits is ignored.
    #[must_use]
    pub fn with(self, place: usize) -> Self {
        let bit = u32::try_from(place)
            .ok()
            .and_then(|place| 1_u8.checked_shl(place));
        Self(self.0 | bit.unwrap_or_default())
    }

    /// Whether the sender at this place has not refused it.
    #[must_use]
    pub fn allow(self, place: usize) -> bool {
        Self::default().with(place).0 & self.0 == 0
    }
}

/// The order in which the senders of a route are asked for one delivery. Each sender is first in
/// proportion to its weight; those without weight come last, in the order of the list. The order is
/// computed from the delivery's id, so every process and every try sees the same one.
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
        // The modulo bias of a 64-bit number is too small to measure.
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

/// The next number of a pseudo-random sequence (`SplitMix64`). It only spreads load, so it
/// need not be unpredictable.
fn mixed(before: u64) -> u64 {
    let mut z = before.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How far a message has come on its route.
#[derive(Clone, Copy, Debug)]
pub struct RouteState {
    /// The place in the order from which the next sender is looked for.
    pub position: usize,
    /// The senders that refused it for good.
    pub refusals: Refusals,
    /// The senders that refused it for the time being, knowing its recipient.
    pub deferrals: Refusals,
    /// Hand-overs begun, including this one.
    pub tries: u8,
}

impl RouteState {
    /// The route state that a delivery stores.
    #[must_use]
    pub fn of(delivery: &Delivery) -> Self {
        Self {
            position: delivery.position,
            refusals: delivery.refusals,
            deferrals: delivery.deferrals,
            tries: delivery.tries,
        }
    }
}

/// What to do with a message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This sender is to be asked.
    Ask {
        /// Its place in the order.
        place: usize,
        /// Only if the message becomes the probe of the sender's breaker. Never if this sender has refused it before:
        /// its refusal would say nothing of the sender, and the next message would wait for it.
        as_probe: bool,
    },
    /// No sender may be asked now.
    Hold {
        /// When to look again, from the first place.
        until: Timestamp,
    },
    /// Every sender has refused it for good.
    Nobody,
}

/// The first sender, from the message's position, that may be asked. `passes` are the answers of
/// the breakers, in the order of the route. An open breaker only delays a message or sends it to
/// another sender; it never fails one.
#[must_use]
pub fn choose(passes: &[Pass], route_state: RouteState, now: Now) -> Choice {
    let able = || {
        passes
            .iter()
            .enumerate()
            .filter(|(place, _)| route_state.refusals.allow(*place))
    };
    let ask = |(place, pass): (usize, &Pass)| match pass {
        Pass::Free => Some(Choice::Ask {
            place,
            as_probe: false,
        }),
        Pass::AsProbe => Some(Choice::Ask {
            place,
            as_probe: route_state.deferrals.allow(place),
        }),
        Pass::AtNeed { .. } | Pass::Shut { .. } => None,
    };
    let at_need = |(place, pass): (usize, &Pass)| {
        let may_go = matches!(pass, Pass::AtNeed { .. }) && route_state.deferrals.allow(place);
        may_go.then_some(Choice::Ask {
            place,
            as_probe: false,
        })
    };
    let left = || able().filter(|(place, _)| *place >= route_state.position);
    if let Some(choice) = left().find_map(ask).or_else(|| left().find_map(at_need)) {
        return choice;
    }
    // Senders before the position were asked in this round, so they get their pause; an open
    // breaker's sender is asked when it may probe.
    let again = now.stamp().plus(doubled(PAUSE, route_state.tries));
    let free_at = |(_, pass): (usize, &Pass)| match pass {
        Pass::Free | Pass::AsProbe => again,
        Pass::AtNeed { until } | Pass::Shut { until } => *until,
    };
    able()
        .map(free_at)
        .min()
        .map_or(Choice::Nobody, |until| Choice::Hold { until })
}

/// Where a message goes after its sender did not accept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onward {
    /// At once to the first sender from this place.
    To(usize),
    /// To the first place of the order, after this pause.
    Round(Duration),
    /// Nowhere: every sender refused it for good.
    Nowhere,
}

/// The next sender at once; after the last one the first again, after a pause. `after` is the pause
/// that the sender asked for.
#[must_use]
pub fn onward(senders: usize, route_state: RouteState, after: Option<Duration>) -> Onward {
    if (route_state.position + 1..senders).any(|place| route_state.refusals.allow(place)) {
        Onward::To(route_state.position + 1)
    } else if (0..senders).any(|place| route_state.refusals.allow(place)) {
        Onward::Round(doubled(after.unwrap_or(PAUSE), route_state.tries))
    } else {
        Onward::Nowhere
    }
}

/// The pause, doubled for each try after the first, up to [`DOUBLINGS_MAX`] times.
fn doubled(pause: Duration, tries: u8) -> Duration {
    pause.saturating_mul(1 << u32::from(tries.saturating_sub(1)).min(DOUBLINGS_MAX))
}

/// Lengthens a pause by up to a fifth, so that messages that failed together are not retried
/// together. It is never shortened, because a provider may have asked for it.
#[must_use]
pub fn spread(pause: Duration, random: [u8; 2]) -> Duration {
    pause + pause.mul_f64(f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX) / 5.0)
}

#[cfg(test)]
mod tests;

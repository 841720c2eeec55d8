//! The circuit breaker of a sender: after failures in a row its messages go to other senders, until
//! a probe succeeds.

mod refused;

use std::time::Duration;

pub use self::refused::{AREAS_MIN, Refused, RefusedDelivery};
use super::blame::Sign;
use crate::domain::{
    crypto::keyring::Mark,
    ids::DeliveryId,
    time::{Now, Timestamp},
};

/// How soon to ask again while a probe is under way: most probes are answered quickly, and nobody should wait for
/// another's any longer.
const PROBE_PAUSE: Duration = Duration::from_millis(300);

/// The limits and times of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRules {
    /// The number of messages failing in a row after which it opens.
    pub failures: u8,
    /// How long it is open the first time; each failed probe doubles it.
    pub open: Duration,
    /// The longest time that it stays open before the next probe.
    pub open_max: Duration,
    /// How long a probe may take. After that its process counts as dead, and
    /// another message may probe.
    pub probe: Duration,
}

/// The state of a sender's breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// The sender is used normally.
    Closed {
        /// The messages that failed since the last success. Each counts once, however often it is
        /// tried: a message that no provider accepts must not look like a provider that is down.
        failed: Vec<DeliveryId>,
        /// The messages that were refused with their recipient since the last success. They count only once they
        /// were for several areas.
        refused: Refused,
    },
    /// The sender gets no message.
    Open {
        /// When one message may probe the sender.
        until: Timestamp,
        /// How often it has opened since it was last closed.
        times: u32,
        /// Whether refusals opened it that came with recipients: it may have been their recipients' doing after all.
        by_refusals: bool,
    },
    /// One message is probing whether the sender works again, or may do so.
    HalfOpen {
        /// When the probe must have been answered. From then on another message may probe.
        until: Timestamp,
        /// How often it has opened since it was last closed.
        times: u32,
        /// Whether refusals opened it that came with recipients.
        by_refusals: bool,
        /// The probes that were refused with their recipient since it opened. They decide nothing until they were for
        /// several areas.
        refused: Refused,
    },
}

/// Whether a message may go to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// It may go at once.
    Free,
    /// It may go only if it becomes the probe.
    AsProbe,
    /// It may go if no other sender can take it: what opened the breaker were refusals, which whoever starts
    /// verifications may have brought about.
    AtNeed {
        /// When it may become the probe.
        until: Timestamp,
    },
    /// It may not go yet.
    Shut {
        /// The earliest time to ask again.
        until: Timestamp,
    },
}

/// What a message was to the breaker when it was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedAs {
    /// One of many, to a sender that is used normally.
    Usual,
    /// The one message whose end decides.
    Probe,
    /// Sent although the breaker is not closed, without being the probe: after its time because this sender had refused it
    /// before, or because no other sender could take it. It may show that the sender works, but never that it does not.
    Repeat,
}

/// A message that was handed to the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The delivery that the message belongs to.
    pub delivery: DeliveryId,
    /// A mark of the area of its recipient.
    pub area: Mark,
    /// What it was to the breaker.
    pub role: PassedAs,
    /// The failed and refused messages that were known when it was handed over: its success clears only those.
    pub seen: Vec<DeliveryId>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed {
            failed: Vec::new(),
            refused: Refused::default(),
        }
    }
}

impl Breaker {
    /// The messages that have failed or were refused so far; empty unless it is closed.
    #[must_use]
    pub fn failures(&self) -> Vec<DeliveryId> {
        match self {
            Self::Closed { failed, refused } => {
                failed.iter().copied().chain(refused.deliveries()).collect()
            }
            Self::Open { .. } | Self::HalfOpen { .. } => Vec::new(),
        }
    }

    /// Whether a message may go to the sender now.
    #[must_use]
    pub fn pass(&self, now: Now) -> Pass {
        let (until, by_refusals) = match self {
            Self::Closed { .. } => return Pass::Free,
            Self::Open { until, .. } | Self::HalfOpen { until, .. } if now.has_reached(*until) => {
                return Pass::AsProbe;
            }
            Self::Open {
                until, by_refusals, ..
            } => (*until, *by_refusals),
            Self::HalfOpen {
                until, by_refusals, ..
            } => (now.stamp().plus(PROBE_PAUSE).min(*until), *by_refusals),
        };
        if by_refusals {
            Pass::AtNeed { until }
        } else {
            Pass::Shut { until }
        }
    }

    /// The breaker with a probe under way; `None` if a message may not probe now.
    #[must_use]
    pub fn probe(&self, rules: &BreakerRules, now: Now) -> Option<Self> {
        if self.pass(now) != Pass::AsProbe {
            return None;
        }
        let (times, by_refusals, refused) = match self {
            Self::Closed { .. } => return None,
            Self::Open {
                times, by_refusals, ..
            } => (*times, *by_refusals, Refused::default()),
            Self::HalfOpen {
                times,
                by_refusals,
                refused,
                ..
            } => (*times, *by_refusals, refused.clone()),
        };
        Some(Self::HalfOpen {
            until: now.stamp().plus(rules.probe),
            times,
            by_refusals,
            refused,
        })
    }

    /// The breaker after a hand-over that ended with this sign. A message that was on its way when it opened changes
    /// nothing: it may have been the last that got through. If refusals opened it, a success shows that they were their
    /// recipients' doing.
    #[must_use]
    pub fn after(&self, passed: &Passed, sign: Sign, rules: &BreakerRules, now: Now) -> Self {
        match (self, passed.role) {
            (Self::Closed { failed, refused }, _) => {
                Self::closed_after((failed, refused), passed, sign, rules, now)
            }
            (
                Self::HalfOpen {
                    times,
                    by_refusals,
                    refused,
                    ..
                },
                PassedAs::Probe,
            ) => Self::probed((*times, *by_refusals, refused), passed, sign, rules, now),
            // A probe that took so long that another one has ended meanwhile.
            (Self::Open { .. }, PassedAs::Probe) | (_, PassedAs::Repeat) if sign == Sign::Works => {
                Self::default()
            }
            (
                Self::Open {
                    by_refusals: true, ..
                }
                | Self::HalfOpen {
                    by_refusals: true, ..
                },
                PassedAs::Usual,
            ) if sign == Sign::Works => Self::default(),
            (Self::Open { .. } | Self::HalfOpen { .. }, _) => self.clone(),
        }
    }

    /// A closed breaker after a hand-over.
    fn closed_after(
        (failed, refused): (&[DeliveryId], &Refused),
        passed: &Passed,
        sign: Sign,
        rules: &BreakerRules,
        now: Now,
    ) -> Self {
        let (mut failed, mut refused) = (failed.to_vec(), refused.clone());
        match sign {
            Sign::Works => {
                failed.retain(|id| !passed.seen.contains(id));
                // A sender that refuses all would not have accepted this one either, whenever it went out.
                refused = Refused::default();
            }
            Sign::Fails if failed.contains(&passed.delivery) => {}
            Sign::Fails => failed.push(passed.delivery),
            Sign::Refuses => refused = refused.with(passed, rules.failures),
            Sign::Nothing => {}
        }
        let max = usize::from(rules.failures);
        if sign != Sign::Works && failed.len() + refused.count() >= max {
            return Self::open(0, failed.len() < max, rules, now);
        }
        Self::Closed { failed, refused }
    }

    /// The breaker after its probe. A refusal of one recipient neither closes nor re-opens it: the next message probes.
    fn probed(
        (times, by_refusals, refused): (u32, bool, &Refused),
        passed: &Passed,
        sign: Sign,
        rules: &BreakerRules,
        now: Now,
    ) -> Self {
        let refused = match sign {
            Sign::Works => return Self::default(),
            Sign::Fails => return Self::open(times, false, rules, now),
            Sign::Refuses => refused.with(passed, rules.failures),
            Sign::Nothing => refused.clone(),
        };
        if refused.count() > 0 {
            return Self::open(times, true, rules, now);
        }
        Self::HalfOpen {
            until: now.stamp(),
            times,
            by_refusals,
            refused,
        }
    }

    /// Opens it, twice as long each time, up to the limit.
    fn open(times: u32, by_refusals: bool, rules: &BreakerRules, now: Now) -> Self {
        let span = rules
            .open
            .saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
            .min(rules.open_max);
        Self::Open {
            until: now.stamp().plus(span),
            times: times.saturating_add(1),
            by_refusals,
        }
    }
}

#[cfg(test)]
mod tests;

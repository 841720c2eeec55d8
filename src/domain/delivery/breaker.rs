//! The circuit breaker of a sender: after failures in a row its messages go to other senders, until
//! a probe succeeds.

use std::time::Duration;

use crate::domain::{
    ids::DeliveryId,
    time::{Now, Timestamp},
};

/// How soon to ask again while a probe is under way: most probes are answered quickly.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

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
    },
    /// The sender gets no message.
    Open {
        /// When one message may probe the sender.
        until: Timestamp,
        /// How often it has opened since it was last closed.
        times: u32,
    },
    /// One message is probing whether the sender works again.
    HalfOpen {
        /// When the probe must have been answered.
        until: Timestamp,
        /// How often it has opened since it was last closed.
        times: u32,
    },
}

/// Whether a message may go to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// It may go at once.
    Free,
    /// It may go only if it becomes the probe.
    AsProbe,
    /// It may not go yet.
    Shut {
        /// The earliest time to ask again.
        until: Timestamp,
    },
}

/// A message that was handed to the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The delivery that the message belongs to.
    pub delivery: DeliveryId,
    /// Whether it was the probe.
    pub as_probe: bool,
    /// The failed messages that were known when it was handed over: its success clears only those.
    pub seen: Vec<DeliveryId>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failed: Vec::new() }
    }
}

impl Breaker {
    /// The messages that have failed so far; empty unless it is closed.
    #[must_use]
    pub fn failures(&self) -> &[DeliveryId] {
        match self {
            Self::Closed { failed } => failed,
            Self::Open { .. } | Self::HalfOpen { .. } => &[],
        }
    }

    /// Whether a message may go to the sender now.
    #[must_use]
    pub fn pass(&self, now: Now) -> Pass {
        match self {
            Self::Closed { .. } => Pass::Free,
            Self::Open { until, .. } | Self::HalfOpen { until, .. } if now.has_reached(*until) => {
                Pass::AsProbe
            }
            Self::Open { until, .. } => Pass::Shut { until: *until },
            Self::HalfOpen { until, .. } => Pass::Shut {
                until: now.stamp().plus(PROBE_PAUSE).min(*until),
            },
        }
    }

    /// The breaker with a probe under way; `None` if a message may not probe now.
    #[must_use]
    pub fn probe(&self, rules: &BreakerRules, now: Now) -> Option<Self> {
        match (self, self.pass(now)) {
            (Self::Open { times, .. } | Self::HalfOpen { times, .. }, Pass::AsProbe) => {
                Some(Self::HalfOpen {
                    until: now.stamp().plus(rules.probe),
                    times: *times,
                })
            }
            (Self::Closed { .. } | Self::Open { .. } | Self::HalfOpen { .. }, _) => None,
        }
    }

    /// The breaker after a message failed through the sender's fault. A message that was on its way
    /// when it opened changes nothing.
    #[must_use]
    pub fn failed(&self, passed: &Passed, rules: &BreakerRules, now: Now) -> Self {
        match self {
            Self::Closed { failed } if failed.contains(&passed.delivery) => self.clone(),
            Self::Closed { failed } if failed.len() + 1 < usize::from(rules.failures) => {
                Self::Closed {
                    failed: failed.iter().copied().chain([passed.delivery]).collect(),
                }
            }
            Self::Closed { .. } => Self::open(0, rules, now),
            Self::Open { times, .. } | Self::HalfOpen { times, .. } if passed.as_probe => {
                Self::open(*times, rules, now)
            }
            Self::Open { .. } | Self::HalfOpen { .. } => self.clone(),
        }
    }

    /// The breaker after the sender did its part: failures from before the message went out are
    /// forgotten. An open one is closed by its probe only, because a message that was on its way
    /// when it opened may have been the last that got through.
    #[must_use]
    pub fn succeeded(&self, passed: &Passed) -> Self {
        match self {
            Self::Closed { failed } => Self::Closed {
                failed: failed
                    .iter()
                    .filter(|id| !passed.seen.contains(id))
                    .copied()
                    .collect(),
            },
            Self::Open { .. } | Self::HalfOpen { .. } if passed.as_probe => Self::default(),
            Self::Open { .. } | Self::HalfOpen { .. } => self.clone(),
        }
    }

    /// Opens it, twice as long each time, up to the limit.
    fn open(times: u32, rules: &BreakerRules, now: Now) -> Self {
        let span = rules
            .open
            .saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
            .min(rules.open_max);
        Self::Open {
            until: now.stamp().plus(span),
            times: times.saturating_add(1),
        }
    }
}

#[cfg(test)]
mod tests;

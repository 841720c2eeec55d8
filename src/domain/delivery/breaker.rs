//! The breaker of a sender: after failures in a row its messages go elsewhere, until one of them gets through again.

use std::time::Duration;

use crate::domain::{
    ids::DeliveryId,
    time::{Now, Timestamp},
};

/// While a probe is under way its answer is near, but for the worst case: so soon it is asked for again.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// The numbers of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRules {
    /// Messages that fail in a row, after which it opens.
    pub failures: u8,
    /// How long it is open the first time; each failed probe doubles it.
    pub open: Duration,
    /// The longest that it is open.
    pub open_max: Duration,
    /// How long a probe may take; past it its process is gone, and another one probes.
    pub probe: Duration,
}

/// How the breaker of a sender stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// Messages go through.
    Closed {
        /// The messages that failed since the last one that did not. Each counts once, however often it is tried: a
        /// message that no provider can digest must not look like a provider that is down.
        failed: Vec<DeliveryId>,
    },
    /// No message goes through.
    Open {
        /// Until then; after it one message may probe.
        until: Timestamp,
        /// How often it opened since it was closed.
        times: u32,
    },
    /// One message is on its way to see whether the sender works again.
    HalfOpen {
        /// When it must be back.
        until: Timestamp,
        /// How often it opened since it was closed.
        times: u32,
    },
}

/// May a message go through?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Yes.
    Free,
    /// If it gets to be the probe.
    AsProbe,
    /// No, not before that.
    Shut {
        /// When to ask again.
        until: Timestamp,
    },
}

/// A message that was handed to the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Which.
    pub delivery: DeliveryId,
    /// Was it the probe?
    pub as_probe: bool,
    /// The messages that had failed when it was handed over: its success says nothing of what failed later.
    pub seen: Vec<DeliveryId>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failed: Vec::new() }
    }
}

impl Breaker {
    /// The messages that failed so far, while it is closed.
    #[must_use]
    pub fn failures(&self) -> &[DeliveryId] {
        match self {
            Self::Closed { failed } => failed,
            Self::Open { .. } | Self::HalfOpen { .. } => &[],
        }
    }

    /// May a message go through?
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

    /// The breaker after a message failed by the sender's fault. What was on its way when it opened changes nothing.
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

    /// The breaker after the sender did its part: what failed before the message went out is forgotten. Only the probe
    /// closes it: what was on its way when it opened may have been the last that got through.
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

    /// Opened once more.
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

//! Instants as data: the domain never reads a clock; the time is an argument.

use std::time::Duration;

/// An instant in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The instant that is this many microseconds after the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The instant `span` later; saturates at the largest value.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }

    /// The time since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A span in whole microseconds; saturates at 584,000 years.
#[must_use]
pub fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// The time at which a command is decided, read once from the service's clock and the store's clock.
///
/// A code is live only if both clocks say so, and a wait is over only if both say so. So an end is judged
/// by the later clock and a start by the earlier one: a clock that is wrong never relaxes a limit.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    earlier: Timestamp,
    later: Timestamp,
}

impl Now {
    /// Combines the readings of the service's clock and the store's clock.
    #[must_use]
    pub fn new(service: Timestamp, store: Timestamp) -> Self {
        Self {
            earlier: service.min(store),
            later: service.max(store),
        }
    }

    /// Whether `end` has passed by either clock.
    #[must_use]
    pub fn is_past(self, end: Timestamp) -> bool {
        self.later >= end
    }

    /// Whether `start` has come by both clocks.
    #[must_use]
    pub fn has_reached(self, start: Timestamp) -> bool {
        self.earlier >= start
    }

    /// The time until [`Now::has_reached`] is true of `start`.
    #[must_use]
    pub fn until(self, start: Timestamp) -> Duration {
        start.since(self.earlier)
    }

    /// The difference between the clocks.
    #[must_use]
    pub fn clock_difference(self) -> Duration {
        self.later.since(self.earlier)
    }

    /// The instant to store in records: the earlier clock's.
    #[must_use]
    pub fn stamp(self) -> Timestamp {
        self.earlier
    }
}

/// Identifies a history of the store. It changes whenever commits may have been lost, as after a failover;
/// a live verification belongs to one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation(pub [u8; 16]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_01_the_stricter_clock_decides() {
        let now = Now::new(Timestamp::from_micros(100), Timestamp::from_micros(300));
        assert!(
            now.is_past(Timestamp::from_micros(200)),
            "expired by one clock is expired"
        );
        assert!(
            !now.has_reached(Timestamp::from_micros(200)),
            "over by one clock is not over"
        );
        assert_eq!(
            now.until(Timestamp::from_micros(250)),
            Duration::from_micros(150)
        );
    }
}

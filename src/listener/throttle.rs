//! Limits the log lines that anybody can cause: some are written at once, the rest are only counted.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// Lines written at once after a pause.
const LINES_BURST: NonZeroU32 = NonZeroU32::new(20).expect("it is not zero");
/// Sustained rate, in lines per second.
const LINES_PER_S: NonZeroU32 = NonZeroU32::new(2).expect("it is not zero");

/// Admits a limited number of log lines, and counts the others.
pub struct Throttle {
    rate: DefaultDirectRateLimiter,
    held_back: AtomicU64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            rate: RateLimiter::direct(Quota::per_second(LINES_PER_S).allow_burst(LINES_BURST)),
            held_back: AtomicU64::new(0),
        }
    }
}

impl Throttle {
    /// Whether a line may be written. If so, returns the number of lines held back since the previous one.
    #[must_use]
    pub fn pass(&self) -> Option<u64> {
        if self.rate.check().is_ok() {
            Some(self.held_back.swap(0, Ordering::Relaxed))
        } else {
            self.held_back.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_few_lines_and_a_count() {
        let throttle = Throttle::default();
        let passed = (0..10_000).filter(|_| throttle.pass().is_some()).count();
        assert!((20..40).contains(&passed), "{passed}");
        let held_back = throttle.held_back.load(Ordering::Relaxed);
        assert!(held_back > 9_900, "{held_back}");
    }
}

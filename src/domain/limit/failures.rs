//! Counts failures per subject and origin, and says when the next guess may come.

use std::time::Duration;

use super::rate::{Draw, Rate};
use crate::domain::{
    time::{Now, Timestamp},
    verification::rules::{
        FAILURES_CAP, GENERATION_PENALTY, Origin, WAIT_FIRST, WAIT_FROM_VERIFICATION, WAIT_MAX,
    },
};

/// Guesses per subject and origin, whichever verification they aim at (RFC 4226 §7.3).
pub const ATTEMPT_RATE: Rate = Rate {
    interval: Duration::from_secs(2),
    burst: 4,
};
/// Malformed guesses per verification: 20 at once, then one per 15 s.
pub const MALFORMED_RATE: Rate = Rate {
    interval: Duration::from_secs(15),
    burst: 19,
};

/// The failures of one origin since its last success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Failures since the last success or unlock: the limit of the settings applies.
    pub since_unlock: u32,
    /// Failures since the last success: the cap applies.
    pub since_success: u32,
    /// Verifications with a failure since the last success.
    pub verifications: u32,
    /// How often the wait has risen.
    pub waits: u32,
    /// The earliest moment for the next guess.
    pub next_attempt_at: Timestamp,
    /// State of the attempt rate.
    pub rate: Timestamp,
}

impl Tally {
    /// From when on there is nothing to remember; `None` while there is a count.
    #[must_use]
    pub fn clear_at(&self) -> Option<Timestamp> {
        (self.since_success == 0).then_some(self.rate)
    }

    /// Takes one guess from the attempt rate.
    ///
    /// # Errors
    /// How long to wait; then nothing was taken.
    pub fn admit(&mut self, now: Now) -> Result<(), Duration> {
        if !now.has_reached(self.next_attempt_at) {
            return Err(now.until(self.next_attempt_at));
        }
        match ATTEMPT_RATE.draw(self.rate, 1, now.stamp()) {
            Draw::Taken { tat } => {
                self.rate = tat;
                Ok(())
            }
            Draw::Refused { retry_after } => Err(retry_after.unwrap_or(WAIT_MAX)),
        }
    }

    /// Counts a wrong guess; `first` of its verification or not.
    pub fn fail(&mut self, first: bool, now: Now) {
        self.since_unlock += 1;
        self.since_success += 1;
        self.verifications += u32::from(first);
        if self.verifications >= WAIT_FROM_VERIFICATION {
            let wait = WAIT_FIRST
                .saturating_mul(1 << self.waits.min(16))
                .min(WAIT_MAX);
            self.next_attempt_at = now.stamp().plus(wait);
            self.waits += 1;
        }
    }

    /// An approval clears the count; the attempt rate goes on.
    pub fn succeed(&mut self) {
        *self = Self {
            rate: self.rate,
            ..Self::default()
        };
    }

    /// An administrator lifts the limit, not the cap.
    pub fn unlock(&mut self) {
        self.since_unlock = 0;
    }

    /// A change of generation may have lost failures: charges for them, but leaves one attempt, and takes
    /// no more than `room` of the cap.
    fn penalise(&mut self, limit: u32, room: u32) {
        let charge = |count: u32, end: u32| {
            (count + GENERATION_PENALTY)
                .min(end.saturating_sub(1))
                .max(count)
        };
        self.since_unlock = charge(self.since_unlock, limit);
        self.since_success =
            charge(self.since_success, FAILURES_CAP / 2).min(self.since_success + room);
    }
}

/// The failure counts of a subject's message channels, which all share them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// After starts by anybody.
    pub anonymous: Tally,
    /// After starts that were vouched for.
    pub vouched: Tally,
}

impl Failures {
    /// The tally of an origin.
    #[must_use]
    pub fn of(&self, origin: Origin) -> &Tally {
        match origin {
            Origin::Anonymous => &self.anonymous,
            Origin::Vouched => &self.vouched,
        }
    }

    /// The tally of an origin, to be changed.
    pub fn of_mut(&mut self, origin: Origin) -> &mut Tally {
        match origin {
            Origin::Anonymous => &mut self.anonymous,
            Origin::Vouched => &mut self.vouched,
        }
    }

    /// Are codes disabled for starts of this origin? By the limit of the origin, or by the cap over both.
    #[must_use]
    pub fn disabled(&self, origin: Origin, limit: u32) -> bool {
        self.of(origin).since_unlock >= limit || self.total() >= FAILURES_CAP
    }

    /// Charges both origins for a change of generation. One attempt of each stays within the cap, however
    /// many there were before: a customer is never locked out by failovers alone.
    pub fn penalise(&mut self, limit: u32) {
        for origin in [Origin::Anonymous, Origin::Vouched] {
            let room = (FAILURES_CAP - 2).saturating_sub(self.total());
            self.of_mut(origin).penalise(limit, room);
        }
    }

    /// Where nothing is known, because the store forgot it: half of the limit is taken as spent.
    #[must_use]
    pub fn half_spent(limit: u32) -> Self {
        let half = Tally {
            since_unlock: limit / 2,
            since_success: limit / 2,
            ..Tally::default()
        };
        Self {
            anonymous: half.clone(),
            vouched: half,
        }
    }

    /// From when on there is nothing to remember; `None` while there is a count.
    #[must_use]
    pub fn clear_at(&self) -> Option<Timestamp> {
        Some(self.anonymous.clear_at()?.max(self.vouched.clear_at()?))
    }

    fn total(&self) -> u32 {
        self.anonymous.since_success + self.vouched.since_success
    }
}

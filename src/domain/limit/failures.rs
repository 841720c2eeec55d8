//! Failure counts per subject and origin, and the waits that follow from them.

use std::time::Duration;

use super::rate::{Draw, Rate};
use crate::domain::{
    recipient::MethodLevel,
    time::{Now, Timestamp},
    verification::rules::{
        FAILURES_CAP, GENERATION_PENALTY, Origin, WAIT_FIRST, WAIT_FROM_VERIFICATION, WAIT_MAX,
    },
};

/// The rate of guesses per subject and origin, over all verifications (RFC 4226, section 7.3): 5 at once, then
/// one every 2 s.
pub const ATTEMPT_RATE: Rate = Rate {
    interval: Duration::from_secs(2),
    burst: 4,
};
/// The rate of guesses that use up no attempt: 20 at once, then one every 15 s. Malformed ones per verification, those
/// after the end per verification, and those at verifications that do not exist per caller.
pub const MALFORMED_RATE: Rate = Rate {
    interval: Duration::from_secs(15),
    burst: 19,
};

/// The failures of one origin since its last success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Failures since the last success or unlock; `failure_limit` of the settings applies to them.
    pub since_unlock: u32,
    /// Failures since the last success; [`FAILURES_CAP`] applies to the sum over both origins.
    pub since_success: u32,
    /// The highest level of the methods that failed since the last success; `None` if it is not known, because an
    /// earlier version counted some of the failures, or a failover was charged for. Counts as [`MethodLevel::Standard`].
    pub level: Option<MethodLevel>,
    /// The number of verifications with at least one failure since the last success.
    pub verifications: u32,
    /// The number of waits imposed since the last success; each is twice as long as the one
    /// before, up to [`WAIT_MAX`].
    pub waits: u32,
    /// The earliest time of the next guess.
    pub next_attempt_at: Timestamp,
    /// The state of [`ATTEMPT_RATE`]: its theoretical arrival time.
    pub rate: Timestamp,
}

impl Tally {
    /// When the record may forget this tally; `None` while it has a failure.
    #[must_use]
    pub fn clear_at(&self) -> Option<Timestamp> {
        (self.since_success == 0).then_some(self.rate)
    }

    /// Draws one guess from the attempt rate.
    ///
    /// # Errors
    /// How long to wait; nothing was drawn.
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

    /// Counts a wrong guess at a method of this level; `first` says whether it is the first of its verification.
    pub fn fail(&mut self, level: MethodLevel, first: bool, now: Now) {
        self.level = if self.since_success == 0 {
            Some(level)
        } else {
            self.level.map(|highest| highest.max(level))
        };
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

    /// Clears the failures after an approval; the attempt rate stays.
    pub fn succeed(&mut self) {
        *self = Self {
            rate: self.rate,
            ..Self::default()
        };
    }

    /// Resets the count for the failure limit, on request of an administrator; the count for the cap stays.
    pub fn unlock(&mut self) {
        self.since_unlock = 0;
    }

    /// Ends the wait before the next guess. The next wait is as long as if this one had passed.
    pub fn end_wait(&mut self) {
        self.next_attempt_at = Timestamp::default();
    }

    /// Whether an approval with a method of this level outweighs the methods that failed.
    fn is_outweighed_by(&self, level: MethodLevel) -> bool {
        level >= self.level.unwrap_or(MethodLevel::Standard)
    }

    /// Charges for failures that a change of the store's generation may have lost. Leaves at least one attempt, and
    /// takes at most `room` of the cap.
    fn penalise(&mut self, limit: u32, room: u32) {
        let charge = |count: u32, end: u32| {
            (count + GENERATION_PENALTY)
                .min(end.saturating_sub(1))
                .max(count)
        };
        self.since_unlock = charge(self.since_unlock, limit);
        self.since_success =
            charge(self.since_success, FAILURES_CAP / 2).min(self.since_success + room);
        // Nobody knows at which method the lost guesses were.
        self.level = None;
    }
}

/// The failure counts of a subject, shared by all channels that carry codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Failures in verifications that anybody could start.
    pub anonymous: Tally,
    /// Failures in verifications whose start was vouched for by the caller.
    pub vouched: Tally,
}

impl Failures {
    /// The failures of an origin, for reading.
    #[must_use]
    pub fn of(&self, origin: Origin) -> &Tally {
        match origin {
            Origin::Anonymous => &self.anonymous,
            Origin::Vouched => &self.vouched,
        }
    }

    /// The failures of an origin, for changing.
    pub fn of_mut(&mut self, origin: Origin) -> &mut Tally {
        match origin {
            Origin::Anonymous => &mut self.anonymous,
            Origin::Vouched => &mut self.vouched,
        }
    }

    /// Clears the failures of an origin after an approval with a method of this level. An approval of the vouched
    /// origin also clears those of the anonymous one, unless a method of a higher level failed there: whoever vouched
    /// for the customer has told them from the strangers. Returns the number of failures that were cleared.
    pub fn succeed(&mut self, origin: Origin, level: MethodLevel) -> u32 {
        let before = self.total();
        if origin == Origin::Vouched && self.anonymous.is_outweighed_by(level) {
            self.anonymous.succeed();
        }
        self.of_mut(origin).succeed();
        before - self.total()
    }

    /// Whether codes are disabled for this origin, by its own limit or by the cap over both origins.
    #[must_use]
    pub fn disabled(&self, origin: Origin, limit: u32) -> bool {
        self.of(origin).since_unlock >= limit || self.cap_reached()
    }

    /// Whether the cap over both origins is reached, which no unlock lifts.
    #[must_use]
    pub fn cap_reached(&self) -> bool {
        self.total() >= FAILURES_CAP
    }

    /// Failures since the last success, over both origins.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.anonymous.since_success + self.vouched.since_success
    }

    /// Charges both origins for a change of the store's generation. Each keeps one attempt within the cap, whatever
    /// its count was: failovers alone never lock a customer out.
    pub fn penalise(&mut self, limit: u32) {
        for origin in [Origin::Anonymous, Origin::Vouched] {
            let room = (FAILURES_CAP - 2).saturating_sub(self.total());
            self.of_mut(origin).penalise(limit, room);
        }
    }

    /// The counts to assume if the store lost its data: half of the limit is used.
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

    /// When the record may forget these counts; `None` while there is a failure.
    #[must_use]
    pub fn clear_at(&self) -> Option<Timestamp> {
        Some(self.anonymous.clear_at()?.max(self.vouched.clear_at()?))
    }
}

//! The generic cell rate algorithm (GCRA), on plain numbers.

use std::time::Duration;

use crate::domain::time::{Timestamp, micros};

/// A rate: one unit per `interval` on average, and up to `burst + 1` units at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time in which one unit refills.
    pub interval: Duration,
    /// The number of units that may be taken at once in addition to the first.
    pub burst: u32,
}

impl Rate {
    /// The rate of `count` units at once, and `count` per `period` on average.
    #[must_use]
    pub fn per(count: u32, period: Duration) -> Self {
        Self {
            interval: period / count.max(1),
            burst: count.saturating_sub(1),
        }
    }

    /// The number of units that may be taken at once.
    #[must_use]
    pub fn capacity(self) -> u64 {
        u64::from(self.burst) + 1
    }
}

/// How full a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Not full before this time; full from this time on.
    FullAt(Timestamp),
    /// Above its limit, by the amount that refills in this time.
    Beyond(Duration),
}

impl Default for Fill {
    fn default() -> Self {
        Self::FullAt(Timestamp::default())
    }
}

impl Fill {
    /// The time until it is full, in microseconds; negative above the limit.
    fn missing(self, now: Timestamp) -> i64 {
        match self {
            Self::FullAt(at) => signed(at.as_micros().saturating_sub(now.as_micros())),
            Self::Beyond(more) => -signed(micros(more)),
        }
    }

    /// The time at which it is full; `now` if it is above its limit.
    #[must_use]
    pub fn full_at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::FullAt(at) => at,
            Self::Beyond(_) => now,
        }
    }

    fn of(missing: i64, now: Timestamp) -> Self {
        let span = Duration::from_micros(missing.unsigned_abs());
        if missing < 0 {
            Self::Beyond(span)
        } else {
            Self::FullAt(now.plus(span))
        }
    }
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

impl Rate {
    /// Draws between `least` and `want` units, as many as there are; returns the new level and the number drawn.
    ///
    /// # Errors
    /// The time until `least` units are there, if they are not more than the [capacity](Self::capacity).
    pub fn take(
        self,
        level: Fill,
        want: u32,
        least: u32,
        now: Timestamp,
    ) -> Result<(Fill, u32), Duration> {
        let interval = signed(micros(self.interval));
        let missing = level.missing(now);
        let room = interval
            .saturating_mul(i64::from(self.burst) + 1)
            .saturating_sub(missing);
        let there = u32::try_from(room.checked_div(interval).unwrap_or(i64::MAX).max(0))
            .unwrap_or(u32::MAX);
        let taken = there.min(want.max(least));
        if taken < least {
            let missing = interval.saturating_mul(least.into()).saturating_sub(room);
            return Err(Duration::from_micros(missing.unsigned_abs()));
        }
        Ok((
            Fill::of(
                missing.saturating_add(interval.saturating_mul(taken.into())),
                now,
            ),
            taken,
        ))
    }

    /// Returns `count` units to the bucket, which may then exceed its limit by at most `reserve` units.
    #[must_use]
    pub fn give_back(self, level: Fill, count: u32, reserve: u32, now: Timestamp) -> Fill {
        let interval = signed(micros(self.interval));
        let missing = level.missing(now);
        let after = missing.saturating_sub(interval.saturating_mul(count.into()));
        // A bucket that already exceeded its limit by more keeps what it has.
        Fill::of(
            after.max(missing.min(-interval.saturating_mul(reserve.into()))),
            now,
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Five at once, and one every two seconds.
    const FIVE: Rate = Rate {
        interval: Duration::from_secs(2),
        burst: 4,
    };

    #[test]
    fn send_09_the_published_table_and_its_neighbours_hold() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../tests/vectors/gcra.json")).unwrap();
        let mut steps_seen = 0;
        for case in vectors["cases"].as_array().unwrap() {
            let interval = Duration::from_micros(case["emission_interval_us"].as_u64().unwrap());
            let rate = Rate {
                interval,
                burst: u32::try_from(case["burst"].as_u64().unwrap()).unwrap(),
            };
            let mut tat = Timestamp::default();
            for step in case["steps"].as_array().unwrap() {
                let now = Timestamp::from_micros(step["now_us"].as_u64().unwrap());
                let quantity = u32::try_from(step["quantity"].as_u64().unwrap()).unwrap();
                let expected = &step["expected"];
                match rate.take(Fill::FullAt(tat), quantity, quantity, now) {
                    Ok((level, taken)) => {
                        assert_eq!(expected["allowed"], true, "{} {step}", case["name"]);
                        assert_eq!(taken, quantity, "{} {step}", case["name"]);
                        tat = level.full_at(now);
                    }
                    Err(wait) => {
                        assert_eq!(expected["allowed"], false, "{} {step}", case["name"]);
                        let fits = u64::from(quantity) <= rate.capacity();
                        assert_eq!(
                            fits.then_some(micros(wait)),
                            expected["retry_after_us"].as_u64(),
                            "{} {step}",
                            case["name"]
                        );
                    }
                }
                let ttl = tat.since(now);
                assert_eq!(
                    micros(ttl),
                    expected["reset_after_us"].as_u64().unwrap(),
                    "{} {step}",
                    case["name"]
                );
                steps_seen += 1;
            }
        }
        assert!(steps_seen > 10, "the vectors were read");
    }

    #[test]
    fn a_draw_of_several_takes_what_is_there() {
        let (rate, now) = (FIVE, Timestamp::from_micros(1_000_000_000));
        let (level, taken) = rate.take(Fill::default(), 3, 1, now).unwrap();
        assert_eq!(taken, 3);
        let (level, taken) = rate.take(level, 3, 1, now).unwrap();
        assert_eq!(taken, 2, "five at once are the most");
        assert_eq!(rate.take(level, 3, 1, now), Err(Duration::from_secs(2)));
        let later = now.plus(Duration::from_secs(2));
        assert_eq!(
            rate.take(level, 3, 1, later).map(|(_, taken)| taken),
            Ok(1),
            "and one comes back in each interval"
        );
    }

    #[test]
    fn fewer_than_the_least_are_not_taken_and_the_wait_is_for_all_of_them() {
        let (rate, now) = (FIVE, Timestamp::from_micros(1_000_000_000));
        let (level, _) = rate.take(Fill::default(), 3, 3, now).unwrap();
        assert_eq!(
            rate.take(level, 3, 3, now),
            Err(Duration::from_secs(2)),
            "two are there, and one comes in two seconds"
        );
        assert_eq!(rate.take(level, 3, 2, now).map(|(_, taken)| taken), Ok(2));
        assert_eq!(
            rate.take(level, 3, 3, now.plus(Duration::from_secs(2)))
                .map(|(_, taken)| taken),
            Ok(3)
        );
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_no_more_than_the_reserve_is_kept() {
        let (rate, now) = (FIVE, Timestamp::from_micros(1_000_000_000));
        let all = |level| rate.take(level, 1000, 1, now).map(|(_, taken)| taken);
        let (level, _) = rate.take(Fill::default(), 4, 4, now).unwrap();
        assert_eq!(all(rate.give_back(level, 3, 0, now)), Ok(4));
        assert_eq!(
            all(rate.give_back(level, 30, 0, now)),
            Ok(5),
            "without a reserve no more than full"
        );
        let beyond = rate.give_back(level, 30, 10, now);
        assert_eq!(all(beyond), Ok(15));
        assert_eq!(
            rate.give_back(beyond, 7, 2, now),
            beyond,
            "a smaller reserve takes nothing away"
        );
        let later = now.plus(Duration::from_secs(1_000_000));
        assert_eq!(
            rate.take(beyond, 1000, 1, later).map(|(_, taken)| taken),
            Ok(15),
            "time adds nothing to what is full"
        );
    }
}

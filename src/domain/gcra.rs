//! The generic cell rate algorithm on plain numbers: how often is not too often.

use std::time::Duration;

use super::time::{Timestamp, micros};

/// A rate: one per `interval`, and `burst` more than one at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// One is earned in each.
    pub interval: Duration,
    /// How many may be taken at once beside the first.
    pub burst: u32,
}

impl Rate {
    /// `count` at once, and as many in each `period`.
    #[must_use]
    pub fn per(count: u32, period: Duration) -> Self {
        Self { interval: period / count.max(1), burst: count.saturating_sub(1) }
    }

    /// Takes `quantity` at `now` from a bucket whose theoretical arrival time is `tat`.
    #[must_use]
    pub fn draw(self, tat: Timestamp, quantity: u32, now: Timestamp) -> Draw {
        let interval = micros(self.interval);
        let capacity = interval.saturating_mul(u64::from(self.burst) + 1);
        let now_us = now.as_micros();
        let cost = interval.saturating_mul(u64::from(quantity));
        let new_tat = tat.as_micros().max(now_us).saturating_add(cost);
        if new_tat <= now_us.saturating_add(capacity) {
            return Draw::Taken { tat: Timestamp::from_micros(new_tat) };
        }
        // What never fits has no time to come back.
        let retry_after = (cost <= capacity).then(|| Duration::from_micros(new_tat - capacity - now_us));
        Draw::Refused { retry_after }
    }
}

impl Rate {
    /// Takes as many as there are up to `want`, at least one; says how many.
    ///
    /// # Errors
    /// When there will be one.
    pub fn draw_up_to(self, tat: Timestamp, want: u32, now: Timestamp) -> Result<(Timestamp, u32), Duration> {
        let interval = micros(self.interval);
        let capacity = interval.saturating_mul(u64::from(self.burst) + 1);
        let from = tat.as_micros().max(now.as_micros());
        let room = now.as_micros().saturating_add(capacity).saturating_sub(from);
        let there = u32::try_from(room.checked_div(interval).unwrap_or(u64::MAX)).unwrap_or(u32::MAX);
        match there.min(want.max(1)) {
            0 => Err(Duration::from_micros(interval.saturating_sub(room))),
            taken => Ok((Timestamp::from_micros(from.saturating_add(interval.saturating_mul(u64::from(taken)))), taken)),
        }
    }
}

/// What came of a draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// It fits; `tat` is the bucket's new state.
    Taken {
        /// The new theoretical arrival time.
        tat: Timestamp,
    },
    /// It does not fit, and nothing changed.
    Refused {
        /// When it will fit; `None` if never.
        retry_after: Option<Duration>,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn send_09_the_published_table_and_its_neighbours_hold() {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/gcra.json")).unwrap();
        let mut steps_seen = 0;
        for case in vectors["cases"].as_array().unwrap() {
            let interval = Duration::from_micros(case["emission_interval_us"].as_u64().unwrap());
            let rate = Rate { interval, burst: u32::try_from(case["burst"].as_u64().unwrap()).unwrap() };
            let mut tat = Timestamp::default();
            for step in case["steps"].as_array().unwrap() {
                let now = Timestamp::from_micros(step["now_us"].as_u64().unwrap());
                let quantity = u32::try_from(step["quantity"].as_u64().unwrap()).unwrap();
                let expected = &step["expected"];
                let got = rate.draw(tat, quantity, now);
                match got {
                    Draw::Taken { tat: new } => {
                        assert_eq!(expected["allowed"], true, "{} {step}", case["name"]);
                        tat = new;
                    }
                    Draw::Refused { retry_after } => {
                        assert_eq!(expected["allowed"], false, "{} {step}", case["name"]);
                        assert_eq!(retry_after.map(micros), expected["retry_after_us"].as_u64(), "{} {step}", case["name"]);
                    }
                }
                let ttl = tat.since(now);
                assert_eq!(micros(ttl), expected["reset_after_us"].as_u64().unwrap(), "{} {step}", case["name"]);
                steps_seen += 1;
            }
        }
        assert!(steps_seen > 10, "the vectors were read");
    }

    #[test]
    fn a_draw_of_several_takes_what_is_there() {
        let rate = Rate { interval: Duration::from_secs(2), burst: 4 };
        let now = Timestamp::from_micros(1_000_000_000);
        let (tat, taken) = rate.draw_up_to(Timestamp::default(), 3, now).unwrap();
        assert_eq!(taken, 3);
        let (tat, taken) = rate.draw_up_to(tat, 3, now).unwrap();
        assert_eq!(taken, 2, "five at once are the most");
        assert_eq!(rate.draw_up_to(tat, 3, now), Err(Duration::from_secs(2)));
        let later = now.plus(Duration::from_secs(2));
        assert_eq!(rate.draw_up_to(tat, 3, later).map(|(_, taken)| taken), Ok(1), "and one comes back in each interval");
        assert_eq!(rate.draw(tat, 1, now), Draw::Refused { retry_after: Some(Duration::from_secs(2)) }, "as one by one");
    }
}

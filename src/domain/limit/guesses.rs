//! Guesses over many subjects: the hourly failures of a caller or a tenant, and when they are an alarm.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// How many hours are counted, the current one included.
pub const HOURS_MAX: usize = 25;
/// How long an alarm lasts after the last failure that was too many.
pub const ALARM_LASTS: Duration = Duration::from_secs(3600);
/// How long the counts must be kept after the last failure.
pub const KEPT: Duration = Duration::from_secs(26 * 3600);
/// The microseconds of an hour.
const HOUR: u64 = 3_600_000_000;

/// When failures over many subjects are an alarm, and what follows; from `[guesses]` of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuessRules {
    /// Failures of an hour below which there is no alarm.
    pub alarm_failures: u32,
    /// How many times the mean of the hours before an hour must have for an alarm.
    pub alarm_factor: u32,
    /// During an alarm, the time between two anonymous guesses of the caller; `None`: they are not slowed down.
    pub slow_down: Option<Duration>,
}

/// The failures of one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HourOfFailures {
    /// All failures of the hour.
    pub failures: u32,
    /// Those that count for the mean of later hours: fewer if there was an alarm, so that an attack does not make the
    /// next hours of itself look normal.
    pub counted: u32,
}

/// The failures of a caller or a tenant over all subjects, hour by hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuessTally {
    /// The current hour, counted since the Unix epoch.
    pub hour: u64,
    /// The hours, oldest first, the current one last, none left out; at most [`HOURS_MAX`].
    pub hours: Vec<HourOfFailures>,
    /// When the alarm ends; in the past if there is none.
    pub alarm_until: Timestamp,
}

/// An alarm that has just begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The failures of the current hour.
    pub failures: u32,
    /// The mean of the hours before, rounded down.
    pub mean: u32,
}

impl GuessTally {
    /// Adds failures; returns the alarm if one begins.
    pub fn add(&mut self, failures: u32, now: Timestamp, rules: &GuessRules) -> Option<Alarm> {
        self.advance(now.as_micros() / HOUR);
        let (mean, limit) = (self.mean(), self.limit(rules));
        let ordinary = self.ordinary(rules);
        let current = self.hours.last_mut()?;
        current.failures = current.failures.saturating_add(failures);
        let failures = current.failures;
        if failures < limit {
            current.counted = failures;
            return None;
        }
        current.counted = failures.min(ordinary);
        let begins = !self.has_alarm(now);
        self.alarm_until = self.alarm_until.max(now.plus(ALARM_LASTS));
        begins.then_some(Alarm { failures, mean })
    }

    /// Whether there is an alarm at this time.
    #[must_use]
    pub fn has_alarm(&self, now: Timestamp) -> bool {
        now < self.alarm_until
    }

    /// How many failures are still to come in the current hour until there is an alarm.
    #[must_use]
    pub fn left(&self, now: Timestamp, rules: &GuessRules) -> u32 {
        let mut tally = self.clone();
        tally.advance(now.as_micros() / HOUR);
        let current = tally.hours.last().copied().unwrap_or_default();
        tally.limit(rules).saturating_sub(current.failures)
    }

    /// Begins the hours up to this one. Time does not go back: a process whose clock is behind counts in the current
    /// hour.
    fn advance(&mut self, hour: u64) {
        if self.hours.is_empty() || hour.saturating_sub(self.hour) >= HOURS_MAX as u64 {
            self.hours.clear();
            self.hours.push(HourOfFailures::default());
            self.hour = hour;
        }
        while self.hour < hour {
            self.hours.push(HourOfFailures::default());
            self.hour += 1;
        }
        let over = self.hours.len().saturating_sub(HOURS_MAX);
        self.hours.drain(..over);
    }

    /// The mean of the hours before the current one; 0 if there is none.
    fn mean(&self) -> u32 {
        let before = &self.hours[..self.hours.len().saturating_sub(1)];
        let sum: u64 = before.iter().map(|hour| u64::from(hour.counted)).sum();
        let mean = sum / u64::try_from(before.len()).unwrap_or(u64::MAX).max(1);
        u32::try_from(mean).unwrap_or(u32::MAX)
    }

    /// The most failures of an hour with an alarm that count for the mean of later hours. Until a day is known, what is
    /// usual is still being learned, so as many count as were no alarm.
    fn ordinary(&self, rules: &GuessRules) -> u32 {
        if self.hours.len() < HOURS_MAX {
            self.limit(rules)
        } else {
            self.mean().saturating_mul(2).max(rules.alarm_failures)
        }
    }

    /// The failures of the current hour with which there is an alarm.
    fn limit(&self, rules: &GuessRules) -> u32 {
        let many = self.mean().saturating_mul(rules.alarm_factor);
        many.saturating_add(1).max(rules.alarm_failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: GuessRules = GuessRules {
        alarm_failures: 100,
        alarm_factor: 10,
        slow_down: Some(Duration::from_secs(10)),
    };

    fn at(hour: u64) -> Timestamp {
        Timestamp::from_micros((1_000 + hour) * HOUR + 5)
    }

    /// A tally with this many failures in each of the hours from 0 on.
    fn after(hours: &[u32]) -> GuessTally {
        let mut tally = GuessTally::default();
        for (hour, failures) in (0..).zip(hours) {
            tally.add(*failures, at(hour), &RULES);
        }
        tally
    }

    #[test]
    fn guess_14_no_alarm_below_a_hundred_failures_an_hour() {
        let mut tally = after(&[1; 24]);
        assert_eq!(tally.add(99, at(24), &RULES), None);
        assert!(!tally.has_alarm(at(24)));
        assert_eq!(tally.left(at(24), &RULES), 1);
        let alarm = Alarm {
            failures: 100,
            mean: 1,
        };
        assert_eq!(tally.add(1, at(24), &RULES), Some(alarm));
        assert!(tally.has_alarm(at(24)));
        assert_eq!(tally.left(at(24), &RULES), 0);
    }

    #[test]
    fn guess_14_the_alarm_is_at_more_than_ten_times_the_hourly_mean() {
        let mut tally = after(&[50; 24]);
        assert_eq!(
            tally.add(500, at(24), &RULES),
            None,
            "ten times is not more"
        );
        let alarm = Alarm {
            failures: 501,
            mean: 50,
        };
        assert_eq!(tally.add(1, at(24), &RULES), Some(alarm));
        assert_eq!(tally.add(400, at(24), &RULES), None, "it has begun already");
    }

    #[test]
    fn guess_14_an_attack_does_not_make_itself_look_normal() {
        let mut tally = after(&[10; 24]);
        let mut alarms = 0;
        for hour in 24..48 {
            for half in [Duration::ZERO, ALARM_LASTS / 2] {
                let now = at(hour).plus(half);
                alarms += u32::from(tally.add(1_000_000, now, &RULES).is_some());
                assert!(tally.has_alarm(now), "hour {hour}");
            }
            assert!(tally.mean() <= 150, "hour {hour}: {}", tally.mean());
        }
        assert_eq!(alarms, 1, "one alarm as long as it goes on");
        assert!(tally.has_alarm(at(47)) && !tally.has_alarm(at(49)));
    }

    #[test]
    fn guess_14_a_caller_that_grows_is_learned() {
        // From one day to the next, a large caller has 5,000 failures an hour.
        let mut tally = GuessTally::default();
        let alarmed = (0..24).filter(|hour| tally.add(5_000, at(*hour), &RULES).is_some());
        assert!(alarmed.count() <= 2);
        assert!(!tally.has_alarm(at(24)));
        assert_eq!(tally.add(5_000, at(24), &RULES), None);
    }

    #[test]
    fn guess_14_hours_without_a_failure_count_and_the_clock_never_goes_back() {
        let mut tally = after(&[240]);
        tally.add(0, at(24), &RULES);
        assert_eq!(tally.hours.len(), HOURS_MAX);
        assert_eq!(tally.mean(), 4, "100 of the 240 count, as one of 24 hours");
        tally.add(7, at(20), &RULES);
        assert_eq!(tally.hour, 1_024);
        assert_eq!(tally.hours.last().unwrap().failures, 7);
        tally.add(3, at(100), &RULES);
        assert_eq!(
            tally.hours.len(),
            1,
            "after a day without a failure it begins anew"
        );
        assert_eq!(tally.hours[0].failures, 3);
        let mut tally = after(&[u32::MAX, u32::MAX]);
        tally.add(u32::MAX, at(1), &RULES);
        assert_eq!(
            tally.hours.last().unwrap().failures,
            u32::MAX,
            "it saturates"
        );
    }
}

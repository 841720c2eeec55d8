//! Follows the wall clock of the machine: forward after the machine was suspended, and never backward.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    domain::time::{Timestamp, micros},
    ports::store::Complaint,
};

/// Smaller differences from the wall clock are neither followed nor reported; the same limit as
/// between service and store.
const DRIFT_MAX: Duration = Duration::from_secs(2);
/// The time between two reads of the wall clock, so the longest time for which our time is wrong after a suspension.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a jump is reported as degraded: the longest lifetime of a code that it may have ended.
const JUMP_SHOWN: Duration = Duration::from_mins(10);
/// The shortest time between two log lines about the clock.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// Wall time at the start of the process plus the monotonic time since, moved forward whenever the
/// wall clock is ahead.
///
/// Neither clock is enough alone. The monotonic clock stands still while a machine is suspended, and the wall clock
/// may be set back by whoever maintains it; both would let codes live longer.
///
/// `running` is always the monotonic time since the start of the process.
#[derive(Debug)]
pub(super) struct Drift {
    /// The wall time at the start of the process.
    base: Timestamp,
    /// The microseconds by which this clock was moved forward since then. Never decreases.
    ahead: AtomicU64,
    /// The time of the next read of the wall clock, in microseconds of monotonic time.
    look_at: AtomicU64,
    found: Mutex<Found>,
}

/// What the reads of the wall clock found.
#[derive(Debug, Default)]
struct Found {
    /// The latest jump: the monotonic time at which it was made, and its length.
    jump: Option<(Duration, Duration)>,
    /// How far the wall clock is behind; `None` while it is not.
    behind: Option<Duration>,
    /// When each kind of line was logged last.
    jump_logged_at: Option<Duration>,
    behind_logged_at: Option<Duration>,
}

impl Drift {
    pub(super) fn new(base: Timestamp) -> Self {
        Self {
            base,
            ahead: AtomicU64::new(0),
            look_at: AtomicU64::new(micros(LOOK_EVERY)),
            found: Mutex::default(),
        }
    }

    /// The current time. Never goes backward, whatever the wall clock says.
    pub(super) fn time(&self, running: Duration) -> Timestamp {
        self.base
            .plus(running)
            .plus(Duration::from_micros(self.ahead.load(Relaxed)))
    }

    /// Whether the caller must read the wall clock now; true for one thread per interval.
    pub(super) fn wants_look(&self, running: Duration) -> bool {
        let (now, due) = (micros(running), self.look_at.load(Relaxed));
        let next = now.saturating_add(micros(LOOK_EVERY));
        now >= due
            && self
                .look_at
                .compare_exchange(due, next, Relaxed, Relaxed)
                .is_ok()
    }

    /// Compares with a wall-clock time that was read between two readings of the monotonic clock. If the thread was
    /// paused in between, the pause must not be taken for a difference of the clocks.
    pub(super) fn compare(&self, before: Duration, wall: Timestamp, after: Duration) {
        let ahead = wall.since(self.time(after));
        let behind = self.time(before).since(wall);
        if ahead > DRIFT_MAX {
            let moved = wall.since(self.base.plus(after));
            self.ahead.fetch_max(micros(moved), Relaxed);
        }
        let mut found = self.found();
        if ahead > DRIFT_MAX {
            found.jump = Some((after, ahead));
        }
        found.behind = (behind > DRIFT_MAX).then_some(behind);
        found.log(after, (ahead > DRIFT_MAX).then_some(ahead));
    }

    /// The degraded conditions of the clock.
    pub(super) fn complaints(&self, running: Duration) -> Vec<Complaint> {
        let found = self.found();
        let recent = found
            .jump
            .filter(|(at, _)| running.saturating_sub(*at) < JUMP_SHOWN);
        let jumped = recent.map(|(at, span)| Complaint {
            word: "clock_jumped",
            text: format!(
                "the system clock was {} ms ahead {} s ago, so the service moved its time forward; \
                 do not suspend this machine, and set its clock by NTP",
                span.as_millis(),
                running.saturating_sub(at).as_secs()
            ),
        });
        let behind = found.behind.map(|span| Complaint {
            word: "clock_behind",
            text: format!(
                "the system clock is {} ms behind the service, whose time never goes back; \
                 set the clock by NTP, or restart the service if the clock is right",
                span.as_millis()
            ),
        });
        jumped.into_iter().chain(behind).collect()
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    fn log(&mut self, running: Duration, ahead: Option<Duration>) {
        if let Some(ahead) = ahead
            && is_time_to_log(&mut self.jump_logged_at, running)
        {
            let ahead_ms = ahead.as_millis();
            tracing::warn!(ahead_ms, "clock moved forward to the system clock");
        }
        if let Some(behind) = self.behind
            && is_time_to_log(&mut self.behind_logged_at, running)
        {
            let behind_ms = behind.as_millis();
            tracing::warn!(behind_ms, "system clock is behind; time is not moved back");
        }
    }
}

/// Whether the last line of a kind is long enough ago; if so, this one is the last.
fn is_time_to_log(logged_at: &mut Option<Duration>, running: Duration) -> bool {
    let is_quiet = logged_at.is_some_and(|at| running.saturating_sub(at) < LOG_EVERY);
    if !is_quiet {
        *logged_at = Some(running);
    }
    !is_quiet
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const START: u64 = 1_700_000_000_000_000;

    /// A machine whose two clocks are moved by the test.
    struct Machine {
        drift: Drift,
        running: Cell<Duration>,
        wall: Cell<Timestamp>,
    }

    impl Machine {
        fn new() -> Self {
            Self {
                drift: Drift::new(Timestamp::from_micros(START)),
                running: Cell::default(),
                wall: Cell::new(Timestamp::from_micros(START)),
            }
        }

        /// Moves both clocks forward.
        fn run(&self, seconds: f64) {
            let span = Duration::from_secs_f64(seconds);
            self.running.set(self.running.get() + span);
            self.wall.set(self.wall.get().plus(span));
        }

        /// Moves only the wall clock forward, as in a suspended machine.
        fn suspend(&self, seconds: f64) {
            self.wall
                .set(self.wall.get().plus(Duration::from_secs_f64(seconds)));
        }

        fn set_back(&self, seconds: u64) {
            let micros = self.wall.get().as_micros() - seconds * 1_000_000;
            self.wall.set(Timestamp::from_micros(micros));
        }

        /// Reads the time; returns the seconds since the start.
        fn seconds(&self) -> f64 {
            let running = self.running.get();
            if self.drift.wants_look(running) {
                self.drift.compare(running, self.wall.get(), running);
            }
            let start = Timestamp::from_micros(START);
            self.drift.time(running).since(start).as_secs_f64()
        }

        fn words(&self) -> Vec<&'static str> {
            let complaints = self.drift.complaints(self.running.get());
            complaints.iter().map(|found| found.word).collect()
        }
    }

    fn assert_close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 0.000_01,
            "{found} is not {expected}"
        );
    }

    #[test]
    fn a_clock_whose_wall_agrees_is_the_monotonic_clock() {
        let machine = Machine::new();
        for _ in 0..1000 {
            machine.run(0.35);
            machine.seconds();
        }
        assert_close(machine.seconds(), 350.0);
        // Differences up to two seconds are ignored.
        machine.suspend(1.9);
        machine.run(1.0);
        assert_close(machine.seconds(), 351.0);
        assert!(machine.words().is_empty());
    }

    #[test]
    fn a_code_does_not_outlive_a_suspension_of_the_machine() {
        let machine = Machine::new();
        machine.run(1.0);
        assert_close(machine.seconds(), 1.0);
        machine.suspend(3600.0);
        machine.run(0.1);
        assert_close(machine.seconds(), 3601.1);
        assert_eq!(machine.words(), ["clock_jumped"]);
        // The time continues from there, and the jump is made only once.
        machine.run(60.0);
        assert_close(machine.seconds(), 3661.1);
        machine.suspend(10.0);
        machine.run(0.1);
        assert_close(machine.seconds(), 3671.2);
        machine.run(600.0);
        assert_close(machine.seconds(), 4271.2);
        assert!(machine.words().is_empty(), "a jump is shown for a while");
    }

    #[test]
    fn a_clock_that_is_set_back_is_reported_and_not_followed() {
        let machine = Machine::new();
        machine.run(10.0);
        assert_close(machine.seconds(), 10.0);
        machine.set_back(3600);
        machine.run(1.0);
        assert_close(machine.seconds(), 11.0);
        assert_eq!(machine.words(), ["clock_behind"]);
        machine.run(1.0);
        assert_close(machine.seconds(), 12.0);
        machine.suspend(3600.0);
        machine.run(0.1);
        assert_close(machine.seconds(), 12.1);
        assert!(machine.words().is_empty(), "the wall is right again");
    }

    #[test]
    fn a_clock_that_was_wrongly_ahead_is_behind_once_it_is_right_again() {
        let machine = Machine::new();
        machine.suspend(86_400.0);
        machine.run(1.0);
        assert_close(machine.seconds(), 86_401.0);
        machine.set_back(86_400);
        machine.run(1.0);
        assert_close(machine.seconds(), 86_402.0);
        assert_eq!(machine.words(), ["clock_jumped", "clock_behind"]);
    }

    #[test]
    fn a_thread_that_was_stopped_between_two_readings_moves_nothing() {
        let drift = Drift::new(Timestamp::from_micros(START));
        let (before, after) = (Duration::from_secs(1), Duration::from_secs(61));
        for pause_ends_at in [before, after] {
            let wall = Timestamp::from_micros(START).plus(pause_ends_at);
            drift.compare(before, wall, after);
        }
        assert_eq!(drift.time(after), Timestamp::from_micros(START).plus(after));
        assert_eq!(drift.complaints(after), []);
    }

    #[test]
    fn the_wall_is_read_once_per_interval() {
        let drift = Drift::new(Timestamp::from_micros(START));
        let looks = (0..10_000)
            .filter(|ms| drift.wants_look(Duration::from_millis(*ms)))
            .count();
        assert_eq!(looks, 99);
    }

    #[test]
    fn the_log_has_at_most_one_line_of_each_kind_a_minute() {
        let drift = Drift::new(Timestamp::from_micros(START));
        let (mut jumps, mut behinds) = (0, 0);
        let mut before = (None, None);
        for second in 1..=180 {
            let running = Duration::from_secs(second);
            // The wall clock jumps ahead, and is then set back, in every second.
            let now = drift.time(running);
            drift.compare(running, now.plus(Duration::from_secs(10)), running);
            drift.compare(running, Timestamp::from_micros(START), running);
            let found = drift.found();
            let logged_at = (found.jump_logged_at, found.behind_logged_at);
            jumps += u32::from(logged_at.0 != before.0);
            behinds += u32::from(logged_at.1 != before.1);
            before = logged_at;
        }
        assert_eq!((jumps, behinds), (3, 3));
    }
}

//! The clock and the random generator of the machine, and a manual clock.

mod drift;

use std::{
    cell::RefCell,
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use tokio::sync::watch;
use zeroize::{Zeroize as _, Zeroizing};

use self::drift::Drift;
use crate::{
    domain::time::{Timestamp, micros},
    ports::{
        store::Complaint,
        system::{Clock, Entropy},
    },
};

/// The time of this machine: monotonic, but moved forward to the wall clock after the machine was suspended.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
    drift: Drift,
}

impl SystemClock {
    /// Starts at the current wall-clock time.
    #[must_use]
    pub fn new() -> Self {
        Self {
            drift: Drift::new(wall()),
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let running = self.start.elapsed();
        if self.drift.wants_look(running) {
            self.drift.compare(running, wall(), self.start.elapsed());
        }
        self.drift.time(running)
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    fn complaints(&self) -> Vec<Complaint> {
        self.drift.complaints(self.start.elapsed())
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn wall() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(micros(since_epoch))
}

/// A clock that moves only when it is advanced, for tests.
#[derive(Debug)]
pub struct ManualClock(watch::Sender<Timestamp>);

impl ManualClock {
    /// A clock that shows `start` until it is advanced.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(watch::Sender::new(start))
    }

    /// Moves the clock forward, and wakes tasks whose sleep has ended.
    pub fn advance(&self, span: Duration) {
        self.0.send_modify(|now| *now = now.plus(span));
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    async fn sleep(&self, span: Duration) {
        let mut times = self.0.subscribe();
        let end = times.borrow().plus(span);
        // Cannot fail while `self` lives.
        let _ = times.wait_for(|now| *now >= end).await;
    }
}

/// The number of bytes that each thread draws from the generator at a time.
const AHEAD_BYTES: usize = 512;

/// Random bytes drawn ahead of their use.
struct Ahead {
    bytes: Zeroizing<[u8; AHEAD_BYTES]>,
    used: usize,
}

thread_local! {
    static AHEAD: RefCell<Ahead> = RefCell::new(Ahead { bytes: Zeroizing::new([0; AHEAD_BYTES]), used: AHEAD_BYTES });
}

/// The random generator of the operating system.
///
/// A draw of 16 bytes costs as much as a draw of many, so each thread draws some ahead. Each byte is handed out once,
/// and then wiped here. The process never forks without an exec, so no two processes share bytes drawn ahead.
#[derive(Debug, Default)]
pub struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    fn draw(&self, bytes: &mut [u8]) {
        self.0
            .fill(bytes)
            .expect("the system's random generator works");
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() > AHEAD_BYTES / 4 {
            return self.draw(bytes);
        }
        AHEAD.with_borrow_mut(|ahead| {
            if AHEAD_BYTES - ahead.used < bytes.len() {
                self.draw(&mut *ahead.bytes);
                ahead.used = 0;
            }
            let next = &mut ahead.bytes[ahead.used..][..bytes.len()];
            bytes.copy_from_slice(next);
            next.zeroize();
            ahead.used += bytes.len();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::ports::system::fresh;

    #[test]
    fn no_random_bytes_are_handed_out_twice() {
        let draw = || {
            let entropy = SystemEntropy::default();
            (0..10_000)
                .flat_map(|_| {
                    [
                        fresh::<12>(&entropy).to_vec(),
                        fresh::<16>(&entropy).to_vec(),
                    ]
                })
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let drawn: Vec<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), drawn.len());
        // Parts of longer draws do not repeat either: by chance, eight bytes collide once in 10^9 runs.
        let parts: HashSet<_> = drawn.iter().map(|bytes| &bytes[..8]).collect();
        assert_eq!(parts.len(), drawn.len());
    }

    #[test]
    fn what_was_handed_out_is_wiped_and_long_draws_go_past() {
        let entropy = SystemEntropy::default();
        let _ = (
            fresh::<100>(&entropy),
            fresh::<300>(&entropy),
            fresh::<28>(&entropy),
        );
        AHEAD.with_borrow(|ahead| {
            assert_eq!(ahead.used, 128);
            assert!(
                ahead.bytes[..128].iter().all(|byte| *byte == 0)
                    && ahead.bytes[128..].iter().any(|byte| *byte != 0)
            );
        });
    }
}

//! The clock and the randomness of the machine, and a clock that is steered by hand.

use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use tokio::sync::watch;

use crate::{
    domain::time::{Timestamp, micros},
    ports::system::{Clock, Entropy},
};

/// Wall time at its creation plus the monotonic time since: it never jumps and never goes back.
#[derive(Debug)]
pub struct SystemClock {
    base: Timestamp,
    start: Instant,
}

impl SystemClock {
    /// Reads the wall clock once.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { base: Timestamp::from_micros(micros(since_epoch)), start: Instant::now() }
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
        self.base.plus(self.start.elapsed())
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// A clock that stands still until it is moved: time in tests and in `countersign demo`.
#[derive(Debug)]
pub struct ManualClock(watch::Sender<Timestamp>);

impl ManualClock {
    /// Stands at `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(watch::Sender::new(start))
    }

    /// Moves on, and wakes whoever waited for that.
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

/// The system's random generator.
#[derive(Debug, Default)]
pub struct SystemEntropy(SystemRandom);

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes).expect("the system's random generator works");
    }
}

//! The trial of a connection: what it may take until its first admitted call.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::peers::Seat;

/// Closed because it made no admitted call in time.
pub(super) const NO_CALL: &str = "no_call";
/// The time within which a connection must make its first admitted call.
pub(super) const FIRST_CALL_MAX: Duration = Duration::from_secs(10);
/// The number of requests that a connection on trial may have in progress. The limit of HTTP/2 itself is told at the
/// start of a connection and the library cannot raise it later, so further streams are refused one by one.
pub(super) const TRIAL_STREAMS_MAX: u32 = 8;

/// What is known of one connection.
pub(super) struct Trial {
    seat: Seat,
    /// Whether it may be closed for a newer one when it is idle after its trial too.
    yields_when_idle: bool,
    passed: AtomicBool,
    /// The number of requests in progress.
    open: Mutex<u32>,
    /// Canceled when the connection holds more than its peer may, and has held it for longest.
    overdrawn: CancellationToken,
}

impl Trial {
    pub(super) fn new(seat: Seat, yields_when_idle: bool) -> Arc<Self> {
        Arc::new(Self {
            seat,
            yields_when_idle,
            passed: AtomicBool::new(false),
            open: Mutex::new(0),
            overdrawn: CancellationToken::new(),
        })
    }

    /// Ends the trial: the connection has made an admitted call.
    pub(super) fn pass(&self) {
        if !self.passed.swap(true, Ordering::Relaxed) {
            self.seat.keep();
        }
    }

    pub(super) fn is_passed(&self) -> bool {
        self.passed.load(Ordering::Relaxed)
    }

    /// Returns when the connection must make room for another.
    pub(super) async fn displaced(&self) {
        self.seat.displaced.cancelled().await;
    }

    /// Cancels the connection if its requests hold too much.
    pub(super) const fn overdrawn(&self) -> &CancellationToken {
        &self.overdrawn
    }

    /// Counts a request in progress until the guard is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Entered {
        let mut open = self.open();
        *open += 1;
        if self.yields_now() {
            self.seat.keep();
        }
        drop(open);
        Entered(self.clone())
    }

    /// Whether the connection is on trial and has more requests in progress than that allows. The first requests that a
    /// trusted proxy brings may be those of many clients.
    pub(super) fn is_crowded(&self) -> bool {
        let is_limited = !self.is_passed() && !self.seat.is_of_proxy;
        is_limited && *self.open() > TRIAL_STREAMS_MAX
    }

    fn yields_now(&self) -> bool {
        self.yields_when_idle && self.is_passed()
    }

    fn open(&self) -> MutexGuard<'_, u32> {
        // Every change is complete before anything can panic.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in progress on a connection.
pub(super) struct Entered(Arc<Trial>);

impl Drop for Entered {
    fn drop(&mut self) {
        // Locked until the seat rests, so that no other request begins in between.
        let mut open = self.0.open();
        *open -= 1;
        if *open == 0 && self.0.yields_now() {
            self.0.seat.rest();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::peers::{Peer, Seats};

    #[test]
    fn net_15_a_new_connection_has_eight_requests_in_progress_unless_a_proxy_brings_them() {
        let stranger = Peer::of([192, 0, 2, 1].into());
        for (peer, is_limited) in [(Some(stranger), true), (None, false)] {
            let trial = Trial::new(Seats::new(1, None).take(peer).ok().unwrap(), true);
            let eight: Vec<_> = (0..8).map(|_| trial.enter()).collect();
            assert!(!trial.is_crowded());
            let ninth = trial.enter();
            assert_eq!(trial.is_crowded(), is_limited);
            drop(ninth);
            assert!(!trial.is_crowded());
            trial.pass();
            let _ninth = trial.enter();
            assert!(!trial.is_crowded());
            drop(eight);
        }
    }
}

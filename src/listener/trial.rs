//! The trial of a connection: what it may take until its first admitted call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

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
    passed: AtomicBool,
    open: AtomicU32,
}

impl Trial {
    pub(super) fn new(seat: Seat) -> Arc<Self> {
        Arc::new(Self {
            seat,
            passed: AtomicBool::new(false),
            open: AtomicU32::new(0),
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

    /// Counts a request in progress until the guard is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Entered {
        self.open.fetch_add(1, Ordering::Relaxed);
        Entered(self.clone())
    }

    /// Whether the connection is on trial and has more requests in progress than that allows.
    pub(super) fn is_crowded(&self) -> bool {
        !self.is_passed() && self.open.load(Ordering::Relaxed) > TRIAL_STREAMS_MAX
    }
}

/// A request in progress on a connection.
pub(super) struct Entered(Arc<Trial>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

//! Keeps a session with the message centre, over which receipts come too, and opens a new one when it is lost.

use std::{iter, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, sleep},
};

use super::{
    centre::Centre,
    session::{End, Job, Rules, run},
    status::retry,
};
use crate::{
    domain::delivery::reason::Reason,
    ports::{
        sender::SendError,
        system::{Entropy, fresh},
    },
};

/// The pause after the first failed session; each further pause is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause between two sessions.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A session that lasted this long counts as good, so the next pause is short again.
const STABLE: Duration = Duration::from_secs(10);

/// Keeps one session open for as long as the sender exists.
pub(super) struct Keeper {
    pub(super) centre: Arc<Centre>,
    pub(super) rules: Arc<Rules>,
    pub(super) entropy: Arc<dyn Entropy>,
}

impl Keeper {
    /// Sends messages until the queue is closed.
    pub(super) async fn keep(self, mut jobs: Receiver<Job>) {
        let (mut first, mut failures, mut is_over) = (None, 0, false);
        while !is_over {
            match self.centre.connect().await {
                Ok(wire) => {
                    let began = Instant::now();
                    let end = run(&self.rules, wire, first.take(), &mut jobs).await;
                    failures = if end == End::Idle || began.elapsed() >= STABLE {
                        0
                    } else {
                        failures + 1
                    };
                    is_over = match end {
                        // Nobody listens for receipts, so a new session is opened only for a message.
                        End::Idle => {
                            first = jobs.recv().await;
                            first.is_none()
                        }
                        End::SessionLost => {
                            self.pause(failures, &retry(Reason::Unreachable), &mut jobs)
                                .await
                        }
                    };
                }
                Err(error) => {
                    failures += 1;
                    let waiting = first
                        .take()
                        .into_iter()
                        .chain(iter::from_fn(|| jobs.try_recv().ok()));
                    waiting.for_each(|job| job.fail(error.clone()));
                    is_over = self.pause(failures, &error, &mut jobs).await;
                }
            }
        }
    }

    /// Waits before the next attempt; messages that arrive in the meantime fail. Returns whether
    /// the queue was closed.
    async fn pause(&self, failures: u32, error: &SendError, jobs: &mut Receiver<Job>) -> bool {
        let mut wait = std::pin::pin!(sleep(self.length(failures)));
        loop {
            tokio::select! {
                () = &mut wait => return false,
                job = jobs.recv() => match job {
                    Some(job) => job.fail(error.clone()),
                    None => return true,
                },
            }
        }
    }

    /// The length of a pause. Half of it is random, so that not all processes reconnect
    /// at the same time.
    fn length(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let whole = PAUSE_MIN
            .saturating_mul(2_u32.saturating_pow(doublings.min(16)))
            .min(PAUSE_MAX);
        let chance = u32::from(fresh::<1>(self.entropy.as_ref())[0]);
        whole / 2 + whole / 2 * chance / 255
    }
}

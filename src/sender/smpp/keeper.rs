//! Keeps a session to the message centre: opens one for the first message, and another when it is lost.

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
use crate::ports::{
    sender::SendError,
    system::{Entropy, fresh},
};

/// The pause after the first session that did not hold; each more is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A session that held so long was a good one.
const STABLE: Duration = Duration::from_secs(10);

/// Keeps the session.
pub(super) struct Keeper {
    pub(super) centre: Arc<Centre>,
    pub(super) rules: Arc<Rules>,
    pub(super) entropy: Arc<dyn Entropy>,
}

impl Keeper {
    /// Carries messages until nobody can send any more.
    pub(super) async fn keep(self, mut jobs: Receiver<Job>) {
        let mut first = jobs.recv().await;
        let (mut failures, mut is_over) = (0, first.is_none());
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
                        // For receipts nobody would listen; so only for a message.
                        End::Idle => {
                            first = jobs.recv().await;
                            first.is_none()
                        }
                        End::Lost => self.pause(failures, &retry("unreachable"), &mut jobs).await,
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

    /// Waits before the next try; messages that come meanwhile go elsewhere. Is it over?
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

    /// Half of it is chance, so that a fleet does not come back all at once.
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

//! The hands of this process: how many messages it hands over at once, and which.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::domain::decide::Work;

/// A bounded number of hands.
#[derive(Clone)]
pub struct Hands {
    free: Arc<Semaphore>,
    count: usize,
    jobs: mpsc::UnboundedSender<Job>,
}

/// The other end: what the hands were given.
pub type Jobs = mpsc::UnboundedReceiver<Job>;

/// One delivery in one hand; the hand is free again when this is dropped.
pub struct Job {
    /// What to hand over.
    pub work: Work,
    _permit: OwnedSemaphorePermit,
}

/// A free hand, reserved.
pub struct Hand {
    permit: OwnedSemaphorePermit,
    jobs: mpsc::UnboundedSender<Job>,
}

impl Hands {
    /// So many hands. The queue between the two ends holds no more jobs than there are hands.
    #[must_use]
    pub fn new(count: usize) -> (Self, Jobs) {
        let (jobs, queue) = mpsc::unbounded_channel();
        (
            Self {
                free: Arc::new(Semaphore::new(count)),
                count,
                jobs,
            },
            queue,
        )
    }

    /// How many hands there are, and how many of them have something to do.
    #[must_use]
    pub fn in_use(&self) -> (usize, usize) {
        let free = self.free.available_permits();
        (self.count, self.count.saturating_sub(free))
    }

    /// Reserves a hand if one is free. Without one a delivery is left to whoever has a free hand first.
    #[must_use]
    pub fn reserve(&self) -> Option<Hand> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        Some(Hand {
            permit,
            jobs: self.jobs.clone(),
        })
    }

    /// Waits for a free hand; `None` once there will be none.
    pub async fn wait(&self) -> Option<Hand> {
        let permit = self.free.clone().acquire_owned().await.ok()?;
        Some(Hand {
            permit,
            jobs: self.jobs.clone(),
        })
    }

    /// No more hands: the process goes down.
    pub fn tie(&self) {
        self.free.close();
    }
}

impl Hand {
    /// Gives the hand something to do. If nobody listens any more the lease will end and another process takes over.
    pub fn take(self, work: Work) {
        let _ = self.jobs.send(Job {
            work,
            _permit: self.permit,
        });
    }
}

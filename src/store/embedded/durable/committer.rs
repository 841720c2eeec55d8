//! The one thread that writes: it takes all that waits into one transaction, so that many commits share one sync.

use std::{io, sync::Arc, thread};

use redb::Database;
use tokio::sync::{mpsc, oneshot};

use super::{super::watchers::Watchers, tables::Tables};
use crate::{
    domain::{
        ids::SubjectKey,
        time::{Generation, Timestamp},
    },
    ports::store::{Commit, Committed, SealedEvent, StoreError},
    store::bounds::{EVENTS_LOST, EVENTS_MAX},
};

/// How many jobs share one transaction.
const BATCH_MAX: usize = 256;

/// How many jobs may wait; beyond it commits wait to be let in, and events that nobody waits for are lost.
const QUEUE_MAX: usize = 4 * BATCH_MAX;

/// What there is to write.
pub(super) enum Job {
    /// A change that somebody waits for.
    Commit {
        commit: Commit,
        at: Timestamp,
        answer: oneshot::Sender<Committed>,
    },
    /// An event that nobody waits for.
    Append {
        key: SubjectKey,
        event: SealedEvent,
        at: Timestamp,
    },
}

/// The way to the committer. Dropping it waits until everything that is queued is written.
pub(super) struct Queue {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Queue {
    /// Starts the thread.
    pub(super) fn start(committer: Committer) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let thread = thread::Builder::new()
            .name("store-committer".to_owned())
            .spawn(move || committer.run(queue))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Has no commit failed yet?
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.open().map(|_| ())
    }

    /// Has a change written, and waits until it is durable.
    pub(super) async fn commit(
        &self,
        commit: Commit,
        at: Timestamp,
    ) -> Result<Committed, StoreError> {
        let (answer, committed) = oneshot::channel();
        self.open()?
            .send(Job::Commit { commit, at, answer })
            .await
            .map_err(|_| stopped())?;
        // A failed transaction answers nobody.
        committed.await.map_err(|_| stopped())
    }

    /// Has an event written at some time.
    pub(super) fn append(
        &self,
        key: SubjectKey,
        event: SealedEvent,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.open()?
            .try_send(Job::Append { key, event, at })
            .map_err(|refused| {
                metrics::counter!(EVENTS_LOST).increment(1);
                match refused {
                    mpsc::error::TrySendError::Full(_) => StoreError::Full,
                    mpsc::error::TrySendError::Closed(_) => stopped(),
                }
            })
    }

    fn open(&self) -> Result<&mpsc::Sender<Job>, StoreError> {
        self.jobs
            .as_ref()
            .filter(|jobs| !jobs.is_closed())
            .ok_or_else(stopped)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by the panic hook, and all who waited were told.
            let _ = thread.join();
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("an earlier write failed; the log says why".to_owned())
}

/// Writes. After a failed transaction it writes nothing more: what is in the file is not known then, and
/// the database engine wants to be opened again.
pub(super) struct Committer {
    /// The database.
    pub(super) db: Arc<Database>,
    /// The generation that commits must name.
    pub(super) generation: Generation,
    /// Who is told.
    pub(super) watchers: Arc<Watchers>,
}

impl Committer {
    fn run(self, mut queue: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while queue.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
            match self.write(&batch) {
                Ok(outcomes) => batch
                    .drain(..)
                    .zip(outcomes)
                    .for_each(|(job, outcome)| self.answer(job, outcome)),
                Err(error) => {
                    // First, so that nobody who is told of the failure can load what is not known.
                    queue.close();
                    tracing::error!(%error, "The store cannot write and stops; start the service again.");
                    batch.clear();
                    // Also what was let in before the close and is put in only now: a job that stayed in the
                    // queue would keep its waiter waiting as long as the store lives.
                    while queue.blocking_recv().is_some() {}
                    return;
                }
            }
        }
    }

    /// Writes a batch in one transaction. Each job sees the writes of the jobs before it.
    fn write(&self, batch: &[Job]) -> Result<Vec<Committed>, redb::Error> {
        // One durable sync a transaction: a torn one is found by its checksums at the next opening. Two phases would
        // guard against contents forged to fit the checksum, and all that is written here is sealed.
        let write = self.db.begin_write()?;
        let mut tables = Tables::open(&write)?;
        let outcomes: Vec<_> = batch
            .iter()
            .map(|job| self.write_job(job, &mut tables))
            .collect::<Result<_, _>>()?;
        let lost = tables.finish(EVENTS_MAX)?;
        if outcomes.contains(&Committed::Done) {
            write.commit()?;
            metrics::counter!(EVENTS_LOST).increment(lost);
        } else {
            write.abort()?;
        }
        Ok(outcomes)
    }

    fn write_job(&self, job: &Job, tables: &mut Tables<'_>) -> Result<Committed, redb::Error> {
        match job {
            Job::Commit { commit, .. } if commit.generation != self.generation => {
                Ok(Committed::Conflict)
            }
            Job::Commit {
                commit,
                at,
                answer: _,
            } => tables.commit(commit, *at),
            Job::Append { key, event, at } => {
                tables.append(*key, event, *at).map(|()| Committed::Done)
            }
        }
    }

    fn answer(&self, job: Job, outcome: Committed) {
        match job {
            Job::Commit {
                commit,
                at: _,
                answer,
            } => {
                match outcome {
                    Committed::Done => self.watchers.notify(&commit.key),
                    Committed::Conflict => {}
                }
                // Whoever waited may have left; the change stays.
                let _ = answer.send(outcome);
            }
            Job::Append { .. } => {}
        }
    }
}

//! The only thread that writes: it puts all waiting jobs into one transaction, so that many commits share one sync.

use std::{io, sync::Arc, thread};

use redb::Database;
use tokio::sync::{mpsc, oneshot};

use super::{super::watchers::Watchers, tables::Tables};
use crate::{
    domain::{
        record::key::RecordKey,
        time::{Generation, Timestamp},
    },
    ports::store::{Commit, Committed, SealedEvent, StoreError, Token},
};

/// The largest number of jobs in one transaction.
const BATCH_MAX: usize = 256;

/// The largest number of jobs in the queue. If it is full, commits wait for a place, and appended events are lost.
const QUEUE_MAX: usize = 4 * BATCH_MAX;

/// One write, as it waits in the queue.
pub(super) enum Job {
    /// A change of a record; the caller waits for the outcome.
    Commit {
        commit: Commit,
        at: Timestamp,
        answer: oneshot::Sender<Committed>,
    },
    /// A new due time of a record; the caller waits for the outcome.
    Postpone {
        key: RecordKey,
        expect: Option<Token>,
        until: Timestamp,
        answer: oneshot::Sender<Committed>,
    },
    /// An event to append; no caller waits for it.
    Append {
        key: RecordKey,
        event: SealedEvent,
        at: Timestamp,
    },
}

/// The queue of the committer thread. Dropping it waits until all jobs in it are written.
pub(super) struct Queue {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Queue {
    /// Starts the committer thread.
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

    /// A queue without a committer, for a file that is only read: every write fails.
    pub(super) fn closed() -> Self {
        Self {
            jobs: None,
            thread: None,
        }
    }

    /// Fails after a transaction has failed.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match &self.jobs {
            Some(jobs) if jobs.is_closed() => Err(stopped()),
            Some(_) | None => Ok(()),
        }
    }

    /// Writes a change; returns once it is durable.
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
        // If the transaction fails, the committer drops the sender without an answer.
        committed.await.map_err(|_| stopped())
    }

    /// Moves a due time; returns once that is durable.
    pub(super) async fn postpone(
        &self,
        key: RecordKey,
        expect: Option<Token>,
        until: Timestamp,
    ) -> Result<Committed, StoreError> {
        let (answer, moved) = oneshot::channel();
        self.open()?
            .send(Job::Postpone {
                key,
                expect,
                until,
                answer,
            })
            .await
            .map_err(|_| stopped())?;
        moved.await.map_err(|_| stopped())
    }

    /// Puts an event into the queue without waiting; `at` is the time stored with it.
    pub(super) fn append(
        &self,
        key: RecordKey,
        event: SealedEvent,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.open()?
            .try_send(Job::Append { key, event, at })
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => StoreError::Full,
                mpsc::error::TrySendError::Closed(_) => stopped(),
            })
    }

    fn open(&self) -> Result<&mpsc::Sender<Job>, StoreError> {
        self.check()?;
        let read_only = || StoreError::Unavailable("the file is only open for reading".to_owned());
        self.jobs.as_ref().ok_or_else(read_only)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // The panic hook has reported a panic of that thread, and its callers got an error.
            let _ = thread.join();
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("an earlier write failed; the log says why".to_owned())
}

/// Writes batches of jobs. After a failed transaction it writes nothing more: the content of the file is then
/// unknown, and the database engine must be opened again.
pub(super) struct Committer {
    pub(super) db: Arc<Database>,
    /// The store's generation; a commit with another one is a conflict.
    pub(super) generation: Generation,
    /// Notified of each changed record after its transaction.
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
                    // Close the queue first, so that no caller who hears of the failure can still load unknown
                    // content.
                    queue.close();
                    tracing::error!(%error, "store write failed; no more writes until the service is restarted");
                    batch.clear();
                    // Also drop jobs that reserved a place before the close and are sent only now: a job left in the
                    // queue would keep its caller waiting as long as the store lives.
                    while queue.blocking_recv().is_some() {}
                    return;
                }
            }
        }
    }

    /// Writes a batch in one transaction. Each job sees the writes of the jobs before it.
    fn write(&self, batch: &[Job]) -> Result<Vec<Committed>, redb::Error> {
        // One sync per transaction is enough: checksums find an incomplete transaction when the file is opened again.
        // Two-phase commit would protect against content crafted to match a checksum, but all content here is sealed.
        let write = self.db.begin_write()?;
        let mut tables = Tables::open(&write)?;
        let outcomes: Vec<_> = batch
            .iter()
            .map(|job| self.write_job(job, &mut tables))
            .collect::<Result<_, _>>()?;
        tables.finish()?;
        if outcomes.contains(&Committed::Done) {
            write.commit()?;
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
            Job::Postpone {
                key,
                expect,
                until,
                answer: _,
            } => tables.postpone(key, *expect, *until),
            Job::Append { key, event, at } => tables
                .append(key, std::slice::from_ref(event), *at)
                .map(|()| Committed::Done),
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
                // The caller may have stopped waiting; the change is written all the same.
                let _ = answer.send(outcome);
            }
            Job::Postpone { answer, .. } => drop(answer.send(outcome)),
            Job::Append { .. } => {}
        }
    }
}

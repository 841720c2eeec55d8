//! The one thread that writes: it takes everything that waits into one transaction, so that many commits share one sync.

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
    store::bounds::{EVENTS_LOST, EVENTS_MAX},
};

/// Most jobs that share one transaction.
const BATCH_MAX: usize = 256;

/// Most jobs in the queue. When it is full, commits wait for a place, and events that nobody waits for are lost.
const QUEUE_MAX: usize = 4 * BATCH_MAX;

/// One thing to write.
pub(super) enum Job {
    /// A change that somebody waits for.
    Commit {
        commit: Commit,
        at: Timestamp,
        answer: oneshot::Sender<Committed>,
    },
    /// A due time that is moved, and somebody waits for it.
    Postpone {
        key: RecordKey,
        expect: Option<Token>,
        until: Timestamp,
        answer: oneshot::Sender<Committed>,
    },
    /// An event that nobody waits for.
    Append {
        key: RecordKey,
        event: SealedEvent,
        at: Timestamp,
    },
}

/// The queue of the committer. Dropping it waits until everything in it is written.
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

    /// A queue that nobody serves, for a file that is only read: whatever is put in fails.
    pub(super) fn closed() -> Self {
        Self {
            jobs: None,
            thread: None,
        }
    }

    /// Fails once a commit has failed.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match &self.jobs {
            Some(jobs) if jobs.is_closed() => Err(stopped()),
            Some(_) | None => Ok(()),
        }
    }

    /// Writes a change, and waits until it is durable.
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

    /// Moves a due time, and waits until that is durable.
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

    /// Writes an event at some time.
    pub(super) fn append(
        &self,
        key: RecordKey,
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
        self.check()?;
        let read_only = || StoreError::Unavailable("the file is only open for reading".to_owned());
        self.jobs.as_ref().ok_or_else(read_only)
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

/// Writes. After a failed transaction it writes nothing more: the content of the file is not known then, and
/// the database engine must be opened again.
pub(super) struct Committer {
    /// The database.
    pub(super) db: Arc<Database>,
    /// The generation that commits must name.
    pub(super) generation: Generation,
    /// Those who are told of changes.
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
                    // First, so that nobody who hears of the failure can load what is not known.
                    queue.close();
                    tracing::error!(%error, "store write failed; no more writes until the service is restarted");
                    batch.clear();
                    // Also jobs that got a place before the close and are put in only now: a job that stayed in the
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
            Job::Postpone {
                key,
                expect,
                until,
                answer: _,
            } => tables.postpone(key, *expect, *until),
            Job::Append { key, event, at } => {
                tables.append(key, event, *at).map(|()| Committed::Done)
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
                // The caller may have given up; the change stays.
                let _ = answer.send(outcome);
            }
            Job::Postpone { answer, .. } => drop(answer.send(outcome)),
            Job::Append { .. } => {}
        }
    }
}

//! The store in one file: what it says is done outlives a killed process and a cut of the power.

use std::{ops::Bound, path::Path, sync::Arc};

use async_trait::async_trait;
use redb::{Database, ReadTransaction, ReadableDatabase};

use self::{
    committer::{Committer, Queue},
    tables::{DUE, EVENTS, RECORDS, trim_events},
};
use super::{quotas::Quotas, watchers::Watchers};
use crate::{
    domain::{
        ids::SubjectKey,
        time::{Generation, Timestamp},
    },
    ports::{
        store::{
            Blob, Commit, Committed, Draw, Drawn, Due, Loaded, News, Return, SealedEvent, Store,
            StoreError, StoredEvent,
        },
        system::{Clock, Entropy},
    },
    store::{
        bounds::{TRIM_STEP, check_commit, check_event},
        open_error::OpenCause,
    },
};

mod committer;
mod file;
mod setup;
mod tables;

#[cfg(test)]
mod crash;
#[cfg(test)]
mod tests;

/// A store in one file, for one process. Quotas live in memory: a restart refills them, failure counts it does not.
pub struct Durable {
    generation: Generation,
    clock: Arc<dyn Clock>,
    db: Arc<Database>,
    queue: Queue,
    quotas: Quotas,
    watchers: Arc<Watchers>,
}

impl Durable {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn open(
        path: &Path,
        data_dir: &Path,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, OpenCause> {
        let db = file::open(path)?;
        file::make_folder(data_dir)?;
        Self::start(db, data_dir, clock, entropy)
    }

    /// Starts on an open database.
    pub(in crate::store) fn start(
        db: Database,
        data_dir: &Path,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, OpenCause> {
        let generation = setup::set_up(&db, data_dir, entropy)?;
        let db = Arc::new(db);
        let watchers = Arc::new(Watchers::default());
        let committer = Committer {
            db: Arc::clone(&db),
            generation,
            watchers: Arc::clone(&watchers),
        };
        let queue = Queue::start(committer).map_err(OpenCause::Thread)?;
        Ok(Self {
            generation,
            clock,
            db,
            queue,
            quotas: Quotas::default(),
            watchers,
        })
    }

    /// Runs a function on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let db = Arc::clone(&self.db);
        let result = tokio::task::spawn_blocking(move || work(&db)).await;
        // After a commit of unknown outcome no read may tell which it was: the file may know more than the cache.
        self.queue.check()?;
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(StoreError::Unavailable(error.to_string())),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.blocking(move |db| read(&db.begin_read()?)).await
    }
}

#[async_trait]
impl Store for Durable {
    async fn load(&self, key: &SubjectKey) -> Result<Loaded, StoreError> {
        let key = *key;
        let read = move |read: &ReadTransaction| {
            let row = read.open_table(RECORDS)?.get(&key.0)?;
            Ok(row.map(|row| {
                let (token, _, bytes) = row.value();
                Blob {
                    token: *token,
                    bytes: bytes.into(),
                }
            }))
        };
        let blob = self.read(read).await?;
        Ok(Loaded {
            blob,
            generation: self.generation,
            now: self.clock.now(),
            forgot_at: None,
        })
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        check_commit(&commit)?;
        self.queue.commit(commit, self.clock.now()).await
    }

    async fn due(&self, limit: usize) -> Result<Due, StoreError> {
        let now = self.clock.now();
        let read = move |read: &ReadTransaction| {
            let mut due = Due::default();
            for entry in read.open_table(DUE)?.range::<(u64, &[u8; 16])>(..)? {
                let (entry, ()) = entry.map(|(entry, done)| (entry, done.value()))?;
                let (at, key) = entry.value();
                if due.keys.len() == limit || at > now.as_micros() {
                    due.next = Some(Timestamp::from_micros(at));
                    break;
                }
                due.keys.push(SubjectKey(*key));
            }
            Ok(due)
        };
        self.read(read).await
    }

    async fn draw(&self, draws: &[Draw]) -> Result<Drawn, StoreError> {
        self.quotas.draw(draws, self.clock.now())
    }

    async fn give_back(&self, returns: &[Return]) -> Result<(), StoreError> {
        self.quotas.give_back(returns, self.clock.now());
        Ok(())
    }

    async fn watch(&self, key: &SubjectKey) -> Result<News, StoreError> {
        Ok(self.watchers.watch(key))
    }

    async fn append(&self, key: &SubjectKey, event: SealedEvent) -> Result<(), StoreError> {
        check_event(&event)?;
        self.queue.append(*key, event, self.clock.now())
    }

    async fn events(
        &self,
        _shard: u16,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let read = move |read: &ReadTransaction| {
            let table = read.open_table(EVENTS)?;
            let rows = table
                .range::<u64>((Bound::Excluded(after), Bound::Unbounded))?
                .take(limit);
            rows.map(|row| {
                let (cursor, row) = row?;
                let (at, key, sealed) = row.value();
                let (key, at, sealed) = (
                    SubjectKey(*key),
                    Timestamp::from_micros(at),
                    sealed.to_vec(),
                );
                Ok(StoredEvent {
                    cursor: cursor.value(),
                    key,
                    at,
                    sealed,
                })
            })
            .collect()
        };
        self.read(read).await
    }

    async fn trim_events(&self, end: Timestamp) -> Result<u64, StoreError> {
        let mut dropped = 0;
        loop {
            let step = self
                .blocking(move |db| trim_events(db, end, TRIM_STEP))
                .await?;
            dropped += step as u64;
            if step < TRIM_STEP {
                return Ok(dropped);
            }
        }
    }
}

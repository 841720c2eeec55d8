//! The store in one file: its commits survive a killed process and a power failure.

use std::{ops::Bound, path::Path, sync::Arc};

use async_trait::async_trait;
use redb::{Database, ReadTransaction};

use self::{
    committer::{Committer, Queue},
    opened::Opened,
    tables::{DUE, Key, RECORDS, cursor_before, entries, is_over, read_events, trim_events},
    watch::Watch,
};
use super::{quotas::Quotas, watchers::Watchers};
use crate::{
    domain::{
        record::key::RecordKey,
        time::{Generation, Timestamp},
    },
    ports::{
        store::{
            Blob, Commit, Committed, Complaint, Draw, Drawn, Due, HEAD_BYTES, Loaded, News,
            Retention, Return, ScanCursor, ScanPage, ScannedRecord, SealedEvent, Store, StoreError,
            StoredEvent, Token, Trimmed,
        },
        system::{Clock, Entropy},
    },
    store::{
        bounds::{TRIM_STEP, check_commit, check_event},
        open_error::OpenCause,
    },
};

pub use file::check as check_file;

mod committer;
mod entry;
mod file;
mod migrate;
mod opened;
mod setup;
mod tables;
mod watch;

#[cfg(test)]
mod crash;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

/// A store in one file, for one process. Quotas are only in memory, so a restart refills them; failure counts are in
/// the records and are not lost.
pub struct Durable {
    generation: Generation,
    clock: Arc<dyn Clock>,
    db: Arc<Opened>,
    queue: Queue,
    quotas: Quotas,
    watchers: Arc<Watchers>,
    watch: Option<Arc<Watch>>,
}

impl Durable {
    /// Opens the file, or creates it. A file in an older format is migrated.
    ///
    /// # Errors
    /// [`OpenCause`] says what is wrong with the file or its folder.
    pub fn open(
        path: &Path,
        data_dir: &Path,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, OpenCause> {
        let db = file::open(path)?;
        file::make_folder(data_dir)?;
        let store = Self::start(db, data_dir, clock, entropy)?;
        Ok(Self {
            watch: Some(Arc::new(Watch::of(path)?)),
            ..store
        })
    }

    /// Opens an existing file for reading only; the file does not change.
    ///
    /// # Errors
    /// [`OpenCause`] says what is wrong with the file; also if it is in an older format.
    pub fn inspect(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenCause> {
        let db = Opened::for_reading(path)?;
        setup::check_format(&db)?;
        Ok(Self {
            generation: Generation([0; 16]),
            clock,
            db: Arc::new(db),
            queue: Queue::closed(),
            quotas: Quotas::default(),
            watchers: Arc::default(),
            watch: None,
        })
    }

    /// Starts the committer thread on an open database.
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
            db: Arc::new(Opened::Whole(db)),
            queue,
            quotas: Quotas::default(),
            watchers,
            watch: None,
        })
    }

    /// Runs blocking work on a thread made for it, so that async worker threads never wait for the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Opened) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.present()?;
        let db = Arc::clone(&self.db);
        let result = tokio::task::spawn_blocking(move || work(&db)).await;
        // After a commit with an unknown outcome, reads must fail: the file may contain a change that the engine's
        // cache does not.
        self.queue.check()?;
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(StoreError::Unavailable(error.to_string())),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }

    /// Fails while the file is not where it was opened: a verdict on what will be lost is none.
    fn present(&self) -> Result<(), StoreError> {
        let vanished = self.watch.as_ref().and_then(|watch| watch.vanished());
        vanished.map_or(Ok(()), |why| Err(StoreError::Unavailable(why)))
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
    async fn load(&self, key: &RecordKey) -> Result<Loaded, StoreError> {
        let key = key.to_bytes();
        let read = move |read: &ReadTransaction| {
            let row = read.open_table(RECORDS)?.get(&key)?;
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
        self.present()?;
        self.queue.commit(commit, self.clock.now()).await
    }

    async fn postpone(
        &self,
        key: &RecordKey,
        expect: Option<Token>,
        until: Timestamp,
    ) -> Result<Committed, StoreError> {
        self.queue.postpone(*key, expect, until).await
    }

    async fn due(&self, limit: usize) -> Result<Due, StoreError> {
        let now = self.clock.now();
        let read = move |read: &ReadTransaction| {
            let mut due = Due::default();
            for entry in read.open_table(DUE)?.range::<(u64, Key)>(..)? {
                let (entry, ()) = entry.map(|(entry, done)| (entry, done.value()))?;
                let (at, key) = entry.value();
                if due.keys.len() == limit || at > now.as_micros() {
                    due.next = Some(Timestamp::from_micros(at));
                    break;
                }
                due.keys.push(RecordKey::from_bytes(key));
            }
            Ok(due)
        };
        self.read(read).await
    }

    async fn scan(&self, from: &ScanCursor, limit: usize) -> Result<ScanPage, StoreError> {
        let after = from.clone();
        let read = move |read: &ReadTransaction| {
            let from = match <&[u8; 17]>::try_from(after.0.as_slice()) {
                Ok(last) => Bound::Excluded(last),
                Err(_begin) => Bound::Unbounded,
            };
            let mut page = ScanPage::default();
            let table = read.open_table(RECORDS)?;
            for row in table
                .range::<&[u8; 17]>((from, Bound::Unbounded))?
                .take(limit.max(1))
            {
                let (key, row) = row?;
                let (_, _, bytes) = row.value();
                page.next = Some(ScanCursor(key.value().to_vec()));
                page.records.push(ScannedRecord {
                    key: RecordKey::from_bytes(key.value()),
                    head: bytes[..bytes.len().min(HEAD_BYTES)].to_vec(),
                });
            }
            Ok(page)
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

    async fn watch(&self, key: &RecordKey) -> Result<News, StoreError> {
        Ok(self.watchers.watch(key))
    }

    async fn append(&self, key: &RecordKey, event: SealedEvent) -> Result<(), StoreError> {
        check_event(&event)?;
        self.queue.append(*key, event, self.clock.now())
    }

    async fn events(
        &self,
        _shard: u16,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.read(move |read| read_events(read, after, limit)).await
    }

    async fn cursor_before(&self, _shard: u16, at: Timestamp) -> Result<u64, StoreError> {
        self.read(move |read| cursor_before(read, at)).await
    }

    async fn trim_events(&self, keep: Retention) -> Result<Trimmed, StoreError> {
        let mut trimmed = Trimmed::default();
        // A look first: a write transaction would delay commits.
        if !self.read(move |read| is_over(read, keep)).await? {
            trimmed.fullest = self.read(entries).await?;
            return Ok(trimmed);
        }
        loop {
            let mut sum = trimmed;
            let step = move |db: &Opened| {
                let Opened::Whole(db) = db else {
                    return Ok((0, sum));
                };
                let deleted = trim_events(db, keep, TRIM_STEP, &mut sum)?;
                Ok((deleted, sum))
            };
            let (deleted, sum) = self.blocking(step).await?;
            trimmed = sum;
            if deleted < TRIM_STEP {
                return Ok(trimmed);
            }
        }
    }

    async fn ready(&self) -> Result<(), StoreError> {
        if let Some(watch) = self.watch.clone() {
            // A look that panics changes nothing; the next one is a second later.
            let _ = tokio::task::spawn_blocking(move || watch.look()).await;
        }
        self.present()?;
        self.due(0).await.map(drop)
    }

    fn complaints(&self) -> Vec<Complaint> {
        let full = self.watch.as_ref().and_then(|watch| watch.full());
        let complaint = full.map(|text| Complaint {
            word: "disk_full",
            text,
        });
        complaint.into_iter().collect()
    }
}

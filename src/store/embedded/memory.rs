//! The store in memory: fast, and lost when the process ends.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

use super::{
    quotas::Quotas,
    shards::{Shards, lock},
    watchers::Watchers,
};
use crate::{
    domain::{
        record::key::RecordKey,
        time::{Generation, Timestamp},
    },
    ports::{
        store::{
            Blob, Commit, Committed, Draw, Drawn, Due, HEAD_BYTES, Loaded, News, Retention, Return,
            ScanCursor, ScanPage, ScannedRecord, SealedEvent, Store, StoreError, StoredEvent,
            Token, Trimmed, Write,
        },
        system::{Clock, Entropy, fresh},
    },
    store::bounds::{TRIM_STEP, check_commit, check_event},
};

mod event_log;

use event_log::EventLog;

/// The largest number of records; at the usual 1 KiB each they take 2 GB.
const RECORDS_MAX: usize = 2_000_000;

struct Row {
    blob: Blob,
    wake_at: Option<Timestamp>,
}

#[derive(Default)]
struct Shard {
    records: HashMap<RecordKey, Row>,
    due: BTreeSet<(Timestamp, RecordKey)>,
}

impl Shard {
    fn token(&self, key: &RecordKey) -> Option<Token> {
        self.records.get(key).map(|row| row.blob.token)
    }

    /// Writes the record, and replaces its due entry.
    fn write(&mut self, key: RecordKey, write: Write) {
        let before = match write {
            Write::Put {
                blob,
                wake_at,
                keep_until: _,
            } => {
                self.due.extend(wake_at.map(|at| (at, key)));
                let before = self.records.insert(key, Row { blob, wake_at });
                before.filter(|before| before.wake_at != wake_at)
            }
            Write::Delete => self.records.remove(&key),
        };
        if let Some(at) = before.and_then(|before| before.wake_at) {
            self.due.remove(&(at, key));
        }
    }

    /// Moves the due entry of a record, if it has one.
    fn postpone(&mut self, key: &RecordKey, until: Timestamp) {
        let Some(row) = self.records.get_mut(key) else {
            return;
        };
        if let Some(at) = &mut row.wake_at {
            self.due.remove(&(*at, *key));
            self.due.insert((until, *key));
            *at = until;
        }
    }
}

/// A store for this process only. Each has a new generation, because nothing survives a restart.
pub struct Memory {
    generation: Generation,
    clock: Arc<dyn Clock>,
    shards: Shards<Shard>,
    events: Mutex<EventLog>,
    quotas: Quotas,
    watchers: Watchers,
}

impl Memory {
    /// Makes an empty store with a new generation.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Self {
        Self {
            generation: Generation(fresh(entropy)),
            clock,
            shards: Shards::default(),
            events: Mutex::default(),
            quotas: Quotas::default(),
            watchers: Watchers::default(),
        }
    }

    /// Applies a commit under the lock of its shard: readers see all of it or nothing.
    fn apply(&self, commit: Commit) -> Result<Committed, StoreError> {
        let now = self.clock.now();
        let mut shard = self.shards.lock(&commit.key.hash);
        let found = shard.token(&commit.key);
        if found != commit.expect || commit.generation != self.generation {
            return Ok(Committed::Conflict);
        }
        if found.is_none() && shard.records.len() >= RECORDS_MAX / Shards::<Shard>::COUNT {
            return Err(StoreError::Full);
        }
        shard.write(commit.key, commit.write);
        if !commit.events.is_empty() {
            lock(&self.events).push(commit.key, commit.events, now);
        }
        Ok(Committed::Done)
    }
}

#[async_trait]
impl Store for Memory {
    async fn load(&self, key: &RecordKey) -> Result<Loaded, StoreError> {
        let blob = self
            .shards
            .lock(&key.hash)
            .records
            .get(key)
            .map(|row| row.blob.clone());
        Ok(Loaded {
            blob,
            generation: self.generation,
            now: self.clock.now(),
            forgot_at: None,
        })
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        check_commit(&commit)?;
        let key = commit.key;
        let committed = self.apply(commit)?;
        match committed {
            Committed::Done => self.watchers.notify(&key),
            Committed::Conflict => {}
        }
        Ok(committed)
    }

    async fn postpone(
        &self,
        key: &RecordKey,
        expect: Option<Token>,
        until: Timestamp,
    ) -> Result<Committed, StoreError> {
        let mut shard = self.shards.lock(&key.hash);
        if shard.token(key) != expect {
            return Ok(Committed::Conflict);
        }
        shard.postpone(key, until);
        Ok(Committed::Done)
    }

    async fn due(&self, limit: usize) -> Result<Due, StoreError> {
        let now = self.clock.now();
        // The first entries of all shards together are among the first entries of each shard.
        let mut first = Vec::new();
        for shard in self.shards.each() {
            first.extend(shard.due.iter().take(limit.saturating_add(1)).copied());
        }
        first.sort_unstable();
        let keys: Vec<_> = first
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(limit)
            .map(|(_, key)| *key)
            .collect();
        let next = first.get(keys.len()).map(|(at, _)| *at);
        Ok(Due { keys, next })
    }

    /// One page is a whole shard, whatever the limit: iteration over a hash table cannot be resumed in the middle.
    async fn scan(&self, from: &ScanCursor, _limit: usize) -> Result<ScanPage, StoreError> {
        let at = from.0.first().copied().unwrap_or_default();
        let Some(shard) = self.shards.each().nth(at.into()) else {
            return Ok(ScanPage::default());
        };
        let records = shard.records.iter().map(|(key, row)| ScannedRecord {
            key: *key,
            head: row.blob.bytes[..row.blob.bytes.len().min(HEAD_BYTES)].to_vec(),
        });
        let is_last = usize::from(at) + 1 == Shards::<Shard>::COUNT;
        Ok(ScanPage {
            records: records.collect(),
            next: (!is_last).then(|| ScanCursor(vec![at + 1])),
        })
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
        let now = self.clock.now();
        lock(&self.events).push(*key, vec![event], now);
        Ok(())
    }

    async fn events(
        &self,
        _shard: u16,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        Ok(lock(&self.events).read(after, limit))
    }

    async fn cursor_before(&self, _shard: u16, at: Timestamp) -> Result<u64, StoreError> {
        Ok(lock(&self.events).cursor_before(at))
    }

    async fn trim_events(&self, keep: Retention) -> Result<Trimmed, StoreError> {
        let mut trimmed = Trimmed::default();
        while lock(&self.events).trim(keep, TRIM_STEP, &mut trimmed) == TRIM_STEP {
            tokio::task::yield_now().await;
        }
        Ok(trimmed)
    }
}

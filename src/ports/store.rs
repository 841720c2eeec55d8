//! The store port: opaque sealed records, an index of due records, quotas, events, and news of changes.

pub mod quota;
pub mod url;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::domain::{
    decide::Durability,
    record::key::RecordKey,
    time::{Generation, Timestamp},
};

pub use quota::{Draw, Drawn, Return, Short};

/// The compare token of a stored blob: the random nonce of its seal.
pub type Token = [u8; 12];

/// A sealed record. The store moves it and never looks inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Unique: no other blob has this token.
    pub token: Token,
    /// The record, encoded and encrypted by the vault.
    pub bytes: Arc<[u8]>,
}

/// The result of a load.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The record; `None` if there is none under this key.
    pub blob: Option<Blob>,
    /// The generation of the store at this load; a commit must carry the same.
    pub generation: Generation,
    /// The time of the load, by the store's clock.
    pub now: Timestamp,
    /// When the store lost its data, if within the last day. A record that is missing may then have existed before.
    pub forgot_at: Option<Timestamp>,
}

/// What a commit does to the record.
#[derive(Clone, Debug)]
pub enum Write {
    /// Replaces the record, or creates it.
    Put {
        /// The sealed record to write.
        blob: Blob,
        /// When it is next due; replaces its entry in the due index.
        wake_at: Option<Timestamp>,
        /// Until when it must be kept; `None` without end. After that the store may drop the record, but need not: no
        /// rule depends on it.
        keep_until: Option<Timestamp>,
    },
    /// Deletes the record and its entry in the due index.
    Delete,
}

/// An audit event, encoded and encrypted by the vault.
pub type SealedEvent = Vec<u8>;

/// One change of one record, applied completely or not at all.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The record to change.
    pub key: RecordKey,
    /// The token of the blob that was loaded; `None` if there was no record.
    pub expect: Option<Token>,
    /// The generation of the store at the load.
    pub generation: Generation,
    /// What happens to the record.
    pub write: Write,
    /// Events of the record to append, in this order.
    pub events: Vec<SealedEvent>,
    /// How durable the commit must be before it is acknowledged.
    pub durability: Durability,
}

/// The answer to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Committed {
    /// All of it is written, and stays.
    Done,
    /// The record is not the one that was loaded, or the generation is another: nothing is written.
    Conflict,
}

/// The result of a look into the due index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// The records due now, longest overdue first.
    pub keys: Vec<RecordKey>,
    /// When the next record becomes due, as far as is known.
    pub next: Option<Timestamp>,
}

/// An event as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// The position of the event's entry in its shard; greater than that of every earlier entry. All events of one
    /// commit are one entry.
    pub cursor: u64,
    /// The record that the event belongs to.
    pub key: RecordKey,
    /// When it was written, by the store's clock.
    pub at: Timestamp,
    /// The event as the vault sealed it.
    pub sealed: SealedEvent,
}

/// The beginning of a list of events that holds at least `limit` of them, if there are as many, and splits no entry.
#[must_use]
pub fn whole_entries(mut events: Vec<StoredEvent>, limit: usize) -> Vec<StoredEvent> {
    let Some(last) = limit.checked_sub(1).and_then(|last| events.get(last)) else {
        events.truncate(limit);
        return events;
    };
    let cursor = last.cursor;
    events.truncate(events.partition_point(|event| event.cursor <= cursor));
    events
}

/// The events that a store keeps.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Events written before this time are deleted.
    pub since: Timestamp,
    /// The most entries of a shard. Beyond it the oldest are deleted, whatever their age.
    pub entries_max: u64,
}

/// The events that were deleted, and what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// The events that were older than [`Retention::since`].
    pub old: u64,
    /// The events that were younger: their shard had too many entries.
    pub young: u64,
    /// The entries left in the fullest shard.
    pub fullest: u64,
}

/// The largest number of bytes that a scan returns of each record: enough for the unencrypted head of a seal.
pub const HEAD_BYTES: usize = 64;

/// Where a scan continues; the default is the beginning. Each engine has its own format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanCursor(pub Vec<u8>);

/// A record as seen by a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedRecord {
    /// The key under which it is stored.
    pub key: RecordKey,
    /// The first [`HEAD_BYTES`] of its sealed bytes, or all if there are fewer.
    pub head: Vec<u8>,
}

/// One page of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// The records of this page; may be empty even if more pages follow.
    pub records: Vec<ScannedRecord>,
    /// Where the next page begins; `None` after the last page.
    pub next: Option<ScanCursor>,
}

/// News that a record may have changed. The value has no meaning; a reader loads the record.
pub type News = watch::Receiver<u64>;

/// Why a store operation failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store did not answer, or answered that it cannot serve. The outcome of a commit is unknown.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store has no room. Nothing was written.
    #[error("the store is full")]
    Full,
    /// The change is written and will not be undone, but fewer replicas than required have confirmed it.
    #[error("the change is not replicated")]
    NotReplicated,
    /// Under the record's key is data that no version of this program wrote. Nothing was written.
    #[error("the place of the record holds foreign data")]
    Foreign,
}

/// A degraded condition: a problem that does not stop the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// A machine-readable word such as `clock_skew`.
    pub word: &'static str,
    /// What is wrong and what to do, as a sentence for people.
    pub text: String,
}

/// Stores sealed records, events and quotas. All engines pass one contract suite.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads a record, together with the generation and the time of the store that returned it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is known about the record then.
    async fn load(&self, key: &RecordKey) -> Result<Loaded, StoreError>;

    /// Writes one change if the record is still the one that was loaded, otherwise nothing. After [`Committed::Done`]
    /// the change survives a restart of the process, unless the store is in memory.
    ///
    /// # Errors
    /// [`StoreError`]; the change may have been written all the same. Load the record to find out.
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError>;

    /// Moves the due time of a record if the record is still the one that was loaded; the record itself does not
    /// change. Moves records that cannot be opened away from the head of the due index. A record without a
    /// due time gets none.
    ///
    /// # Errors
    /// [`StoreError`]; the due time may have moved all the same.
    async fn postpone(
        &self,
        key: &RecordKey,
        expect: Option<Token>,
        until: Timestamp,
    ) -> Result<Committed, StoreError>;

    /// Waits until all earlier commits of a record are as durable as [`Durability::Durable`] demands. Returns at once
    /// in an engine whose commits always are.
    ///
    /// # Errors
    /// [`StoreError`]; the earlier commits may be less durable.
    async fn await_durable(&self, _key: &RecordKey) -> Result<(), StoreError> {
        Ok(())
    }

    /// Lists at most `limit` due records of this process's share. The processes divide all records among them, so
    /// each record is in one share, except for a short time when a process starts or stops.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is known about due records then.
    async fn due(&self, limit: usize) -> Result<Due, StoreError>;

    /// Reads the heads of all records, page by page, about `limit` per page. A record that exists during the whole
    /// scan is returned at least once; one that is added, deleted or moved meanwhile may be missed or returned twice.
    ///
    /// # Errors
    /// [`StoreError`]; the scan must begin again.
    async fn scan(&self, from: &ScanCursor, limit: usize) -> Result<ScanPage, StoreError>;

    /// Draws from several quotas: from all of them, or from none if one holds too little. Where quotas are on several
    /// servers, the draws are made in the given order, and those before a refused one are not undone.
    ///
    /// # Errors
    /// [`StoreError`]; some of the draws may have been made.
    async fn draw(&self, draws: &[Draw]) -> Result<Drawn, StoreError>;

    /// Returns amounts to several quotas. A bucket above its limit may be reset to full when nothing was drawn from its
    /// owner or returned to it for a day: no rule depends on the excess.
    ///
    /// # Errors
    /// [`StoreError`]; some of the amounts may have been returned.
    async fn give_back(&self, returns: &[Return]) -> Result<(), StoreError>;

    /// Subscribes to changes of a record made after this call.
    ///
    /// # Errors
    /// [`StoreError`]; there is no subscription then.
    async fn watch(&self, key: &RecordKey) -> Result<News, StoreError>;

    /// Appends an event of a record without changing the record. The event may not be durable yet when this returns.
    ///
    /// # Errors
    /// [`StoreError`]; the event may be lost.
    async fn append(&self, key: &RecordKey, event: SealedEvent) -> Result<(), StoreError>;

    /// The number of shards that hold events. Each orders its events by itself.
    fn shards(&self) -> u16 {
        1
    }

    /// The shard that holds the events of a record.
    fn shard_of(&self, _key: &RecordKey) -> u16 {
        0
    }

    /// Reads the events of a shard after a cursor (0: from the first), in order: whole entries, until there are at
    /// least `limit` events. Fewer mean that there are no more.
    ///
    /// # Errors
    /// [`StoreError`]; no event was returned.
    async fn events(
        &self,
        shard: u16,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError>;

    /// The cursor after which the events of a shard that were written at this time or later are read.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is known about the events then.
    async fn cursor_before(&self, shard: u16, at: Timestamp) -> Result<u64, StoreError>;

    /// Deletes events of this process's share, oldest first, until only those remain that are to be kept.
    ///
    /// # Errors
    /// [`StoreError`]; some of them may be deleted.
    async fn trim_events(&self, keep: Retention) -> Result<Trimmed, StoreError>;

    /// Checks whether the store can serve. Cheap: a store that has just answered other calls may skip the question.
    ///
    /// # Errors
    /// [`StoreError`] says why it cannot.
    async fn ready(&self) -> Result<(), StoreError> {
        self.due(0).await.map(drop)
    }

    /// The degraded conditions that the store knows of. Answers from memory.
    fn complaints(&self) -> Vec<Complaint> {
        Vec::new()
    }
}

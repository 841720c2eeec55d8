//! The store: opaque sealed records, an index of what is due, quotas, events, and news of changes.

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
    /// Differs from the token of every other blob.
    pub token: Token,
    /// The sealed bytes.
    pub bytes: Arc<[u8]>,
}

/// What a load finds.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The record, if there is one.
    pub blob: Option<Blob>,
    /// The store's generation.
    pub generation: Generation,
    /// The store's clock.
    pub now: Timestamp,
    /// When the store lost its data, if that was within the last day: records that seem new may not be.
    pub forgot_at: Option<Timestamp>,
}

/// What a commit does to the record.
#[derive(Clone, Debug)]
pub enum Write {
    /// Replaces the record.
    Put {
        /// The new record.
        blob: Blob,
        /// When it is next due; replaces its entry in the due index.
        wake_at: Option<Timestamp>,
        /// Until when it must be kept; `None` for ever. After that a store may drop the record, or keep it: no rule
        /// depends on it.
        keep_until: Option<Timestamp>,
    },
    /// Deletes the record and its entry in the due index.
    Delete,
}

/// A sealed event.
pub type SealedEvent = Vec<u8>;

/// One change, all or nothing.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The record to change.
    pub key: RecordKey,
    /// The token of the blob that was loaded, or `None` if there was none.
    pub expect: Option<Token>,
    /// The generation of the load.
    pub generation: Generation,
    /// What happens to the record.
    pub write: Write,
    /// Events of the record to append, in this order.
    pub events: Vec<SealedEvent>,
    /// How durable the commit must be before it is answered.
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

/// Which records are due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Due now, the longest due first.
    pub keys: Vec<RecordKey>,
    /// When the first of the others is due, as far as is known.
    pub next: Option<Timestamp>,
}

/// An event as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the order of the events of its shard; greater than that of every event before it.
    pub cursor: u64,
    /// The record that it belongs to.
    pub key: RecordKey,
    /// When it was written, by the store's clock.
    pub at: Timestamp,
    /// The sealed event.
    pub sealed: SealedEvent,
}

/// How many bytes of each record a scan gives at most: enough for what a seal says in clear.
pub const HEAD_BYTES: usize = 64;

/// Where a scan continues; the default is the beginning. Each engine has its own form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanCursor(pub Vec<u8>);

/// A record as a scan sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedRecord {
    /// Its key.
    pub key: RecordKey,
    /// The first [`HEAD_BYTES`] of its sealed bytes, or all if there are fewer.
    pub head: Vec<u8>,
}

/// Some of the records of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// The records of this page; there may be none before the last page.
    pub records: Vec<ScannedRecord>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<ScanCursor>,
}

/// News that a record may have changed. The value has no meaning; a reader loads the record.
pub type News = watch::Receiver<u64>;

/// Why a store operation failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store did not answer, or answered that it cannot. Whether a commit happened is not known.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store has no room. Nothing is written.
    #[error("the store is full")]
    Full,
    /// The change is written and stays, but on fewer machines than required before it may be answered.
    #[error("the change is not replicated")]
    NotReplicated,
    /// The place of the record holds something that no version of this program wrote. Nothing is written.
    #[error("the place of the record holds foreign data")]
    Foreign,
}

/// A degraded condition: a problem that does not stop the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// A word for machines, such as `clock_skew`.
    pub word: &'static str,
    /// What is wrong, and what to do, as a sentence for people.
    pub text: String,
}

/// Keeps records. All engines pass one contract suite.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads a record, with the generation and the time of the store that gave it.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is known.
    async fn load(&self, key: &RecordKey) -> Result<Loaded, StoreError>;

    /// Writes one change if the record is still the one that was loaded, or nothing. After
    /// [`Committed::Done`] the change outlives the process, unless the store is in memory.
    ///
    /// # Errors
    /// [`StoreError`]; then it may or may not have happened, and a load tells.
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError>;

    /// Moves the due time of a record, if the record is still the one that was loaded; the record itself stays as it
    /// is. For records that cannot be opened, so that they leave the head of the due index. A record without a due
    /// time gets none.
    ///
    /// # Errors
    /// [`StoreError`]; then the due time may or may not have moved.
    async fn postpone(
        &self,
        key: &RecordKey,
        expect: Option<Token>,
        until: Timestamp,
    ) -> Result<Committed, StoreError>;

    /// Returns once all earlier commits of a record are as durable as [`Durability::Durable`] demands. An engine whose
    /// commits always are has nothing to wait for.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn settle(&self, _key: &RecordKey) -> Result<(), StoreError> {
        Ok(())
    }

    /// Lists at most `limit` due records among those that this process looks after. Each record is looked after by
    /// one of all processes, except for a short time when processes start or stop.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn due(&self, limit: usize) -> Result<Due, StoreError>;

    /// Reads the beginnings of all records, page by page, about `limit` in each. A record that is there during the
    /// whole scan is seen at least once; one that comes, goes or moves meanwhile may be missed or seen twice.
    ///
    /// # Errors
    /// [`StoreError`]; then the scan must begin again.
    async fn scan(&self, from: &ScanCursor, limit: usize) -> Result<ScanPage, StoreError>;

    /// Draws from several quotas: from all of them, or from none if one has too little. Where quotas are on several
    /// machines, the draws are made in their order, and those before a refused one stay made.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn draw(&self, draws: &[Draw]) -> Result<Drawn, StoreError>;

    /// Gives back to several quotas what was drawn too much. A bucket that is more than full may be forgotten after a
    /// day, as if it were full: no rule depends on what it holds beyond.
    ///
    /// # Errors
    /// [`StoreError`]; then some of it may be given back.
    async fn give_back(&self, returns: &[Return]) -> Result<(), StoreError>;

    /// Watches a record from now on.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn watch(&self, key: &RecordKey) -> Result<News, StoreError>;

    /// Appends an event of a record without changing the record. It need not be durable when this returns.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn append(&self, key: &RecordKey, event: SealedEvent) -> Result<(), StoreError>;

    /// The number of shards that hold events, each with an order of its own.
    fn shards(&self) -> u16 {
        1
    }

    /// Reads at most `limit` events of a shard after a cursor (0 for the first), in order.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn events(
        &self,
        shard: u16,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError>;

    /// Deletes the events that were written before `end`; returns how many.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn trim_events(&self, end: Timestamp) -> Result<u64, StoreError>;

    /// Tells whether the store serves. Costs little: a store that answers calls need not be asked.
    ///
    /// # Errors
    /// [`StoreError`] says why not.
    async fn ready(&self) -> Result<(), StoreError> {
        self.due(0).await.map(drop)
    }

    /// The degraded conditions that the store knows of. Costs nothing.
    fn complaints(&self) -> Vec<Complaint> {
        Vec::new()
    }
}

//! The store: opaque sealed records, an index of what is due, quotas, events, and news of changes.

pub mod url;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::domain::{
    decide::Durability,
    ids::SubjectKey,
    limit::rate::Rate,
    time::{Generation, Timestamp},
};

/// The compare token of a stored blob: the random nonce of its seal.
pub type Token = [u8; 12];

/// A sealed record. The store moves it and never looks inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Tells this blob from every other.
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
    /// When the store forgot what it held, if it did so lately: records that seem new may not be.
    pub forgot_at: Option<Timestamp>,
}

/// What becomes of the record.
#[derive(Clone, Debug)]
pub enum Write {
    /// It is replaced.
    Put {
        /// The new record.
        blob: Blob,
        /// When it next wants attention; replaces the earlier entry of the due index.
        wake_at: Option<Timestamp>,
        /// Until when it must be kept, if not for ever. Past it a store may drop the record, or not: no rule rests on it.
        keep_until: Option<Timestamp>,
    },
    /// It goes, and its due entry with it.
    Delete,
}

/// A sealed event.
pub type SealedEvent = Vec<u8>;

/// One change, all or nothing.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Whose record.
    pub key: SubjectKey,
    /// The token of the blob that was loaded, or `None` if there was none.
    pub expect: Option<Token>,
    /// The generation of the load.
    pub generation: Generation,
    /// What becomes of the record.
    pub write: Write,
    /// Events to append, in this order.
    pub events: Vec<SealedEvent>,
    /// How surely it must last.
    pub durability: Durability,
}

/// What became of a commit.
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
    pub keys: Vec<SubjectKey>,
    /// When the first of the others is due, as far as is known.
    pub next: Option<Timestamp>,
}

/// One draw from a quota.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Names the bucket: a keyed hash of what is limited.
    pub bucket: [u8; 16],
    /// How much it gives.
    pub rate: Rate,
    /// How many are wanted; as many are taken as there are, up to so many.
    pub want: u32,
    /// Fewer are none; at least one.
    pub least: u32,
    /// What becomes of all draws if there are fewer.
    pub short: Short,
}

/// What becomes of all draws if one bucket has fewer than the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// None of them is made.
    Refuse,
    /// The others are made as if this one were not there; of it none is taken.
    Skip,
}

impl Draw {
    /// One from a bucket.
    #[must_use]
    pub const fn one(bucket: [u8; 16], rate: Rate) -> Self {
        Self::some(bucket, rate, 1)
    }

    /// Up to so many from a bucket.
    #[must_use]
    pub const fn some(bucket: [u8; 16], rate: Rate, want: u32) -> Self {
        Self {
            bucket,
            rate,
            want,
            least: 1,
            short: Short::Refuse,
        }
    }

    /// So many from a bucket, or none.
    #[must_use]
    pub const fn whole(bucket: [u8; 16], rate: Rate, count: u32) -> Self {
        Self {
            least: count,
            ..Self::some(bucket, rate, count)
        }
    }
}

/// What is given back to a bucket.
#[derive(Clone, Copy, Debug)]
pub struct Return {
    /// Names the bucket.
    pub bucket: [u8; 16],
    /// How much it gives.
    pub rate: Rate,
    /// How many are given back.
    pub count: u32,
    /// How many more than full the bucket may hold by it.
    pub reserve: u32,
}

/// What came of several draws.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Drawn {
    /// From each so many were taken: none where that skips a draw, else at least its least and at most as many as wanted.
    Taken(Vec<u32>),
    /// One has fewer left than its least.
    Refused {
        /// Which, by its place; the first such.
        place: usize,
        /// When it will have them.
        retry_after: Duration,
    },
}

/// An event as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the order of the events of its shard; greater than that of every event before it.
    pub cursor: u64,
    /// Whose record it belongs to.
    pub key: SubjectKey,
    /// When it was written, by the store's clock.
    pub at: Timestamp,
    /// The sealed event.
    pub sealed: SealedEvent,
}

/// News that a record may have changed. The value has no meaning; a reader loads the record.
pub type News = watch::Receiver<u64>;

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It did not answer, or answered that it cannot. Whether a commit happened is not known.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// It has no room.
    #[error("the store is full")]
    Full,
    /// The change is written and stays, but on fewer machines than it must be before anybody hears of it.
    #[error("the change is not replicated")]
    NotReplicated,
}

/// What is not as it should be while the store still works, as words for machines and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// A word, such as `clock_skew`.
    pub word: &'static str,
    /// What is wrong, and what to do.
    pub text: String,
}

/// Keeps records. All engines pass one contract suite.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads a record, with the generation and the time of the store that gave it.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is known.
    async fn load(&self, key: &SubjectKey) -> Result<Loaded, StoreError>;

    /// Writes one change if the record is still the one that was loaded, or nothing. Once it says
    /// [`Committed::Done`], the change outlives the process (in a store that outlives it at all).
    ///
    /// # Errors
    /// [`StoreError`]; then it may or may not have happened, and a load tells.
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError>;

    /// Returns once all earlier commits of a record last as surely as [`Durability::Durable`] asks. An engine whose
    /// commits always do has nothing to wait for.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn settle(&self, _key: &SubjectKey) -> Result<(), StoreError> {
        Ok(())
    }

    /// Says which records are due among those that this process looks after, at most `limit`. Over all processes
    /// every record is looked after, by one of them but for short times.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn due(&self, limit: usize) -> Result<Due, StoreError>;

    /// Draws from several quotas: from all of them, or from none if one has none left. Where quotas lie on several
    /// machines the draws are made in their order, and those before a refused one stay made.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn draw(&self, draws: &[Draw]) -> Result<Drawn, StoreError>;

    /// Gives back to several quotas what was drawn too much. One that has more than it gives at once may be forgotten after
    /// a day, as if it were full: no rule rests on what it has beyond.
    ///
    /// # Errors
    /// [`StoreError`]; then some of it may be given back.
    async fn give_back(&self, returns: &[Return]) -> Result<(), StoreError>;

    /// Watches a record from now on.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn watch(&self, key: &SubjectKey) -> Result<News, StoreError>;

    /// Appends an event that comes with no change of its record. It need not be durable when this returns.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn append(&self, key: &SubjectKey, event: SealedEvent) -> Result<(), StoreError>;

    /// How many shards the events lie in, each with an order of its own.
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

    /// Drops the events that were written before `end`; says how many.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn trim_events(&self, end: Timestamp) -> Result<u64, StoreError>;

    /// Does the store serve? Costs little; a store that answers calls itself need not be asked.
    ///
    /// # Errors
    /// [`StoreError`] says why not.
    async fn ready(&self) -> Result<(), StoreError> {
        self.due(0).await.map(drop)
    }

    /// What is not as it should be. Costs nothing: the store knows it already.
    fn complaints(&self) -> Vec<Complaint> {
        Vec::new()
    }
}

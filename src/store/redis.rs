//! The store on Redis: one server, a master monitored by sentinels, or a cluster; for any number of processes.
//!
//! A record is a string: its compare token, then the sealed bytes. In the same slot are the due index of its shard (a
//! sorted set of record keys by microsecond), the shard's events (a stream), and its epoch. Quotas are strings in
//! slots of their own. `commit.lua` is the only script that changes a record; it compares and writes, all or nothing
//! whichever of its commands fails, and contains no policy.
//!
//! Every call goes over a connection whose server's generation is known (`identity`, `node`). A commit goes only over
//! a connection of the generation of its load: after a failover it is a conflict, and the next decision sees the new
//! generation. A failover may lose commits, but nothing is approved a second time on what is left, because
//! verifications of another generation are ended.

mod connection;
mod due;
mod events;
#[cfg(test)]
mod golden;
mod keys;
mod news;
mod quotas;
mod record;
mod scan;
mod upkeep;

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::DropGuard;

use self::{
    connection::{node::Common, topology::Topology},
    due::Looks,
    keys::Keys,
    news::Hub,
    upkeep::share::Share,
};
use super::bounds::{check_commit, check_event};
use crate::{
    domain::{record::key::RecordKey, time::Timestamp},
    ports::{
        store::{
            Commit, Committed, Complaint, Draw, Drawn, Due, Loaded, News, Retention, Return,
            ScanCursor, ScanPage, SealedEvent, Store, StoreError, StoredEvent, Token, Trimmed,
        },
        system::Clock,
    },
};

pub use connection::settings::{Certificates, Login, RedisSettings};
pub use upkeep::open::{FirstUse, RedisMachine, RedisOpenError};

/// The store on Redis. Dropping it ends its connections.
pub struct Redis {
    core: Arc<Core>,
    /// Ends the background tasks when the store is dropped.
    stop: DropGuard,
}

/// The state shared by calls and background tasks.
struct Core {
    common: Arc<Common>,
    topology: Arc<Topology>,
    keys: Keys,
    looks: Looks,
    share: Share,
    hub: Hub,
    test_clock: Option<Arc<dyn Clock>>,
}

impl Core {
    /// In tests, the time that replaces the servers' clocks; otherwise `None`.
    fn test_now(&self) -> Option<Timestamp> {
        self.test_clock.as_ref().map(|clock| clock.now())
    }

    /// That time in microseconds as a script argument; empty for the server's clock.
    fn test_clock_arg(&self) -> String {
        self.test_now()
            .map_or_else(String::new, |now| now.as_micros().to_string())
    }

    /// Fails while a server may evict keys: without its failure counts no verdict is safe.
    fn open(&self) -> Result<(), StoreError> {
        self.common
            .health
            .refusal()
            .map_or(Ok(()), |why| Err(StoreError::Unavailable(why)))
    }
}

#[async_trait]
impl Store for Redis {
    async fn load(&self, key: &RecordKey) -> Result<Loaded, StoreError> {
        self.core.open()?;
        self.core.load_record(key).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        check_commit(&commit)?;
        self.core.open()?;
        self.core.commit_record(commit).await
    }

    async fn postpone(
        &self,
        key: &RecordKey,
        expect: Option<Token>,
        until: Timestamp,
    ) -> Result<Committed, StoreError> {
        self.core.open()?;
        self.core.postpone_record(key, expect, until).await
    }

    async fn await_durable(&self, key: &RecordKey) -> Result<(), StoreError> {
        self.core.await_durable(key).await
    }

    async fn due(&self, limit: usize) -> Result<Due, StoreError> {
        self.core.due_now(limit).await
    }

    async fn scan(&self, from: &ScanCursor, limit: usize) -> Result<ScanPage, StoreError> {
        self.core.scan_page(from, limit).await
    }

    async fn draw(&self, draws: &[Draw]) -> Result<Drawn, StoreError> {
        self.core.open()?;
        self.core.draw_all(draws).await
    }

    async fn give_back(&self, returns: &[Return]) -> Result<(), StoreError> {
        self.core.open()?;
        self.core.give_back_all(returns).await
    }

    async fn watch(&self, key: &RecordKey) -> Result<News, StoreError> {
        self.core.watch_record(key).await
    }

    async fn append(&self, key: &RecordKey, event: SealedEvent) -> Result<(), StoreError> {
        check_event(&event)?;
        self.core.append_event(key, &event).await
    }

    fn shards(&self) -> u16 {
        self.core.keys.shards()
    }

    fn shard_of(&self, key: &RecordKey) -> u16 {
        self.core.keys.shard(key)
    }

    async fn events(
        &self,
        shard: u16,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.core.read_events(shard, after, limit).await
    }

    async fn cursor_before(&self, _shard: u16, at: Timestamp) -> Result<u64, StoreError> {
        Ok(events::cursor_before(at))
    }

    async fn trim_events(&self, keep: Retention) -> Result<Trimmed, StoreError> {
        self.core.trim_own_events(keep).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.core.open()?;
        let why = self.core.topology.down();
        why.or_else(|| self.core.common.health.unfit())
            .map_or(Ok(()), |why| Err(StoreError::Unavailable(why)))
    }

    fn complaints(&self) -> Vec<Complaint> {
        self.core.common.health.complaints()
    }
}

#[cfg(test)]
mod tests;

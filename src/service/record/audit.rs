//! Reads the audit trail back.

use super::{Records, vault::Line};
use crate::{
    domain::time::{Timestamp, micros},
    service::{Service, failure::Failure},
};

/// An event as read: its place, and its line, if its subject's record is still there to open it with.
pub type AuditLine = (u64, Option<Line>);

impl Records {
    async fn audit(&self, shard: u16, after: u64, limit: usize) -> Result<Vec<AuditLine>, Failure> {
        let mut lines = Vec::new();
        for event in self.store.events(shard, after, limit).await? {
            let loaded = self.load(&event.key).await?;
            // A refusal may be older than the record that came after it.
            let line = self
                .vault
                .open_event(&event.key, loaded.salt.as_ref(), &event.sealed);
            let line = line.or_else(|_| self.vault.open_event(&event.key, None, &event.sealed));
            lines.push((event.cursor, line.ok()));
        }
        Ok(lines)
    }

    fn shards(&self) -> u16 {
        self.store.shards()
    }

    async fn trim_events(&self) -> Result<u64, Failure> {
        let kept = micros(self.policy.subject.event_retention);
        let end = self.clock.now().as_micros().saturating_sub(kept);
        Ok(self.store.trim_events(Timestamp::from_micros(end)).await?)
    }
}

impl Service {
    /// The number of shards that the events lie in.
    #[must_use]
    pub fn audit_shards(&self) -> u16 {
        self.records.shards()
    }

    /// At most `limit` events of a shard after a cursor (0 for the first), in order. The events of an erased subject stay
    /// closed.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn audit(
        &self,
        shard: u16,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditLine>, Failure> {
        self.records.audit(shard, after, limit).await
    }

    /// Drops events that are older than the settings keep them; gives their number.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn trim_events(&self) -> Result<u64, Failure> {
        self.records.trim_events().await
    }
}

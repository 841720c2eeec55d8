//! Reads the audit trail back.

use super::{Records, vault::Line};
use crate::{
    domain::{
        ids::SubjectKey,
        time::{Timestamp, micros},
    },
    ports::store::SealedEvent,
    service::{Service, failure::Failure},
};

/// An event as read: its place, and its line, if its subject's record is still there to open it with.
pub type AuditLine = (u64, Option<Line>);

impl Records {
    async fn audit(&self, shard: u16, after: u64, limit: usize) -> Result<Vec<AuditLine>, Failure> {
        let mut lines = Vec::new();
        for event in self.store.events(shard, after, limit).await? {
            let line = match event.key.as_subject() {
                Some(subject) => self.audit_line(&subject, &event.sealed).await?,
                // No version so far writes events of other records.
                None => None,
            };
            lines.push((event.cursor, line));
        }
        Ok(lines)
    }

    async fn audit_line(
        &self,
        subject: &SubjectKey,
        sealed: &SealedEvent,
    ) -> Result<Option<Line>, Failure> {
        let loaded = match self.load(subject).await {
            Ok(loaded) => loaded,
            // Its events are closed with it.
            Err(Failure::RecordUnreadable(_)) => return Ok(None),
            Err(other) => return Err(other),
        };
        // A refusal may be older than the record that came after it.
        let line = self.vault.open_event(subject, loaded.salt.as_ref(), sealed);
        let line = line.or_else(|_| self.vault.open_event(subject, None, sealed));
        Ok(line.ok())
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

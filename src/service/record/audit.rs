//! Reads the audit trail.

use super::{Records, vault::Line};
use crate::{
    domain::{
        ids::SubjectKey,
        time::{Timestamp, micros},
    },
    ports::store::SealedEvent,
    service::{Service, failure::Failure},
};

/// An event as read: its cursor, and its content; `None` if the subject's record is gone, because its salt is needed
/// to open the event.
pub type AuditLine = (u64, Option<Line>);

impl Records {
    async fn audit(&self, shard: u16, after: u64, limit: usize) -> Result<Vec<AuditLine>, Failure> {
        let mut lines = Vec::new();
        for event in self.store.events(shard, after, limit).await? {
            let line = match event.key.as_subject() {
                Some(subject) => self.audit_line(&subject, &event.sealed).await?,
                // No version so far writes events for other kinds of records.
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
            // The salt for its events is in the record, so they cannot be opened either.
            Err(Failure::RecordUnreadable(_)) => return Ok(None),
            Err(other) => return Err(other),
        };
        // A refusal that was written before the record existed is sealed without its salt.
        let line = self.vault.open_event(subject, loaded.salt.as_ref(), sealed);
        let line = line.or_else(|_| self.vault.open_event(subject, None, sealed));
        Ok(line.ok())
    }

    fn shards(&self) -> u16 {
        self.store.shards()
    }

    /// Goes by the earlier of the two clocks, and deletes nothing while ours is in doubt: what a wrong time deletes
    /// is gone for good.
    async fn trim_events(&self) -> Result<u64, Failure> {
        let doubts = self.clock.complaints();
        if let Some(doubt) = doubts.first() {
            tracing::warn!(
                why = doubt.text,
                "old events kept while the clock is in doubt"
            );
            return Ok(0);
        }
        // The record need not exist: every load tells the time of the store.
        let store_now = self.store.load(&SubjectKey([0; 16]).into()).await?.now;
        let kept = micros(self.policy.subject.event_retention);
        let now = self.clock.now().min(store_now);
        let end = Timestamp::from_micros(now.as_micros().saturating_sub(kept));
        Ok(self.store.trim_events(end).await?)
    }
}

impl Service {
    /// The number of shards into which the events are divided.
    #[must_use]
    pub fn audit_shards(&self) -> u16 {
        self.records.shards()
    }

    /// At most `limit` events of a shard after a cursor (0: from the first), in order. The events of an erased
    /// subject can no longer be opened.
    ///
    /// # Errors
    /// [`Failure`] if the store did not answer.
    pub async fn audit(
        &self,
        shard: u16,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditLine>, Failure> {
        self.records.audit(shard, after, limit).await
    }

    /// Deletes events older than the retention in the settings; returns how many.
    ///
    /// # Errors
    /// [`Failure`] if the store did not answer; some events may be deleted.
    pub async fn trim_events(&self) -> Result<u64, Failure> {
        self.records.trim_events().await
    }
}

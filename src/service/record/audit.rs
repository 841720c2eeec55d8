//! Reads the audit trail back.

use super::vault::Line;
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

impl Service {
    /// How many shards the events lie in.
    #[must_use]
    pub fn audit_shards(&self) -> u16 {
        self.parts.store.shards()
    }

    /// At most `limit` events of a shard after a cursor (0 for the first), in order. The events of an erased subject stay closed.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn audit(
        &self,
        shard: u16,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditLine>, Failure> {
        let mut lines = Vec::new();
        for event in self.parts.store.events(shard, after, limit).await? {
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
        let salt = loaded.record.map(|record| record.event_salt);
        // A refusal may be older than the record that came after it.
        let line = self.vault.open_event(subject, salt.as_ref(), sealed);
        let line = line.or_else(|_| self.vault.open_event(subject, None, sealed));
        Ok(line.ok())
    }

    /// Drops events that are older than the settings keep them.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn trim_events(&self) -> Result<u64, Failure> {
        let kept = self.parts.policy.subject.event_retention;
        let end = Timestamp::from_micros(
            self.parts
                .clock
                .now()
                .as_micros()
                .saturating_sub(micros(kept)),
        );
        Ok(self.parts.store.trim_events(end).await?)
    }
}

//! Reads the audit trail.

use super::{Records, vault::Line};
use crate::{
    domain::ids::SubjectKey,
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
        Ok(self.open_line(subject, loaded.salt.as_ref(), sealed))
    }

    /// Opens an event with the salt of its record; `None` if it cannot be opened.
    pub(super) fn open_line(
        &self,
        subject: &SubjectKey,
        salt: Option<&[u8; 16]>,
        sealed: &SealedEvent,
    ) -> Option<Line> {
        // A refusal that was written before the record existed is sealed without its salt.
        let line = self.vault.open_event(subject, salt, sealed);
        let line = line.or_else(|_| self.vault.open_event(subject, None, sealed));
        line.ok()
    }

    fn shards(&self) -> u16 {
        self.store.shards()
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
}

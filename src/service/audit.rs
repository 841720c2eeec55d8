//! Reads the audit trail back.

use super::{Service, failure::Failure, vault::Line};

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
    pub async fn audit(&self, shard: u16, after: u64, limit: usize) -> Result<Vec<AuditLine>, Failure> {
        let mut lines = Vec::new();
        for event in self.parts.store.events(shard, after, limit).await? {
            let loaded = self.load(&event.key).await?;
            let salt = loaded.record.map(|record| record.event_salt);
            // A refusal may be older than the record that came after it.
            let line = self.vault.open_event(&event.key, salt.as_ref(), &event.sealed);
            let line = line.or_else(|_| self.vault.open_event(&event.key, None, &event.sealed));
            lines.push((event.cursor, line.ok()));
        }
        Ok(lines)
    }
}

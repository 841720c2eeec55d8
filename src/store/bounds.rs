//! Limits that every store engine enforces: sizes per change, and steps of long work.

use crate::ports::store::{Commit, SealedEvent, StoreError, Write};

/// The largest sealed record: 64 KiB (STORE-19).
pub const RECORD_BYTES_MAX: usize = 64 * 1024;

/// The largest sealed event: 16 KiB.
pub const EVENT_BYTES_MAX: usize = 16 * 1024;

/// The largest number of events in one change: all verifications of a record can end at once, each with a few events.
pub const EVENTS_PER_COMMIT_MAX: usize = 128;

/// The largest number of entries that an embedded store deletes in one step. Other writes can run between two steps.
pub const TRIM_STEP: usize = 10_000;

/// Refuses a change that exceeds a limit, before anything is written.
///
/// # Errors
/// [`StoreError::Full`] if the record, an event or the number of events is too large.
pub fn check_commit(commit: &Commit) -> Result<(), StoreError> {
    let record_bytes = match &commit.write {
        Write::Put { blob, .. } => blob.bytes.len(),
        Write::Delete => 0,
    };
    if record_bytes > RECORD_BYTES_MAX || commit.events.len() > EVENTS_PER_COMMIT_MAX {
        return Err(StoreError::Full);
    }
    commit.events.iter().try_for_each(check_event)
}

/// Refuses an event that exceeds its limit.
///
/// # Errors
/// [`StoreError::Full`] if it is larger than [`EVENT_BYTES_MAX`].
pub fn check_event(event: &SealedEvent) -> Result<(), StoreError> {
    if event.len() > EVENT_BYTES_MAX {
        Err(StoreError::Full)
    } else {
        Ok(())
    }
}

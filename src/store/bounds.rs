//! How much any store takes in one change, and how much it keeps.

use crate::ports::store::{Commit, SealedEvent, StoreError, Write};

/// The largest sealed record: 64 KiB (STORE-19).
pub const RECORD_BYTES_MAX: usize = 64 * 1024;

/// The largest sealed event.
pub const EVENT_BYTES_MAX: usize = 16 * 1024;

/// How many events one change may bring: a record's verifications can all end at once, each with a few events.
pub const EVENTS_PER_COMMIT_MAX: usize = 128;

/// How many events are kept; beyond it the oldest go, counted as lost.
pub const EVENTS_MAX: u64 = 1_000_000;

/// How many events are dropped while others wait: trimming many takes many small steps.
pub const TRIM_STEP: usize = 10_000;

/// Counts events that went before anybody trimmed them.
pub(super) const EVENTS_LOST: &str = "countersign_events_lost_total";

/// Refuses a change that is larger than a store has room for, before anything is written.
///
/// # Errors
/// [`StoreError::Full`].
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

/// Refuses an event that is larger than a store has room for.
///
/// # Errors
/// [`StoreError::Full`].
pub fn check_event(event: &SealedEvent) -> Result<(), StoreError> {
    if event.len() > EVENT_BYTES_MAX {
        Err(StoreError::Full)
    } else {
        Ok(())
    }
}

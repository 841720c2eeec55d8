//! Sixteen locks instead of one, so that calls for different keys seldom wait for each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 16;

/// A value per shard of the keys; each key belongs to one.
#[derive(Debug, Default)]
pub(super) struct Shards<T>([Mutex<T>; SHARDS]);

impl<T> Shards<T> {
    /// How many there are.
    pub(super) const COUNT: usize = SHARDS;

    /// Locks the shard of a key. Keys are keyed hashes, so any byte of them spreads evenly.
    pub(super) fn lock(&self, key: &[u8; 16]) -> MutexGuard<'_, T> {
        lock(&self.0[usize::from(key[0]) % SHARDS])
    }

    /// Locks one shard after the other.
    pub(super) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.0.iter().map(lock)
    }
}

/// Locks. Nothing under the locks of these engines panics between two writes, so a poisoned value is whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

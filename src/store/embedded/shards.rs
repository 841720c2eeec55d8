//! Sixteen locks instead of one, so that calls for different keys rarely wait for each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 16;

/// One value per shard, each with its lock; every key belongs to one shard.
#[derive(Debug, Default)]
pub(super) struct Shards<T>([Mutex<T>; SHARDS]);

impl<T> Shards<T> {
    /// The number of shards; limits on all keys are divided by it.
    pub(super) const COUNT: usize = SHARDS;

    /// Locks the shard of a key. Keys are keyed hashes, so any byte of them is evenly distributed.
    pub(super) fn lock(&self, key: &[u8; 16]) -> MutexGuard<'_, T> {
        lock(&self.0[usize::from(key[0]) % SHARDS])
    }

    /// Locks the shards of several keys, always in the same order, so that two callers cannot deadlock.
    pub(super) fn lock_all<'a>(&self, keys: impl Iterator<Item = &'a [u8; 16]>) -> Locked<'_, T> {
        let mut wanted = [false; SHARDS];
        keys.for_each(|key| wanted[usize::from(key[0]) % SHARDS] = true);
        let mut locked = [const { None }; SHARDS];
        for (at, mutex) in self.0.iter().enumerate().filter(|(at, _)| wanted[*at]) {
            locked[at] = Some(lock(mutex));
        }
        Locked(locked)
    }

    /// Locks one shard after the other; never two at once.
    pub(super) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.0.iter().map(lock)
    }
}

/// The locked shards of several keys.
pub(super) struct Locked<'a, T>([Option<MutexGuard<'a, T>>; SHARDS]);

impl<T> Locked<'_, T> {
    /// The shard of one of the keys that were locked.
    pub(super) fn of(&mut self, key: &[u8; 16]) -> &mut T {
        self.0[usize::from(key[0]) % SHARDS]
            .as_mut()
            .expect("the shard of this key was locked with the others")
    }
}

/// Locks a mutex. No code under these locks panics between two writes, so a poisoned value is still consistent.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

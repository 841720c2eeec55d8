//! The watchers of each record within one process.

use std::collections::HashMap;

use tokio::sync::watch;

use super::shards::Shards;
use crate::{domain::record::key::RecordKey, ports::store::News};

/// Smaller shards are not pruned.
const PRUNE_FROM: usize = 64;

#[derive(Debug, Default)]
struct Shard {
    senders: HashMap<RecordKey, watch::Sender<u64>>,
    /// The number of entries left by the last pruning.
    left: usize,
}

/// The watchers of all records. The number of entries is at most about twice the number of watched records.
#[derive(Debug, Default)]
pub(super) struct Watchers(Shards<Shard>);

impl Watchers {
    /// Subscribes to changes of a record made after this call.
    pub(super) fn watch(&self, key: &RecordKey) -> News {
        let mut shard = self.0.lock(&key.hash);
        if shard.senders.len() >= PRUNE_FROM.max(2 * shard.left) {
            shard
                .senders
                .retain(|_, sender| sender.receiver_count() > 0);
            shard.left = shard.senders.len();
        }
        shard
            .senders
            .entry(*key)
            .or_insert_with(|| watch::Sender::new(0))
            .subscribe()
    }

    /// Notifies the watchers of a record that it changed.
    pub(super) fn notify(&self, key: &RecordKey) {
        let mut shard = self.0.lock(&key.hash);
        let Some(sender) = shard.senders.get(key) else {
            return;
        };
        if sender.receiver_count() == 0 {
            shard.senders.remove(key);
        } else {
            sender.send_modify(|news| *news = news.wrapping_add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::SubjectKey;

    fn key(n: u8) -> RecordKey {
        let mut hash = [0; 16];
        hash[15] = n;
        SubjectKey(hash).into()
    }

    #[test]
    fn a_record_that_nobody_watches_any_more_is_forgotten_when_it_changes() {
        let watchers = Watchers::default();
        let news = watchers.watch(&key(1));
        watchers.notify(&key(1));
        assert!(news.has_changed().unwrap());
        drop(news);
        watchers.notify(&key(1));
        assert!(watchers.0.lock(&key(1).hash).senders.is_empty());
    }

    #[test]
    fn records_that_never_change_are_forgotten_when_others_are_watched() {
        let watchers = Watchers::default();
        let kept = watchers.watch(&key(255));
        for n in 0..200 {
            drop(watchers.watch(&key(n)));
        }
        assert!(watchers.0.lock(&key(0).hash).senders.len() <= PRUNE_FROM);
        watchers.notify(&key(255));
        assert!(kept.has_changed().unwrap(), "a live watch survives");
    }
}

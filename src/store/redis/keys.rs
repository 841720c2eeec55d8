//! The names of all keys. What comes from a person is in none of them: records and quotas are named by keyed hashes.

use std::{borrow::Cow, sync::Arc};

use crate::domain::ids::SubjectKey;

/// Slots of a Redis Cluster.
pub(super) const SLOTS: u16 = 16_384;

/// Quotas are spread over so many slots of their own.
const QUOTA_TAGS: u16 = 64;

/// Makes names below one prefix. `{...}` is the hash tag: names with equal tags lie in one slot of a cluster.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
    /// What the names of each shard begin with.
    shards: Arc<[Box<[u8]>]>,
}

impl Keys {
    pub(super) fn new(prefix: &str, shards: u16) -> Self {
        let prefix = format!("{prefix}:v1:");
        let shards = (0..shards)
            .map(|shard| beginning(&prefix, shard).into_boxed_slice())
            .collect();
        Self { prefix, shards }
    }

    pub(super) fn shards(&self) -> u16 {
        u16::try_from(self.shards.len()).unwrap_or(u16::MAX)
    }

    /// The shard of a record. Keys are keyed hashes, so any two bytes of them spread evenly.
    pub(super) fn shard(&self, key: &SubjectKey) -> u16 {
        u16::from_be_bytes([key.0[0], key.0[1]]) % self.shards()
    }

    fn beginning(&self, shard: u16) -> Cow<'_, [u8]> {
        match self.shards.get(usize::from(shard)) {
            Some(known) => Cow::Borrowed(known),
            None => Cow::Owned(beginning(&self.prefix, shard)),
        }
    }

    fn in_shard(&self, shard: u16, rest: &str) -> Vec<u8> {
        [&self.beginning(shard), rest.as_bytes()].concat()
    }

    fn of_record(&self, key: &SubjectKey, kind: &str) -> Vec<u8> {
        [&self.beginning(self.shard(key)), kind.as_bytes(), &key.0].concat()
    }

    /// The sealed record.
    pub(super) fn record(&self, key: &SubjectKey) -> Vec<u8> {
        self.of_record(key, "r:")
    }

    /// The channel that tells of changes of the record.
    pub(super) fn news(&self, key: &SubjectKey) -> Vec<u8> {
        self.of_record(key, "n:")
    }

    /// The record that a channel tells of.
    pub(super) fn of_news(&self, channel: &[u8]) -> Option<SubjectKey> {
        let key = SubjectKey(*channel.last_chunk()?);
        (self.news(&key) == channel).then_some(key)
    }

    /// When the records of a shard want attention.
    pub(super) fn due(&self, shard: u16) -> Vec<u8> {
        self.in_shard(shard, "due")
    }

    /// The events of a shard.
    pub(super) fn events(&self, shard: u16) -> Vec<u8> {
        self.in_shard(shard, "events")
    }

    /// Written by nobody who has something to say: what follows a commit on the way to the replicas.
    pub(super) fn mark(&self, shard: u16) -> Vec<u8> {
        self.in_shard(shard, "mark")
    }

    /// Shows that a shard still holds what was put there.
    pub(super) fn epoch(&self, shard: u16) -> Vec<u8> {
        self.in_shard(shard, "epoch")
    }

    /// What the preflight tries its rights on.
    pub(super) fn probe(&self, shard: u16, kind: &str) -> Vec<u8> {
        self.in_shard(shard, &format!("probe:{kind}"))
    }

    /// A quota's tag.
    pub(super) fn quota_tag(bucket: &[u8; 16]) -> u16 {
        u16::from(bucket[0]) % QUOTA_TAGS
    }

    /// A quota.
    pub(super) fn quota(&self, bucket: &[u8; 16]) -> Vec<u8> {
        let mut name = format!("{}{{q{}}}:", self.prefix, Self::quota_tag(bucket)).into_bytes();
        name.extend_from_slice(bucket);
        name
    }

    /// The processes that serve this store.
    pub(super) fn processes(&self) -> Vec<u8> {
        format!("{}{{all}}:processes", self.prefix).into_bytes()
    }

    /// The number of shards, written once.
    pub(super) fn shard_count(&self) -> Vec<u8> {
        format!("{}{{all}}:shards", self.prefix).into_bytes()
    }
}

fn beginning(prefix: &str, shard: u16) -> Vec<u8> {
    format!("{prefix}{{s{shard}}}:").into_bytes()
}

/// The slot of a name, by its hash tag.
pub(super) fn slot(name: &[u8]) -> u16 {
    let tag = name.iter().position(|byte| *byte == b'{').and_then(|open| {
        let inner = &name[open + 1..];
        let close = inner.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &inner[..close])
    });
    crc16::State::<crc16::XMODEM>::calculate(tag.unwrap_or(name)) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_04_all_names_of_a_shard_lie_in_one_slot() {
        let keys = Keys::new("cs", 64);
        let key = SubjectKey([b'}'; 16]);
        let shard = keys.shard(&key);
        let names = [
            keys.record(&key),
            keys.news(&key),
            keys.due(shard),
            keys.events(shard),
            keys.epoch(shard),
        ];
        assert!(names.iter().all(|name| slot(name) == slot(&names[0])));
        let bucket = [b'{'; 16];
        assert_eq!(
            slot(&keys.quota(&bucket)),
            slot(format!("{{q{}}}", Keys::quota_tag(&bucket)).as_bytes())
        );
    }

    #[test]
    fn slots_are_those_of_redis() {
        // From the cluster specification and `CLUSTER KEYSLOT`.
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(
            slot(b"foo{}{bar}"),
            crc16::State::<crc16::XMODEM>::calculate(b"foo{}{bar}") % SLOTS
        );
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
    }

    #[test]
    fn news_find_their_record() {
        let keys = Keys::new("cs", 64);
        let key = SubjectKey([7; 16]);
        assert_eq!(keys.of_news(&keys.news(&key)), Some(key));
        assert_eq!(keys.of_news(&keys.record(&key)), None);
        assert_eq!(keys.of_news(b"short"), None);
    }
}

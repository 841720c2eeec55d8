//! The names of all keys. They contain no personal data: records and quotas are named by keyed hashes.

use std::{borrow::Cow, sync::Arc};

use crate::domain::record::key::{RECORD_KEY_BYTES, RecordKey, RecordKind};

/// The number of slots of a Redis Cluster.
pub(super) const SLOTS: u16 = 16_384;

/// The number of slots over which quotas are spread.
const QUOTA_TAGS: u16 = 64;

/// Makes key names under one prefix. `{...}` is the hash tag: names with equal tags are in one slot of a cluster.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
    /// The start of all names of each shard, built once.
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

    /// The shard of a record. Keys are keyed hashes, so any two bytes of them are evenly distributed.
    pub(super) fn shard(&self, key: &RecordKey) -> u16 {
        u16::from_be_bytes([key.hash[0], key.hash[1]]) % self.shards()
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

    /// The string with the record's compare token and sealed bytes.
    pub(super) fn record(&self, key: &RecordKey) -> Vec<u8> {
        let letter = [key.kind.letter(), b':'];
        [&self.beginning(self.shard(key)), &letter[..], &key.hash].concat()
    }

    /// The record for a key name; `None` if it is not the name of a record.
    pub(super) fn read_record(&self, name: &[u8]) -> Option<RecordKey> {
        let (rest, hash) = name.split_last_chunk::<16>()?;
        let [.., letter, b':'] = rest else {
            return None;
        };
        let key = RecordKey {
            kind: RecordKind::from_letter(*letter),
            hash: *hash,
        };
        (self.record(&key) == name).then_some(key)
    }

    /// A `MATCH` pattern that fits the names of all records and few other names.
    pub(super) fn record_pattern(&self) -> Vec<u8> {
        let mut pattern = Vec::new();
        for byte in self.prefix.bytes() {
            if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\') {
                pattern.push(b'\\');
            }
            pattern.push(byte);
        }
        pattern.extend_from_slice(b"{s*}:?:*");
        pattern
    }

    /// The channel for news of changes of a record.
    pub(super) fn news(&self, key: &RecordKey) -> Vec<u8> {
        let beginning = self.beginning(self.shard(key));
        [&beginning, &b"n:"[..], short(&key.to_bytes())].concat()
    }

    /// The record for a news channel; `None` if it is not one of ours.
    pub(super) fn of_news(&self, channel: &[u8]) -> Option<RecordKey> {
        let lengths = [RECORD_KEY_BYTES, RECORD_KEY_BYTES - 1];
        let mut keys = lengths.into_iter().filter_map(|length| {
            let (_, key) = channel.split_at_checked(channel.len().checked_sub(length)?)?;
            read_short(key)
        });
        keys.find(|key| self.news(key) == channel)
    }

    /// The sorted set with the due times of a shard's records.
    pub(super) fn due(&self, shard: u16) -> Vec<u8> {
        self.in_shard(shard, "due")
    }

    /// The stream with the events of a shard.
    pub(super) fn events(&self, shard: u16) -> Vec<u8> {
        self.in_shard(shard, "events")
    }

    /// An empty key. Replicas and the append-only file that have a write to it have all earlier writes of the shard.
    pub(super) fn mark(&self, shard: u16) -> Vec<u8> {
        self.in_shard(shard, "mark")
    }

    /// The key that shows whether a shard still holds its data.
    pub(super) fn epoch(&self, shard: u16) -> Vec<u8> {
        self.in_shard(shard, "epoch")
    }

    /// A key on which the preflight tests the permissions of our user.
    pub(super) fn probe(&self, shard: u16, kind: &str) -> Vec<u8> {
        self.in_shard(shard, &format!("probe:{kind}"))
    }

    /// The number in the hash tag of a quota, by its owner or its former name.
    pub(super) fn quota_tag(name: &[u8; 16]) -> u16 {
        u16::from(name[0]) % QUOTA_TAGS
    }

    /// The string with all buckets of a quota's owner.
    pub(super) fn buckets(&self, owner: &[u8; 16]) -> Vec<u8> {
        self.quota(owner, "b:")
    }

    /// The string in which version 0.1 kept one bucket. Read, so that an upgrade keeps what was drawn; never written.
    pub(super) fn former_bucket(&self, name: &[u8; 16]) -> Vec<u8> {
        self.quota(name, "")
    }

    fn quota(&self, name: &[u8; 16], kind: &str) -> Vec<u8> {
        let tag = Self::quota_tag(name);
        let beginning = format!("{}{{q{tag}}}:{kind}", self.prefix);
        [beginning.as_bytes(), name].concat()
    }

    /// The sorted set of live processes of this store, by their latest heartbeat.
    pub(super) fn processes(&self) -> Vec<u8> {
        format!("{}{{all}}:processes", self.prefix).into_bytes()
    }

    /// The number of shards, written once when the store is set up.
    pub(super) fn shard_count(&self) -> Vec<u8> {
        format!("{}{{all}}:shards", self.prefix).into_bytes()
    }
}

/// A record key as it appears in due indexes, events and channels. A subject's key has no letter there, because
/// version 0.1 had only those.
pub(super) fn short(key: &[u8; RECORD_KEY_BYTES]) -> &[u8] {
    match RecordKind::from_letter(key[0]) {
        RecordKind::Subject => &key[1..],
        RecordKind::Side(_) | RecordKind::Unknown(_) => key,
    }
}

/// Parses what [`short`] returns; `None` for anything else.
pub(super) fn read_short(bytes: &[u8]) -> Option<RecordKey> {
    if let Ok(hash) = bytes.try_into() {
        let kind = RecordKind::Subject;
        return Some(RecordKey { kind, hash });
    }
    let key = RecordKey::from_bytes(bytes.try_into().ok()?);
    (key.kind != RecordKind::Subject).then_some(key)
}

fn beginning(prefix: &str, shard: u16) -> Vec<u8> {
    format!("{prefix}{{s{shard}}}:").into_bytes()
}

/// The cluster slot of a key name, from its hash tag.
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

    fn key(letter: u8, byte: u8) -> RecordKey {
        let mut bytes = [byte; RECORD_KEY_BYTES];
        bytes[0] = letter;
        RecordKey::from_bytes(&bytes)
    }

    #[test]
    fn store_04_all_names_of_a_shard_lie_in_one_slot() {
        let keys = Keys::new("cs", 64);
        let key = key(b'?', b'}');
        let shard = keys.shard(&key);
        let names = [
            keys.record(&key),
            keys.news(&key),
            keys.due(shard),
            keys.events(shard),
            keys.epoch(shard),
        ];
        assert!(names.iter().all(|name| slot(name) == slot(&names[0])));
        let owner = [b'{'; 16];
        let tag = format!("{{q{}}}", Keys::quota_tag(&owner));
        for name in [keys.buckets(&owner), keys.former_bucket(&owner)] {
            assert_eq!(slot(&name), slot(tag.as_bytes()));
        }
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
    fn names_and_news_find_their_record() {
        let keys = Keys::new("cs", 64);
        // A hash of bytes 7, and hashes of bytes that look like parts of names.
        for letter in [b'r', b'b', b'd', b'?', b':'] {
            for byte in [7, b':', b'n', b'r', b'{'] {
                let key = key(letter, byte);
                assert_eq!(keys.of_news(&keys.news(&key)), Some(key));
                assert_eq!(keys.read_record(&keys.record(&key)), Some(key));
                assert_eq!(keys.of_news(&keys.record(&key)), None);
                assert_eq!(read_short(short(&key.to_bytes())), Some(key));
            }
        }
        assert_eq!(keys.of_news(b"short"), None);
        assert_eq!(keys.read_record(b"short"), None);
        assert_eq!(keys.read_record(&keys.due(3)), None);
    }

    #[test]
    fn a_subject_is_named_as_in_version_0_1() {
        let keys = Keys::new("cs", 64);
        let subject = key(b'r', b'x');
        let shard = 0x7878 % 64;
        let name = |rest: &str| format!("cs:v1:{{s{shard}}}:{rest}").into_bytes();
        assert_eq!(keys.record(&subject), name("r:xxxxxxxxxxxxxxxx"));
        assert_eq!(keys.news(&subject), name("n:xxxxxxxxxxxxxxxx"));
        assert_eq!(short(&subject.to_bytes()), [b'x'; 16]);
        let side = key(b'b', b'x');
        assert_eq!(keys.record(&side), name("b:xxxxxxxxxxxxxxxx"));
        assert_eq!(keys.news(&side), name("n:bxxxxxxxxxxxxxxxx"));
        assert_eq!(short(&side.to_bytes()), *b"bxxxxxxxxxxxxxxxx");
    }

    #[test]
    fn what_has_the_length_of_no_kind_is_no_key() {
        for length in [0, 1, 12, 15, 18, 32] {
            assert_eq!(read_short(&vec![b'b'; length]), None, "{length}");
        }
        assert_eq!(
            read_short(b"rxxxxxxxxxxxxxxxx"),
            None,
            "a subject has no letter"
        );
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        let pattern = Keys::new("a*", 2).record_pattern();
        assert_eq!(pattern, b"a\\*:v1:{s*}:?:*");
    }
}

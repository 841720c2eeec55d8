//! The bytes in Redis: what this version writes, and that it reads what version 0.1 left.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value, json};

use super::{keys::Keys, *};
use crate::{
    domain::{
        decide::Durability,
        record::key::{RecordKey, RecordKind},
    },
    ports::store::{Blob, Write},
    store::contract::bed::{
        ManualClock, RATE, open_redis, redis_settings, rig::Reply, server, token,
    },
};

/// The quotas of this version: all buckets of an owner in one string. Version 0.1 kept each bucket by itself.
const QUOTAS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/redis_quotas.json"
));

/// Made once with version 0.1; never regenerate it. The README beside it says how it was made.
const FILE: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/redis.json"
));

/// What this version writes: as version 0.1, but the events of one commit are one entry.
const FILE_2: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/redis_2.json"
));

const SHARDS: u16 = 4;
const fn subject(hash: [u8; 16]) -> RecordKey {
    RecordKey {
        kind: RecordKind::Subject,
        hash,
    }
}

/// A record that is due, with two events.
const DUE: RecordKey = subject([0x11; 16]);
/// A record without a due time, whose name contains a character of a hash tag.
const BARE: RecordKey = subject([b'}'; 16]);
/// The owner of a quota's bucket that is half empty, in slot 0; in slot 3 it has another.
const DRAWN: [u8; 16] = [0x21; 16];
/// The owner of a quota's bucket above its limit.
const BEYOND: [u8; 16] = [b'{'; 16];

fn stored(file: &str) -> Value {
    serde_json::from_str(file).unwrap_or_default()
}

async fn open(prefix: &str) -> (Arc<Redis>, Arc<ManualClock>) {
    let clock = ManualClock::start();
    let settings = RedisSettings {
        prefix: prefix.to_owned(),
        shards: SHARDS,
        ..redis_settings(&server().url())
    };
    (open_redis(settings, &clock).await, clock)
}

/// Bytes as text: visible ASCII as it is, every other byte as `\xNN`.
fn shown(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'\\' => "\\x5c".to_owned(),
        0x21..=0x7e => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    bytes.iter().map(one).collect()
}

/// The bytes for a text made by `shown`.
fn read(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.extend(hex::decode(&part[..2]).unwrap());
        bytes.extend(&part.as_bytes()[2..]);
    }
    bytes
}

fn content(reply: &Reply) -> Value {
    match reply {
        Reply::List(list) => list.iter().map(content).collect(),
        Reply::Double(_) | Reply::Int(_) | Reply::Simple(_) => Value::String(reply.text()),
        other => Value::String(shown(other.bytes())),
    }
}

/// All keys under a prefix, except those of live processes; the prefix is replaced by `PREFIX`.
fn dump(prefix: &str) -> Value {
    let mut all = Map::new();
    for key in server().cmd(&["KEYS", &format!("{prefix}:*")]).ok().list() {
        let key = key.bytes().to_vec();
        let of = |words: &[&[u8]]| server().cmd(words).ok();
        let kind = of(&[b"TYPE", &key]).text();
        let value = match kind.as_str() {
            "string" => of(&[b"GET", &key]),
            "zset" => of(&[b"ZRANGE", &key, b"0", b"-1", b"WITHSCORES"]),
            "stream" => of(&[b"XRANGE", &key, b"-", b"+"]),
            other => panic!("{other}"),
        };
        let name = shown(&key).replacen(prefix, "PREFIX", 1);
        if !name.ends_with(":processes") {
            all.insert(name, json!({ "type": kind, "holds": content(&value) }));
        }
    }
    Value::Object(all)
}

/// What this version leaves: records and events, and its own quotas.
fn left() -> Value {
    let Value::Object(mut all) = stored(FILE_2) else {
        panic!("it is a table");
    };
    all.retain(|name, _| !name.contains(":{q"));
    let quotas: Map<String, Value> = serde_json::from_str(QUOTAS).unwrap();
    all.extend(quotas);
    Value::Object(all)
}

/// A draw from the first bucket of an owner, which version 0.1 stored under the same name.
fn draw(owner: [u8; 16], want: u32) -> Draw {
    Draw {
        former: Some(owner),
        ..Draw::some(owner, RATE, want)
    }
}

async fn fill(store: &Redis, clock: &ManualClock) {
    let generation = store.load(&DUE).await.unwrap().generation;
    let commit = |key, n, wake_at, events| Commit {
        key,
        expect: None,
        generation,
        write: Write::Put {
            blob: Blob {
                token: token(n),
                bytes: b"sealed record".as_slice().into(),
            },
            wake_at,
            keep_until: None,
        },
        events,
        durability: Durability::Plain,
    };
    let events = vec![b"sealed event 1".to_vec(), b"sealed event 2".to_vec()];
    let done = Committed::Done;
    assert_eq!(
        store
            .commit(commit(
                DUE,
                1,
                Some(clock.now().plus(Duration::from_micros(1))),
                events
            ))
            .await
            .unwrap(),
        done
    );
    assert_eq!(
        store
            .commit(commit(BARE, 2, None, Vec::new()))
            .await
            .unwrap(),
        done
    );
    store
        .append(&BARE, b"sealed event 3".to_vec())
        .await
        .unwrap();
    let other = Draw {
        slot: 3,
        ..Draw::one(DRAWN, RATE)
    };
    assert_eq!(
        store.draw(&[draw(DRAWN, 10), other]).await.unwrap(),
        Drawn::Taken(vec![10, 1])
    );
    store
        .give_back(&[Return {
            owner: BEYOND,
            slot: 0,
            former: Some(BEYOND),
            rate: RATE,
            count: 3,
            reserve: 9,
        }])
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn golden_what_is_left_in_redis_is_what_the_files_say() {
    let (store, clock) = open("goldenw").await;
    fill(&store, &clock).await;
    let keys = Keys::new("goldenw", SHARDS);
    for (owner, millis) in [(DRAWN, 150_000), (BEYOND, 24 * 3_600_000)] {
        let left = server().cmd(&[&b"PTTL"[..], &keys.buckets(&owner)]).int();
        assert!(
            left <= millis && left > millis - 60_000,
            "it is kept for {left} ms, and {millis} are wanted"
        );
    }
    let now = dump("goldenw");
    assert!(
        now == left(),
        "other bytes; now they are:\n{}",
        serde_json::to_string_pretty(&now).unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn golden_what_version_0_1_left_in_redis_is_read() {
    is_read(&stored(FILE), "goldenr", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn golden_what_this_version_leaves_in_redis_is_read() {
    is_read(&left(), "goldenr2", 0).await;
}

/// Puts what the file holds into Redis and reads it; `former` is how many of the quotas read are in the form of
/// version 0.1.
async fn is_read(file: &Value, prefix: &str, former: i64) {
    let put = |words: &[&[u8]]| drop(server().cmd(words).ok());
    for (name, entry) in file.as_object().unwrap() {
        let key = read(&name.replacen("PREFIX", prefix, 1));
        let text = |value: &Value| read(value.as_str().unwrap());
        let list = |value: &Value| value.as_array().unwrap().clone();
        match entry["type"].as_str().unwrap() {
            "string" => put(&[b"SET", &key, &text(&entry["holds"])]),
            "zset" => list(&entry["holds"])
                .chunks(2)
                .for_each(|pair| put(&[b"ZADD", &key, &text(&pair[1]), &text(&pair[0])])),
            _ => list(&entry["holds"]).iter().for_each(|row| {
                let fields: Vec<_> = list(&row[1]).iter().map(text).collect();
                let words = [&[b"XADD".to_vec(), key.clone(), text(&row[0])][..], &fields].concat();
                put(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
            }),
        }
    }
    let (store, clock) = open(prefix).await;
    let loaded = store.load(&DUE).await.unwrap();
    assert_eq!(loaded.forgot_at, None, "nothing was lost");
    assert_eq!(
        loaded.blob,
        Some(Blob {
            token: token(1),
            bytes: b"sealed record".as_slice().into()
        })
    );
    assert_eq!(
        store.load(&BARE).await.unwrap().blob.unwrap().token,
        token(2)
    );
    clock.advance(Duration::from_secs(1));
    assert_eq!(store.due(10).await.unwrap().keys, [DUE]);
    let mut events = Vec::new();
    for shard in 0..SHARDS {
        events.extend(
            store
                .events(shard, 0, 10)
                .await
                .unwrap()
                .into_iter()
                .map(|event| (event.key, event.sealed)),
        );
    }
    events.sort_by(|one, other| one.1.cmp(&other.1));
    let sealed = |n| format!("sealed event {n}").into_bytes();
    assert_eq!(
        events,
        [(DUE, sealed(1)), (DUE, sealed(2)), (BARE, sealed(3))]
    );
    // The clock of this test is a second on, which is not enough for another one.
    assert_eq!(
        store.draw(&[draw(DRAWN, 4)]).await.unwrap(),
        Drawn::Taken(vec![4])
    );
    assert_eq!(
        store.draw(&[draw(BEYOND, 100)]).await.unwrap(),
        Drawn::Taken(vec![23])
    );
    // From the first draw on, the bucket is where this version keeps it.
    let name = Keys::new(prefix, SHARDS).former_bucket(&DRAWN);
    assert_eq!(server().cmd(&[&b"DEL"[..], &name]).int(), former);
    assert_eq!(
        store.draw(&[draw(DRAWN, 100)]).await.unwrap(),
        Drawn::Taken(vec![6])
    );
}

#[test]
fn golden_names_of_redis_are_those_of_version_0_1() {
    let keys = Keys::new("cs", 64);
    // The shard of hash 0x1111 among 64 shards.
    let of = |name: &[u8]| shown(name);
    let key = shown(&DUE.hash);
    assert_eq!(of(&keys.record(&DUE)), format!("cs:v1:{{s17}}:r:{key}"));
    assert_eq!(of(&keys.news(&DUE)), format!("cs:v1:{{s17}}:n:{key}"));
    assert_eq!(of(&keys.due(17)), "cs:v1:{s17}:due");
    assert_eq!(of(&keys.events(17)), "cs:v1:{s17}:events");
    assert_eq!(of(&keys.mark(17)), "cs:v1:{s17}:mark");
    assert_eq!(of(&keys.epoch(17)), "cs:v1:{s17}:epoch");
    assert_eq!(of(&keys.probe(17, "r")), "cs:v1:{s17}:probe:r");
    assert_eq!(
        of(&keys.former_bucket(&DRAWN)),
        format!("cs:v1:{{q33}}:{}", shown(&DRAWN))
    );
    assert_eq!(
        of(&keys.former_bucket(&BEYOND)),
        "cs:v1:{q59}:{{{{{{{{{{{{{{{{"
    );
    assert_eq!(of(&keys.buckets(&BEYOND)), "cs:v1:{q59}:b:{{{{{{{{{{{{{{{{");
    assert_eq!(of(&keys.processes()), "cs:v1:{all}:processes");
    assert_eq!(of(&keys.shard_count()), "cs:v1:{all}:shards");
    assert_eq!(keys.shard(&subject([0xff; 16])), 63);
    assert_eq!(
        Keys::new("cs", 1000).shard(&subject([0xab; 16])),
        0xabab % 1000
    );
}

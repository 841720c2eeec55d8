//! Tests with data in Redis that other programs wrote.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    domain::decide::Durability,
    ports::store::{Blob, Write},
    store::contract::bed::{ManualClock, key, key_of, open_redis, redis_settings, server, token},
};

/// A store with one shard, and its clock.
async fn open(prefix: &str) -> (Arc<Redis>, Arc<ManualClock>) {
    let clock = ManualClock::start();
    let settings = RedisSettings {
        prefix: prefix.to_owned(),
        ..redis_settings(&server().url())
    };
    (open_redis(settings, &clock).await, clock)
}

fn cmd(words: &[&[u8]]) -> i64 {
    server().cmd(words).ok().int()
}

async fn put(store: &Redis, key: RecordKey, wake_at: Timestamp) -> Result<Committed, StoreError> {
    let loaded = store.load(&key).await.unwrap();
    let write = Write::Put {
        blob: Blob {
            token: token(1),
            bytes: b"sealed".as_slice().into(),
        },
        wake_at: Some(wake_at),
        keep_until: None,
    };
    let commit = Commit {
        key,
        expect: loaded.blob.map(|blob| blob.token),
        generation: loaded.generation,
        write,
        events: Vec::new(),
        durability: Durability::Plain,
    };
    store.commit(commit).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_21_only_members_of_a_length_that_no_kind_has_are_removed() {
    let (store, clock) = open("alien").await;
    let due = store.core.keys.due(0);
    assert_eq!(
        put(&store, key(1), clock.now()).await.unwrap(),
        Committed::Done
    );
    let subject_with_a_letter = [&b"r"[..], &[7; 16]].concat();
    let foreign: [&[u8]; 4] = [b"", b"note", &[b'b'; 40], &subject_with_a_letter];
    for member in foreign {
        assert_eq!(cmd(&[b"ZADD", &due, b"1", member]), 1);
    }
    let newer = key_of(b'~', 9);
    assert_eq!(cmd(&[b"ZADD", &due, b"2", &newer.to_bytes()]), 1);
    // They come first, so they fill a small page completely; the next page must follow without a pause.
    clock.advance(Duration::from_secs(1));
    let mut looks = 0;
    while cmd(&[b"ZCARD", &due]) > 2 {
        let found = store.due(1).await.unwrap();
        assert!(
            found.next.is_some_and(|next| next <= clock.now()),
            "{found:?}"
        );
        looks += 1;
        assert!(looks < 10, "they go");
    }
    assert_eq!(store.due(10).await.unwrap().keys, [newer, key(1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_21_members_of_other_shards_are_removed_and_hold_up_nothing() {
    let clock = ManualClock::start();
    let settings = RedisSettings {
        prefix: "shards".to_owned(),
        shards: 4,
        ..redis_settings(&server().url())
    };
    let store = open_redis(settings, &clock).await;
    let (own, at) = (key(1), clock.now());
    let shard = store.core.keys.shard(&own);
    let written = put(&store, own, at).await.unwrap();
    assert_eq!(written, Committed::Done);
    for n in 0..100_u8 {
        for other in (0..4).filter(|other| *other != store.core.keys.shard(&key(n))) {
            let due = store.core.keys.due(other);
            cmd(&[b"ZADD", &due, b"1", &key(n).to_bytes()]);
        }
    }
    clock.advance(Duration::from_secs(1));
    let mut looks = 0;
    while (0..4).any(|shard| cmd(&[b"ZCARD", &store.core.keys.due(shard)]) > 1) {
        store.due(10).await.unwrap();
        looks += 1;
        assert!(looks < 100, "they go");
    }
    let left = store.due(10).await.unwrap().keys;
    assert_eq!(
        left,
        [own],
        "only the record in its own shard {shard} is due"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_21_a_kind_of_a_newer_version_is_postponed_and_stays() {
    let (store, clock) = open("newer").await;
    let due = store.core.keys.due(0);
    let newer = key_of(b'~', 9);
    cmd(&[b"ZADD", &due, b"2", &newer.to_bytes()]);
    assert_eq!(store.due(10).await.unwrap().keys, [newer]);
    let until = clock.now().plus(Duration::from_secs(60));
    let moved = store.postpone(&newer, None, until).await.unwrap();
    assert_eq!(moved, Committed::Done, "even if the record is gone");
    let found = store.due(10).await.unwrap();
    assert_eq!((found.keys, found.next), (vec![], Some(until)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_21_foreign_values_are_never_overwritten_and_can_be_postponed() {
    let (store, clock) = open("foreign").await;
    let (due, at) = (store.core.keys.due(0), clock.now());
    let until = at.plus(Duration::from_secs(60));
    let name = |n| store.core.keys.record(&key(n));
    for (n, value) in [(1, &b"note"[..]), (2, b""), (3, b"thirteen byte")] {
        server().cmd(&[&b"SET"[..], &name(n), value]).ok();
    }
    cmd(&[b"RPUSH", &name(4), b"a list"]);
    for n in 1..=4 {
        cmd(&[b"ZADD", &due, b"1", &key(n).hash]);
        let loaded = store.load(&key(n)).await.unwrap();
        // A list is loaded as no record, but a commit reports it.
        assert_eq!(loaded.blob.is_some(), n < 4, "{n}");
        let expect = loaded.blob.map(|blob| blob.token);
        let moved = store.postpone(&key(n), expect, until).await.unwrap();
        assert_eq!(moved, Committed::Done, "{n}");
    }
    assert_eq!(store.due(10).await.unwrap().next, Some(until));
    assert!(matches!(
        put(&store, key(4), at).await,
        Err(StoreError::Foreign)
    ));
    assert_eq!(put(&store, key(1), at).await.unwrap(), Committed::Conflict);
    assert_eq!(server().cmd(&[b"GET", &name(1)[..]]).ok().bytes(), b"note");
    assert_eq!(cmd(&[b"LLEN", &name(4)]), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_passes_over_what_is_no_record() {
    let (store, clock) = open("scanned").await;
    assert_eq!(
        put(&store, key(1), clock.now()).await.unwrap(),
        Committed::Done
    );
    store.append(&key(1), vec![1]).await.unwrap();
    let beginning = b"scanned:v1:{s0}:".as_slice();
    for name in [&b"r:short"[..], b"r:seventeen letters", b"x:"] {
        server()
            .cmd(&[b"SET", &[beginning, name].concat()[..], b"x"])
            .ok();
    }
    cmd(&[b"RPUSH", &store.core.keys.record(&key(2)), b"a list"]);
    let (mut from, mut seen) = (ScanCursor::default(), Vec::new());
    loop {
        let page = store.scan(&from, 1000).await.unwrap();
        seen.extend(
            page.records
                .into_iter()
                .map(|record| (record.key, record.head)),
        );
        let Some(next) = page.next else { break };
        from = next;
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [(key(1), b"sealed".to_vec())]);
}

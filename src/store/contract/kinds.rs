//! Kinds of records, postponed due times and scans, tested on each engine.

use std::{collections::BTreeMap, time::Duration};

use super::{
    bed::{Bed, key, key_of, token},
    hear,
};
use crate::{
    domain::record::key::RecordKey,
    ports::store::{Blob, Commit, Committed, Due, HEAD_BYTES, ScanCursor, Write},
};

/// A subject, both kinds of side records, and kinds that this version does not know.
const LETTERS: [u8; 5] = [b'r', b'b', b'd', b'?', 0];

/// All records of a store, with their heads.
async fn scan(bed: &Bed, limit: usize) -> BTreeMap<RecordKey, Vec<u8>> {
    let (mut from, mut seen) = (ScanCursor::default(), BTreeMap::new());
    loop {
        let page = bed.store.scan(&from, limit).await.unwrap();
        for record in page.records {
            // Other tests write to this server meanwhile, so a scan may return a record twice.
            seen.insert(record.key, record.head);
        }
        match page.next {
            Some(next) => from = next,
            None => return seen,
        }
    }
}

pub(super) async fn records_of_two_kinds_are_apart_even_under_equal_hashes(bed: Bed) {
    let keys = LETTERS.map(|letter| key_of(letter, 7));
    let mut news = bed.store.watch(&keys[1]).await.unwrap();
    for (n, key) in (1..).zip(keys) {
        let commit = bed.commit_of(key, None, n).await;
        // A commit after an append waits until the append is written.
        bed.store.append(&key, vec![n, n]).await.unwrap();
        assert_eq!(bed.store.commit(commit).await.unwrap(), Committed::Done);
    }
    hear(&mut news).await;
    news.mark_unchanged();
    for (n, key) in (1..).zip(keys) {
        assert_eq!(bed.store.load(&key).await.unwrap().blob, Some(Bed::blob(n)));
    }
    let due = bed.due(10).await.keys;
    assert_eq!(due, keys, "each has its entry, in the order of their times");
    let events: Vec<_> = bed
        .events()
        .await
        .into_iter()
        .map(|event| event.key)
        .collect();
    assert_eq!(events, keys.map(|key| [key; 2]).concat());

    let delete = Commit {
        write: Write::Delete,
        events: Vec::new(),
        ..bed.commit_of(keys[0], Some(1), 0).await
    };
    assert_eq!(bed.store.commit(delete).await.unwrap(), Committed::Done);
    assert_eq!(bed.due(10).await.keys, keys[1..], "the others stay");
    assert!(!news.has_changed().unwrap(), "and nobody hears of them");
}

pub(super) async fn store_21_a_postponed_record_leaves_the_head_and_stays_as_it_is(bed: Bed) {
    let start = bed.now();
    let at = |seconds| start.plus(Duration::from_secs(seconds));
    for n in 1..=3 {
        assert_eq!(
            bed.put_due(n, None, Some(at(u64::from(n)))).await,
            Committed::Done
        );
    }
    bed.clock.advance(Duration::from_secs(10));
    let events = bed.events().await;
    let postpone = async |n: u8, until| {
        let moved = bed.store.postpone(&key(n), Some(token(1)), until).await;
        assert_eq!(moved.unwrap(), Committed::Done);
    };
    postpone(1, at(60)).await;
    postpone(2, at(12)).await;
    let rest = Due {
        keys: vec![key(3)],
        next: Some(at(12)),
    };
    assert_eq!(bed.due(10).await, rest);
    postpone(1, at(11)).await;
    bed.clock.advance(Duration::from_secs(2));
    let due = Due {
        keys: vec![key(3), key(1), key(2)],
        next: None,
    };
    assert_eq!(bed.due(10).await, due, "each at its new time, and once");
    assert_eq!(bed.load(1).await.blob, Some(Bed::blob(1)));
    assert_eq!(bed.events().await, events, "nothing else happened");

    assert_eq!(bed.put_due(1, Some(1), Some(at(70))).await, Committed::Done);
    assert_eq!(
        bed.due(10).await.keys,
        [key(3), key(2)],
        "a commit decides anew"
    );
}

pub(super) async fn store_21_a_postponement_is_refused_if_the_record_moved(bed: Bed) {
    let far = bed.now().plus(Duration::from_secs(60));
    assert_eq!(bed.put(1, None, 1).await, Committed::Done);
    assert_eq!(bed.put(1, Some(1), 2).await, Committed::Done);
    for expect in [Some(token(1)), None] {
        let refused = bed.store.postpone(&key(1), expect, far).await.unwrap();
        assert_eq!(refused, Committed::Conflict);
    }
    assert_eq!(bed.due(10).await.keys, [key(1)]);
    let absent = bed
        .store
        .postpone(&key(2), Some(token(1)), far)
        .await
        .unwrap();
    assert_eq!(absent, Committed::Conflict);
}

pub(super) async fn a_record_that_is_never_due_is_not_made_due_by_a_postponement(bed: Bed) {
    assert_eq!(bed.put_due(1, None, None).await, Committed::Done);
    for (n, expect) in [(1, Some(token(1))), (2, None)] {
        let done = bed
            .store
            .postpone(&key(n), expect, bed.now())
            .await
            .unwrap();
        assert_eq!(done, Committed::Done);
    }
    assert_eq!(bed.due(10).await, Due::default());
}

pub(super) async fn a_scan_sees_each_record_with_its_beginning(bed: Bed) {
    assert!(scan(&bed, 10).await.is_empty());
    let mut written = BTreeMap::new();
    for n in 0..40 {
        let key = key_of(LETTERS[usize::from(n) % LETTERS.len()], n);
        let bytes = vec![n; 4 * usize::from(n)];
        let write = Write::Put {
            blob: Blob {
                token: token(n),
                bytes: bytes.clone().into(),
            },
            wake_at: (n % 2 == 0).then_some(bed.now()),
            keep_until: None,
        };
        let commit = Commit {
            write,
            ..bed.commit_of(key, None, n).await
        };
        assert_eq!(bed.store.commit(commit).await.unwrap(), Committed::Done);
        written.insert(key, bytes[..bytes.len().min(HEAD_BYTES)].to_vec());
    }
    assert_eq!(scan(&bed, 500).await, written);
}

//! Side records of version 0.1, on each engine.

use std::time::Duration;

use super::{
    super::tests::{all, key_of, sides},
    *,
};
use crate::{
    domain::{record::subject::SubjectRecord, time::Generation},
    ports::store::{Blob, Due},
    store::contract::bed::Bed,
};

const MINUTE: Duration = Duration::from_secs(60);

/// Writes a blob as version 0.1 did: under the bare hash.
async fn put_old(
    sides: &Sides,
    key: &RecordKey,
    blob: Blob,
    wake_at: crate::domain::time::Timestamp,
) {
    let place = key.before_kinds();
    let write = Write::Put {
        blob,
        wake_at: Some(wake_at),
        keep_until: None,
    };
    let commit = Commit {
        key: place,
        expect: None,
        generation: sides.store.load(&place).await.unwrap().generation,
        write,
        events: Vec::new(),
        durability: Durability::Plain,
    };
    assert_eq!(sides.store.commit(commit).await.unwrap(), Committed::Done);
}

async fn is_brought_over(bed: Bed) {
    let (sides, breaker) = sides(&bed);
    for side in all() {
        let key = key_of(&side, &breaker);
        let until = bed.now().plus(MINUTE);
        let record = crate::domain::record::side::SideRecord {
            version: 7,
            until,
            side: side.clone(),
        };
        put_old(&sides, &key, sides.vault.close_side(&key, &record), until).await;
        let state = sides.load(&key).await.unwrap();
        assert_eq!(state.side, Some(side.clone()));
        assert!(sides.sweep_old(&SubjectKey(key.hash)).await.unwrap());
        assert_eq!(
            sides.load(&key).await.unwrap().side,
            Some(side.clone()),
            "not yet"
        );

        let later = until.plus(MINUTE);
        let put = sides.put(&state, side.clone(), later).await.unwrap();
        assert_eq!(put, Committed::Done);
        assert_eq!(sides.load(&key).await.unwrap().side, Some(side));
        let old = sides.store.load(&key.before_kinds()).await.unwrap();
        assert_eq!(old.blob, None, "it moved");
        let due = Due {
            keys: vec![],
            next: Some(later),
        };
        assert_eq!(sides.store.due(9).await.unwrap(), due, "and its entry too");
        let state = sides.load(&key).await.unwrap();
        assert_eq!(sides.delete(&state).await.unwrap(), Committed::Done);
    }
}

#[tokio::test]
async fn a_side_record_of_version_0_1_is_brought_over_in_memory() {
    is_brought_over(Bed::memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_side_record_of_version_0_1_is_brought_over_on_redis() {
    is_brought_over(Bed::redis().await).await;
}

#[tokio::test]
async fn a_side_record_of_version_0_1_is_deleted_where_it_is() {
    let bed = Bed::memory();
    let (sides, key) = sides(&bed);
    for by_sweep in [false, true] {
        let until = bed.now().plus(MINUTE);
        let record = crate::domain::record::side::SideRecord {
            version: 7,
            until,
            side: all()[0].clone(),
        };
        put_old(&sides, &key, sides.vault.close_side(&key, &record), until).await;
        if by_sweep {
            bed.clock.advance(MINUTE);
            assert_eq!(sides.load(&key).await.unwrap().side, None, "it has expired");
            assert!(sides.sweep_old(&SubjectKey(key.hash)).await.unwrap());
        } else {
            let state = sides.load(&key).await.unwrap();
            assert_eq!(sides.delete(&state).await.unwrap(), Committed::Done);
        }
        assert_eq!(
            sides.store.load(&key.before_kinds()).await.unwrap().blob,
            None
        );
        assert_eq!(sides.store.due(9).await.unwrap(), Due::default());
    }
}

#[tokio::test]
async fn what_is_no_side_record_is_neither_read_nor_swept() {
    let bed = Bed::memory();
    let (sides, key) = sides(&bed);
    let subject = SubjectKey(key.hash);
    let record = SubjectRecord::new([3; 16], Generation([4; 16]));
    let foreign = Blob {
        token: [1; 12],
        bytes: vec![1; 80].into(),
    };
    for blob in [sides.vault.close(&subject, &record), foreign] {
        put_old(&sides, &key, blob.clone(), bed.now()).await;
        assert_eq!(sides.load(&key).await.unwrap().side, None);
        assert!(!sides.sweep_old(&subject).await.unwrap());
        let loaded = sides.store.load(&subject.into()).await.unwrap();
        assert_eq!(loaded.blob, Some(blob), "it stays as it is");
        let delete = Commit {
            key: subject.into(),
            expect: loaded.blob.map(|blob| blob.token),
            generation: loaded.generation,
            write: Write::Delete,
            events: Vec::new(),
            durability: Durability::Plain,
        };
        assert_eq!(sides.store.commit(delete).await.unwrap(), Committed::Done);
    }
}

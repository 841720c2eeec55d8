//! Side records on each engine.

use super::*;
use crate::{
    domain::{
        crypto::keyring::{Keyring, Kid, SECRET_BYTES, Secret},
        delivery::breaker::Breaker,
        ids::{DeliveryId, VerificationId},
        record::subject::SubjectRecord,
        time::Generation,
    },
    ports::store::Blob,
    store::contract::bed::Bed,
    system::SystemEntropy,
};

const MINUTE: Duration = Duration::from_secs(60);

/// The side records of a store, and the key of one.
fn sides(bed: &Bed) -> (Sides, SubjectKey) {
    let ring = [(Kid::parse("k1").unwrap(), Secret::new([2; SECRET_BYTES]))];
    let keyring = Arc::new(Keyring::new(&Secret::new([1; SECRET_BYTES]), &ring).unwrap());
    let key = keyring.side_key("breaker", &[b"mail"]);
    let vault = Vault::new(keyring, Arc::new(SystemEntropy::default()));
    (
        Sides {
            store: bed.store.clone(),
            clock: bed.clock.clone(),
            vault,
            deadline: MINUTE,
        },
        key,
    )
}

fn all() -> [Side; 4] {
    let (subject, until) = (SubjectKey([7; 16]), Timestamp::from_micros(9));
    [
        Side::Breaker(Breaker::Closed {
            failed: vec![DeliveryId([1; 16]), DeliveryId([2; 16])],
        }),
        Side::Breaker(Breaker::Open { until, times: 3 }),
        Side::Breaker(Breaker::HalfOpen { until, times: 4 }),
        Side::Delivery {
            verification: VerificationId {
                subject,
                random: [8; 16],
            },
            delivery: DeliveryId([9; 16]),
        },
    ]
}

async fn its_life(bed: Bed) {
    let (sides, key) = sides(&bed);
    for side in all() {
        let stood = sides.load(&key).await.unwrap();
        let until = stood.now.stamp().plus(MINUTE);
        assert_eq!(
            sides.put(&stood, side.clone(), until).await.unwrap(),
            Committed::Done
        );
        assert_eq!(sides.load(&key).await.unwrap().side, Some(side.clone()));
        assert_eq!(
            sides.put(&stood, side, until).await.unwrap(),
            Committed::Conflict,
            "others were faster"
        );
    }
    sides.sweep(&key).await.unwrap();
    assert!(
        sides.load(&key).await.unwrap().side.is_some(),
        "it is not due yet"
    );
    assert_eq!(sides.store.due(9).await.unwrap().keys, []);

    bed.clock.advance(MINUTE);
    assert_eq!(
        sides.load(&key).await.unwrap().side,
        None,
        "past its time it says nothing"
    );
    assert_eq!(sides.store.due(9).await.unwrap().keys, [key]);
    sides.sweep(&key).await.unwrap();
    assert_eq!(sides.store.load(&key).await.unwrap().blob, None);
    assert_eq!(
        sides.store.due(9).await.unwrap(),
        crate::ports::store::Due::default()
    );

    let stood = sides.load(&key).await.unwrap();
    let until = stood.now.stamp().plus(MINUTE);
    assert_eq!(
        sides.put(&stood, all()[0].clone(), until).await.unwrap(),
        Committed::Done,
        "the place is free again"
    );
    assert_eq!(
        sides
            .delete(&sides.load(&key).await.unwrap())
            .await
            .unwrap(),
        Committed::Done
    );
    assert_eq!(
        sides
            .delete(&sides.load(&key).await.unwrap())
            .await
            .unwrap(),
        Committed::Done,
        "nothing is left to delete"
    );
}

#[tokio::test]
async fn a_side_record_lives_until_its_time_in_memory() {
    its_life(Bed::memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_side_record_lives_until_its_time_on_disk() {
    its_life(Bed::durable()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_side_record_lives_until_its_time_on_redis() {
    its_life(Bed::redis().await).await;
}

#[tokio::test]
async fn seal_01_a_side_record_and_a_subject_record_never_open_as_each_other() {
    let (Sides { vault, .. }, key) = sides(&Bed::memory());
    let subject = vault.close(&key, &SubjectRecord::new([3; 16], Generation([4; 16])));
    let broken = Err(VaultError::Seal(SealError::Broken));
    assert_eq!(vault.open_side(&key, &subject), broken);
    for side in all() {
        let record = SideRecord {
            version: 5,
            until: Timestamp::from_micros(6),
            side,
        };
        let sealed = vault.close_side(&key, &record);
        assert_eq!(vault.open_side(&key, &sealed), Ok(record));
        assert_eq!(
            vault.open(&key, &sealed),
            Err(VaultError::Seal(SealError::Broken))
        );
        assert_eq!(
            vault.open_side(&SubjectKey([0; 16]), &sealed),
            broken,
            "nor in another place"
        );
    }
}

#[tokio::test]
async fn what_is_no_side_record_is_not_swept() {
    let bed = Bed::memory();
    let (sides, key) = sides(&bed);
    let blob = Blob {
        token: [1; 12],
        bytes: vec![1; 80].into(),
    };
    let generation = sides.store.load(&key).await.unwrap().generation;
    let write = Write::Put {
        blob: blob.clone(),
        wake_at: Some(Timestamp::default()),
        keep_until: None,
    };
    let commit = Commit {
        key,
        expect: None,
        generation,
        write,
        events: Vec::new(),
        durability: Durability::Plain,
    };
    assert_eq!(sides.store.commit(commit).await.unwrap(), Committed::Done);
    assert!(may_be_side(&sides.sweep(&key).await.unwrap_err()));
    assert_eq!(sides.store.load(&key).await.unwrap().blob, Some(blob));
}

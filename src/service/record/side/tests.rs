//! Side records, on each engine.

use super::*;
use crate::service::unreadable::VaultError;
use crate::{
    domain::{
        crypto::{
            keyring::{Keyring, Kid, SECRET_BYTES, Secret},
            seal::SealError,
        },
        delivery::breaker::{Breaker, Refused, RefusedDelivery},
        ids::{DeliveryId, SubjectKey, VerificationId},
        record::{key::RecordKind, side::SideKind, subject::SubjectRecord},
    },
    store::contract::bed::Bed,
    system::SystemEntropy,
};

const MINUTE: Duration = Duration::from_secs(60);

/// The side records of a store, and the key of a breaker.
pub(super) fn sides(bed: &Bed) -> (Sides, RecordKey) {
    let ring = [(Kid::parse("k1").unwrap(), Secret::new([2; SECRET_BYTES]))];
    let keyring = Arc::new(Keyring::new(&Secret::new([1; SECRET_BYTES]), &ring).unwrap());
    let key = RecordKey::side(&keyring, SideKind::Breaker, &[b"mail"]);
    let vault = Vault::new(keyring, Arc::new(SystemEntropy::default()));
    (
        Sides {
            store: bed.store.clone(),
            clock: bed.clock.clone(),
            vault,
            quarantine: Arc::default(),
            deadline: MINUTE,
        },
        key,
    )
}

pub(super) fn all() -> [Side; 4] {
    let (subject, until) = (SubjectKey([7; 16]), Timestamp::from_micros(9));
    let refused = Refused::from_stored(vec![
        RefusedDelivery {
            delivery: DeliveryId([3; 16]),
            area: [4; 16],
        },
        RefusedDelivery {
            delivery: DeliveryId([5; 16]),
            area: [6; 16],
        },
    ]);
    [
        Side::Breaker(Breaker::Closed {
            failed: vec![DeliveryId([1; 16]), DeliveryId([2; 16])],
            refused: refused.clone(),
        }),
        Side::Breaker(Breaker::Open {
            until,
            times: 3,
            by_refusals: true,
        }),
        Side::Breaker(Breaker::HalfOpen {
            until,
            times: 4,
            by_refusals: true,
            refused,
        }),
        Side::Delivery {
            verification: VerificationId {
                subject,
                random: [8; 16],
            },
            delivery: DeliveryId([9; 16]),
        },
    ]
}

/// The key for a record of this kind, with the hash of another key.
pub(super) fn key_of(side: &Side, other: &RecordKey) -> RecordKey {
    RecordKey {
        kind: RecordKind::Side(side.kind()),
        hash: other.hash,
    }
}

async fn its_life(bed: Bed) {
    let (sides, key) = sides(&bed);
    for side in &all()[..3] {
        let state = sides.load(&key).await.unwrap();
        let until = state.now.stamp().plus(MINUTE);
        assert_eq!(
            sides.put(&state, side.clone(), until).await.unwrap(),
            Committed::Done
        );
        assert_eq!(sides.load(&key).await.unwrap().side, Some(side.clone()));
        assert_eq!(
            sides.put(&state, side.clone(), until).await.unwrap(),
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

    let state = sides.load(&key).await.unwrap();
    let until = state.now.stamp().plus(MINUTE);
    assert_eq!(
        sides.put(&state, all()[0].clone(), until).await.unwrap(),
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
    let subject_key = SubjectKey(key.hash);
    let subject = vault.close(
        &subject_key,
        &SubjectRecord::new([3; 16], Generation([4; 16])),
    );
    let broken = Err(VaultError::Seal(SealError::Broken));
    assert_eq!(vault.open_side(&key, &subject), broken);
    for side in all() {
        let key = key_of(&side, &key);
        let record = SideRecord {
            version: 5,
            until: Timestamp::from_micros(6),
            side,
        };
        let sealed = vault.close_side(&key, &record);
        assert_eq!(vault.open_side(&key, &sealed), Ok(record.clone()));
        assert_eq!(
            vault.open(&subject_key, &sealed),
            Err(VaultError::Seal(SealError::Broken))
        );
        let elsewhere = RecordKey {
            hash: [0; 16],
            ..key
        };
        assert_eq!(
            vault.open_side(&elsewhere, &sealed),
            broken,
            "nor in another place"
        );
        for kind in [
            RecordKind::Subject,
            RecordKind::Side(SideKind::Breaker),
            RecordKind::Side(SideKind::Delivery),
        ] {
            let opened = vault.open_side(&RecordKey { kind, ..key }, &sealed);
            assert_eq!(opened.is_ok(), kind == key.kind, "nor as another kind");
        }
    }
}

#[tokio::test]
async fn an_entry_whose_record_the_store_dropped_is_removed() {
    let server = crate::store::contract::bed::server();
    let bed = Bed::redis().await;
    let (sides, key) = sides(&bed);
    // A hash that no other test uses, because all tests share the server.
    let hash = *b"dropped by redis";
    let key = RecordKey { hash, ..key };
    let state = sides.load(&key).await.unwrap();
    let until = state.now.stamp();
    assert_eq!(
        sides.put(&state, all()[0].clone(), until).await.unwrap(),
        Committed::Done
    );
    let name = server.cmd(&[&b"KEYS"[..], b"*:b:dropped by redis"]).ok();
    let dropped = server.cmd(&[b"DEL", name.list()[0].bytes()]).ok();
    assert_eq!(dropped.int(), 1);
    assert_eq!(sides.store.due(9).await.unwrap().keys, [key]);
    sides.sweep(&key).await.unwrap();
    assert_eq!(sides.store.due(9).await.unwrap().keys, []);
}

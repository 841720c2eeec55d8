//! Counting stored records and events by key, on each engine.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    domain::{
        audit::event::{Event, RefusedCall, What},
        crypto::keyring::{Keyring, SECRET_BYTES, Secret},
        decide::{Durability, refused},
        delivery::breaker::Breaker,
        ids::{CallerName, SubjectKey, TenantId},
        record::{
            key::RecordKey,
            side::{Side, SideKind, SideRecord},
            subject::SubjectRecord,
        },
        time::{Generation, Timestamp},
    },
    ports::store::{Blob, Commit, Committed, Write},
    service::record::vault::Vault,
    store::contract::bed::Bed,
    system::SystemEntropy,
};

/// A vault whose current key has this id.
fn vault(kid: &str) -> (Vault, Arc<Keyring>) {
    let ring = [(Kid::parse(kid).unwrap(), Secret::new([2; SECRET_BYTES]))];
    let keyring = Arc::new(Keyring::new(&Secret::new([1; SECRET_BYTES]), &ring).unwrap());
    let entropy = Arc::new(SystemEntropy::default());
    (Vault::new(keyring.clone(), entropy), keyring)
}

async fn put(bed: &Bed, key: RecordKey, blob: Blob, events: Vec<Vec<u8>>) {
    let commit = Commit {
        key,
        expect: None,
        generation: bed.store.load(&key).await.unwrap().generation,
        write: Write::Put {
            blob,
            wake_at: None,
            keep_until: None,
        },
        events,
        durability: Durability::Plain,
    };
    assert_eq!(bed.store.commit(commit).await.unwrap(), Committed::Done);
}

/// Writes subjects with one event each.
async fn fill(bed: &Bed, kid: &str, subjects: std::ops::Range<u8>) {
    let (vault, _) = vault(kid);
    let caller = CallerName::parse("payments").unwrap();
    let tenant = TenantId::parse("bank").unwrap();
    let what = What::Refused(RefusedCall {
        call: "check",
        reason: "CODE_MALFORMED",
        quota: None,
    });
    let event: Event = refused(&tenant, &caller, None, what, Timestamp::from_micros(7));
    for n in subjects {
        let key = SubjectKey([n; 16]);
        let blob = vault.close(&key, &SubjectRecord::new([3; 16], Generation([4; 16])));
        let event = vault.close_event(&key, None, &event);
        put(bed, key.into(), blob, vec![event]).await;
    }
}

async fn is_counted(bed: Bed) {
    fill(&bed, "new", 0..30).await;
    fill(&bed, "old", 100..103).await;
    let (old, keyring) = vault("old");
    let side = SideRecord {
        version: 1,
        until: bed.now().plus(Duration::from_secs(60)),
        side: Side::Breaker(Breaker::default()),
    };
    let key = RecordKey::side(&keyring, SideKind::Breaker, &[b"mail"]);
    put(&bed, key, old.close_side(&key, &side), Vec::new()).await;
    let foreign = Blob {
        token: [9; 12],
        bytes: vec![9; 80].into(),
    };
    let mut newer = RecordKey::from(SubjectKey([200; 16])).to_bytes();
    newer[0] = b'~';
    put(&bed, RecordKey::from_bytes(&newer), foreign, vec![vec![9]]).await;

    let counted = KeyUsage::count(&*bed.store).await.unwrap();
    let sealed = |records: &[(&'static str, u64)], events| Sealed {
        records: records.iter().copied().collect(),
        events,
    };
    let kid = |kid| Some(Kid::parse(kid).unwrap());
    let expected = [
        (kid("new"), sealed(&[("subject", 30)], 30)),
        (kid("old"), sealed(&[("breaker", 1), ("subject", 3)], 3)),
        (None, sealed(&[("unknown", 1)], 1)),
    ];
    assert_eq!(counted.by_kid, expected.into());
    assert_eq!(counted.by_kid[&kid("old")].all_records(), 4);
}

#[tokio::test]
async fn seal_06_keys_in_use_are_counted_in_memory() {
    is_counted(Bed::memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seal_06_keys_in_use_are_counted_in_a_file() {
    is_counted(Bed::durable()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seal_06_keys_in_use_are_counted_on_redis() {
    is_counted(Bed::redis().await).await;
}

//! Side records across a key rotation (SEAL-06).

use super::*;
use crate::{
    domain::{
        crypto::keyring::{Keyring, Kid, SECRET_BYTES, Secret},
        delivery::breaker::Breaker,
        record::side::SideKind,
    },
    store::contract::bed::Bed,
    system::SystemEntropy,
};

/// The same store with this key ring; each secret is derived from its key id.
fn sides(bed: &Bed, ring: &[&str]) -> (Sides, RecordKey) {
    let secret = |kid: &&str| {
        (
            Kid::parse(kid).unwrap(),
            Secret::new([kid.as_bytes()[0]; SECRET_BYTES]),
        )
    };
    let ring: Vec<_> = ring.iter().map(secret).collect();
    let keyring = Arc::new(Keyring::new(&Secret::new([1; SECRET_BYTES]), &ring).unwrap());
    let key = RecordKey::side(&keyring, SideKind::Breaker, &[b"mail"]);
    let vault = Vault::new(keyring, Arc::new(SystemEntropy::default()));
    (
        Sides {
            store: bed.store.clone(),
            clock: bed.clock.clone(),
            vault,
            quarantine: Arc::default(),
            deadline: Duration::from_secs(60),
        },
        key,
    )
}

#[tokio::test]
async fn seal_06_a_side_record_is_read_after_a_rotation_and_written_under_the_new_key() {
    let bed = Bed::memory();
    let (old, key) = sides(&bed, &["old"]);
    let open = Side::Breaker(Breaker::Open {
        until: Timestamp::from_micros(9),
        times: 3,
        by_refusals: false,
    });
    let state = old.load(&key).await.unwrap();
    let until = state.now.stamp().plus(Duration::from_secs(60));
    assert_eq!(
        old.put(&state, open.clone(), until).await.unwrap(),
        Committed::Done
    );

    let (both, same_key) = sides(&bed, &["new", "old"]);
    assert_eq!(same_key, key, "names do not rotate");
    let state = both.load(&key).await.unwrap();
    assert_eq!(state.side, Some(open.clone()));
    let (new, _) = sides(&bed, &["new"]);
    assert!(
        new.load(&key).await.is_err(),
        "without the old key it cannot be read"
    );
    assert_eq!(
        both.put(&state, open.clone(), until).await.unwrap(),
        Committed::Done
    );
    assert_eq!(
        new.load(&key).await.unwrap().side,
        Some(open),
        "what is written is sealed under the new key"
    );
    bed.clock.advance(Duration::from_secs(61));
    new.sweep(&key).await.unwrap();
    assert_eq!(bed.store.load(&key).await.unwrap().blob, None);
}

//! Which data is stored and for how long, read from the store with the service's keys.

use std::{collections::HashSet, sync::Arc, time::Duration};

use countersign::{
    app::Machine,
    domain::{
        decide::Work,
        delivery::DeliveryStatus,
        ids::{CallerName, TenantId, VerificationId},
        recipient::Channel,
        verification::{Phase, rules::Origin},
    },
    keys,
    pb::v1,
    ports::{
        store::{Store, StoredEvent},
        system::Clock as _,
    },
    service::{
        delivery::hands::{HandLimits, HandOwner, Hands},
        record::vault::Vault,
    },
    store::embedded::memory::Memory,
    system::{ManualClock, SystemEntropy},
};

use crate::harness::{Harness, PATIENCE, Setup, login, suspended::Suspended};

const HOUR: Duration = Duration::from_secs(3600);

/// A service, with its store and its vault.
async fn opened(setup: Setup) -> (Harness, Arc<Memory>, Vault) {
    let store = Arc::new(Memory::new(setup.clock.clone(), &SystemEntropy::default()));
    let machine = Machine {
        clock: setup.clock.clone(),
        store: Some(store.clone()),
        ..Machine::default()
    };
    let service = setup.start_on(machine).await;
    let keyring = keys::load(&setup.settings()).unwrap();
    (
        service,
        store,
        Vault::new(Arc::new(keyring), Arc::new(SystemEntropy::default())),
    )
}

async fn events(store: &Memory) -> Vec<StoredEvent> {
    store.events(0, 0, usize::MAX).await.unwrap()
}

#[tokio::test]
async fn priv_01_each_subject_has_a_salt_of_its_own_and_without_it_no_event_of_it_is_read() {
    let (service, store, vault) = opened(Setup::default()).await;
    for n in 0..10 {
        service.start_and_read(login(&format!("s{n}"))).await;
    }
    let (mut salts, mut nonces, mut keys) = (HashSet::new(), HashSet::new(), HashSet::new());
    for event in events(&store).await {
        let blob = store
            .load(&event.key)
            .await
            .unwrap()
            .blob
            .expect("the record is there");
        let record = vault.open(&event.key.as_subject().unwrap(), &blob).unwrap();
        let salt = record.event_salt;
        let Phase::Pending(pending) = &record.verifications[0].phase else {
            panic!("it waits for its code")
        };
        nonces.insert(pending.nonce);
        assert!(
            vault
                .open_event(&event.key.as_subject().unwrap(), Some(&salt), &event.sealed)
                .is_ok()
        );
        assert!(
            vault
                .open_event(&event.key.as_subject().unwrap(), None, &event.sealed)
                .is_err(),
            "what is left without the record says nothing"
        );
        salts.insert(salt);
        keys.insert(event.key);
    }
    assert_eq!(
        (salts.len(), nonces.len(), keys.len()),
        (10, 10, 10),
        "and each code a nonce of its own"
    );
}

#[tokio::test]
async fn seal_03_no_two_seals_of_the_store_have_one_nonce() {
    let (service, store, _) = opened(Setup::default()).await;
    for n in 0..10 {
        let (v, code) = service.start_and_read(login(&format!("s{n}"))).await;
        service.check(&v.verification_id, &code).await;
    }
    // After the format, the length and the name of the key (dev), and the version.
    let nonce = |sealed: &[u8]| sealed[13..25].to_vec();
    let all = events(&store).await;
    let mut nonces: Vec<_> = all.iter().map(|event| nonce(&event.sealed)).collect();
    for key in all.iter().map(|event| event.key).collect::<HashSet<_>>() {
        nonces.push(nonce(&store.load(&key).await.unwrap().blob.unwrap().bytes));
    }
    let count = nonces.len();
    assert!(count >= 40);
    assert_eq!(nonces.into_iter().collect::<HashSet<_>>().len(), count);
}

#[tokio::test]
async fn time_02_a_service_clock_that_is_days_ahead_drops_no_event() {
    let setup = Setup::default().with("SUBJECT__EVENT_RETENTION_DAYS", "2");
    let store_clock = Arc::new(ManualClock::new(setup.clock.now()));
    let store = Arc::new(Memory::new(store_clock.clone(), &SystemEntropy::default()));
    let machine = Machine {
        clock: setup.clock.clone(),
        store: Some(store.clone()),
        ..Machine::default()
    };
    let service = setup.start_on(machine).await;
    service.start_and_read(login("s")).await;
    let first = events(&store).await[0].cursor;
    let is_there = async || {
        events(&store)
            .await
            .iter()
            .any(|event| event.cursor == first)
    };
    let sweeps = async || {
        for _ in 0..5 {
            service.pass(HOUR).await;
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
    };
    service.pass(9 * 24 * HOUR).await;
    sweeps().await;
    assert!(is_there().await, "by the store's clock it is young");
    store_clock.advance(9 * 24 * HOUR);
    let dropped = async {
        while is_there().await {
            sweeps().await;
        }
    };
    tokio::time::timeout(PATIENCE, dropped)
        .await
        .expect("it is dropped once both clocks say so");
}

#[tokio::test]
async fn time_02_while_the_clock_is_in_doubt_no_event_is_dropped() {
    let setup = Setup::default().with("SUBJECT__EVENT_RETENTION_DAYS", "2");
    let store = Arc::new(Memory::new(setup.clock.clone(), &SystemEntropy::default()));
    let machine = Machine {
        clock: Arc::new(Suspended(setup.clock.clone())),
        store: Some(store.clone()),
        ..Machine::default()
    };
    let service = setup.start_on(machine).await;
    service.start_and_read(login("s")).await;
    let first = events(&store).await[0].cursor;
    for _ in 0..9 * 24 {
        service.pass(HOUR).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(events(&store).await[0].cursor, first);
}

#[tokio::test]
async fn priv_01_events_are_dropped_when_the_days_of_the_settings_are_over_and_not_before() {
    let (service, store, _) =
        opened(Setup::default().with("SUBJECT__EVENT_RETENTION_DAYS", "2")).await;
    let clock = service.clock.clone();
    let started_at = clock.now();
    service.start_and_read(login("old")).await;
    let old: HashSet<_> = events(&store)
        .await
        .iter()
        .map(|event| event.cursor)
        .collect();
    let are_there = async |cursors: &HashSet<u64>| {
        events(&store)
            .await
            .iter()
            .any(|event| cursors.contains(&event.cursor))
    };
    for _ in 0..47 {
        service.pass(HOUR).await;
        // Enough turns for the sweep to run.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert!(are_there(&old).await, "not before");
    }
    let dropped = async {
        while are_there(&old).await {
            service.pass(HOUR).await;
        }
    };
    tokio::time::timeout(PATIENCE, dropped)
        .await
        .expect("they are dropped");
    let kept = clock.now().since(started_at);
    assert!(kept <= 60 * HOUR, "and soon after: {kept:?}");
}

#[tokio::test]
async fn store_08_a_lease_outlives_the_longest_hand_over() {
    let (service, store, vault) =
        opened(Setup::default().with("WORKER__SEND_DEADLINE_MS", "20000")).await;
    service.recorder.fall_silent_on(Channel::Email);
    let v = service.start(login("s")).await.unwrap();
    let key = VerificationId::parse(&v.verification_id).unwrap().subject;
    let blob = store.load(&key.into()).await.unwrap().blob.unwrap();
    let record = vault.open(&key, &blob).unwrap();
    let DeliveryStatus::Leased(lease) = &record.verifications[0].deliveries[0].status else {
        panic!("it is under way")
    };
    assert_eq!(
        lease.until.since(service.clock.now()),
        Duration::from_secs(20 + 5)
    );
}

#[tokio::test]
async fn store_08_who_does_not_hold_the_lease_hands_nothing_over() {
    let (service, store, vault) = opened(Setup::default()).await;
    let (v, _) = service.start_and_read(login("s")).await;
    service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == v1::DeliveryStatus::Sent
        })
        .await;
    let verification = VerificationId::parse(&v.verification_id).unwrap();
    let blob = store
        .load(&verification.subject.into())
        .await
        .unwrap()
        .blob
        .unwrap();
    let record = vault.open(&verification.subject, &blob).unwrap();
    let delivery = record.verifications[0].deliveries[0].id;
    let hand = Hands::new(HandLimits::undivided(1))
        .0
        .reserve(
            None,
            &HandOwner {
                tenant: TenantId::parse("default").unwrap(),
                caller: CallerName::parse("development").unwrap(),
                origin: Origin::Vouched,
            },
        )
        .expect("a free hand");
    // Its lease has been reported, so nobody holds it any more.
    service
        .reach
        .service
        .deliver(
            Work {
                verification,
                delivery,
                token: [9; 16],
            },
            hand,
        )
        .await
        .unwrap();
    assert_eq!(service.recorder.all().len(), 1, "the message goes out once");
}

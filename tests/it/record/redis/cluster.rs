//! A cluster under load whose slots are moved and whose masters are killed.

use std::sync::Arc;

use countersign::pb::v1;

use super::{
    bed::{mend, on, works},
    load::Load,
};
use crate::{
    harness::{login, quota, reason, recipient, scaled, unique},
    rig::Cluster,
};

/// Few shards, so that the slots that move are in use.
const SHARDS: &str = "4";
const MOVES: usize = scaled(4, 100);

#[tokio::test(flavor = "multi_thread")]
async fn rf15_resharding_under_load_approves_nothing_twice() {
    let bed = Cluster::start();
    let setup = on(&bed.url())
        .with("STORE__DEADLINE_MS", "2000")
        .with("STORE__SHARDS", SHARDS);
    let service = Arc::new(setup.start().await);
    let load = Load::begin(vec![service.clone()], 4);
    for turn in 0..MOVES {
        load.goes_on(10).await;
        let slot = bed.slot_of(&format!("{{s{}}}", turn % 4));
        let owner = bed.owner(slot).port();
        let masters = bed.masters();
        let to = masters
            .iter()
            .find(|master| master.port() != owner)
            .expect("there are three");
        bed.migrate_slot(slot, to);
    }
    load.goes_on(10).await;
    works(&service).await;
    let seen = load.end().await;
    println!(
        "{} approved over {MOVES} moves; {} mended, {:?} refused",
        seen.approvals.len(),
        seen.mended,
        seen.refusals
    );
    assert!(seen.strange().is_empty(), "{:?}", seen.refusals);
}

#[tokio::test(flavor = "multi_thread")]
async fn send_03_on_a_cluster_the_default_quotas_count_starts_and_let_them_through() {
    let bed = Cluster::start();
    let service = on(&bed.url())
        .quotas()
        .with("STORE__SHARDS", SHARDS)
        .start()
        .await;
    // Buckets of many dimensions, so that they are in many slots; an SMS also has those of its number.
    for n in 0..8 {
        let mut request = by_everything(n);
        mend(|| service.start(request.clone()))
            .await
            .expect("it is within every quota");
        request.recipients = vec![recipient(
            v1::Channel::Email,
            &format!("person{n}@example.org"),
        )];
        request.request_id = unique("start");
        mend(|| service.start(request.clone()))
            .await
            .expect("it is within every quota");
    }
    let mut refused = None;
    for _ in 0..6 {
        let request = login("s");
        refused = mend(|| service.start(request.clone())).await.err();
    }
    let status = refused.expect("five messages to one recipient are the most");
    assert_eq!(
        (reason(&status).as_str(), quota(&status).as_str()),
        ("QUOTA_EXCEEDED", "recipient")
    );
}

/// A start that counts against as many quotas as possible.
fn by_everything(n: u32) -> v1::StartVerificationRequest {
    let contact = v1::Contact {
        contact_id: format!("call-{n}"),
        agent_id: format!("agent-{n}"),
        ..Default::default()
    };
    v1::StartVerificationRequest {
        recipients: vec![recipient(v1::Channel::Sms, &format!("+316123456{n:02}"))],
        contact: Some(contact),
        quota_keys: vec![format!("device-{n}")],
        source_ip: format!("192.0.2.{n}"),
        ..login(&format!("subject-{n}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rf02_a_master_of_a_cluster_that_dies_under_load_approves_nothing_twice() {
    let bed = Cluster::start();
    let setup = on(&bed.url())
        .with("STORE__DEADLINE_MS", "2000")
        .with("STORE__SHARDS", SHARDS);
    let service = Arc::new(setup.start().await);
    let load = Load::begin(vec![service.clone()], 4);
    load.goes_on(10).await;
    let slot = bed.slot_of("{s0}");
    let old = bed.kill_owner(slot);
    bed.wait_for_new_owner(slot, old);
    load.goes_on(10).await;
    let seen = load.end().await;
    println!(
        "{} approved; {} mended, the longest in {:?}",
        seen.approvals.len(),
        seen.mended,
        seen.longest
    );
    let lost = seen
        .strange()
        .into_iter()
        .filter(|(_, reason)| reason != "VERIFICATION_NOT_FOUND")
        .collect::<Vec<_>>();
    assert!(lost.is_empty(), "{lost:?}");
}

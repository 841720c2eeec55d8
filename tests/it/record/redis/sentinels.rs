//! Failovers under load: the master is killed, a replica is promoted, and the old master returns.

use std::{sync::Arc, time::Instant};

use countersign::pb::v1::Verdict;
use tonic::Code;

use super::{
    bed::{eventually, guess, mend, on, readyz, settled, start_again, works},
    load::Load,
};
use crate::{
    harness::{login, scaled, unique},
    rig::{PATIENCE, Replicated},
};

/// The number of consecutive failovers.
const FAILOVERS: usize = scaled(3, 100);

#[tokio::test(flavor = "multi_thread")]
async fn rf02_failovers_under_load_approve_nothing_twice() {
    let bed = Replicated::with_sentinels(2);
    let service = Arc::new(
        on(&bed.url())
            .with("STORE__DEADLINE_MS", "1000")
            .start()
            .await,
    );
    let load = Load::begin(vec![service.clone()], 4);
    for round in 0..FAILOVERS {
        load.goes_on(10).await;
        let (v, code) = settled_under_load(&service).await;
        let old = bed.master_addr();
        bed.server_at(old).kill9();
        let died = Instant::now();
        bed.wait_for_new_master(old, PATIENCE);
        let elected = died.elapsed();
        // New verifications work as soon as the new master answers.
        works(&service).await;
        println!(
            "failover {round}: elected after {elected:?}, served after {:?}",
            died.elapsed()
        );
        assert_dead(&guess(&service, &v, &code).await);
        bed.server_at(old).restart();
        bed.wait_settled();
    }
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

/// The record was replicated (`START_AGAIN`), or it was lost (`NOT_FOUND`).
fn assert_dead(answer: &Result<Verdict, (Code, String)>) {
    let unknown = (Code::NotFound, "VERIFICATION_NOT_FOUND".to_owned());
    assert!(
        [Err(start_again()), Err(unknown)].contains(answer),
        "{answer:?}"
    );
}

/// A verification that is pending in the current generation.
async fn settled_under_load(service: &crate::harness::Harness) -> (String, String) {
    let request = login(&unique("held"));
    let v = mend(|| service.start(request.clone())).await.unwrap();
    let code = service.code_of(&v.verification_id).await;
    (v.verification_id, code)
}

#[tokio::test(flavor = "multi_thread")]
async fn rf02_a_failover_by_hand_ends_what_is_live_and_no_more() {
    let bed = Replicated::with_sentinels(1);
    let service = on(&bed.url()).start().await;
    let (open, code) = settled(&service, "open").await;
    bed.failover();
    bed.wait_settled();
    assert_dead(&guess(&service, &open.verification_id, &code).await);
    works(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_nothing_is_held_against_the_new_master() {
    let bed = Replicated::with_sentinels(1);
    let service = on(&bed.url()).start().await;
    works(&service).await;
    let old = bed.master();
    old.cmd(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    eventually("the store to be refused", async || {
        readyz(&service).await.starts_with("HTTP/1.1 503")
    })
    .await;
    bed.failover();
    eventually("the new master to be used", async || {
        readyz(&service).await.starts_with("HTTP/1.1 200")
    })
    .await;
    assert!(!readyz(&service).await.contains("eviction_policy"));
    works(&service).await;
}

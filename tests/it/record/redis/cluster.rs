//! A cluster whose slots move, and whose masters die, under load.

use std::sync::Arc;

use super::{
    bed::{on, works},
    load::Load,
};
use crate::{harness::scaled, rig::Cluster};

/// Few, so that what moves is in use.
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

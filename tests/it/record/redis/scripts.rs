//! A server under load that has lost its scripts, or closes connections.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    bed::{down, on, settled, works},
    load::{Load, none_is_lost},
};
use crate::{
    harness::{Harness, shape, unique, wrong},
    rig::{ALWAYS, Options, Proxy, RedisServer, command},
};

/// Rounds of faults.
const ROUNDS: usize = crate::harness::scaled(5, 200);
/// The requirement is one second; a busy machine gets more.
const RECOVERY_MAX: Duration = Duration::from_secs(5);

/// Injects a fault repeatedly under load: no verdict is wrong, no start is lost, and calls recover quickly.
async fn under_load(fault: &[&str]) {
    let server = RedisServer::start(&Options::default());
    let service = Arc::new(on(&server.url()).start().await);
    let load = Load::begin(vec![service.clone()], 4);
    let mut worst = Duration::ZERO;
    for _ in 0..ROUNDS {
        load.goes_on(10).await;
        server.cmd(fault).ok();
        let begun = Instant::now();
        works(&service).await;
        worst = worst.max(begun.elapsed());
    }
    let seen = load.end().await;
    println!(
        "{fault:?}: {} approved, {} mended, recovery {worst:?} at worst",
        seen.approvals.len(),
        seen.mended
    );
    assert!(worst < RECOVERY_MAX, "{worst:?}");
    assert!(seen.refusals.is_empty(), "{:?}", seen.refusals);
    none_is_lost(std::slice::from_ref(&service), &seen.started).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rf08_flushed_scripts_under_load_cost_nobody_anything() {
    under_load(&["SCRIPT", "FLUSH"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_16_killed_connections_under_load_lose_no_start() {
    under_load(&["CLIENT", "KILL", "TYPE", "normal"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_03_a_script_that_stays_missing_is_loaded_once_a_call_and_fails() {
    let server = RedisServer::start(&Options::default());
    let proxy = Proxy::start(server.addr());
    let service = on(&proxy.url())
        .with("WORKER__POLL_MS", "60000")
        .start()
        .await;
    let (v, code) = settled(&service, "s").await;
    let missing = proxy.inject_error(
        ALWAYS,
        is_commit,
        "NOSCRIPT No matching script. Please use EVAL.",
    );
    let before = proxy.count("SCRIPT");
    for n in 1..=3 {
        assert_eq!(
            shape(
                service
                    .try_check(&v.verification_id, &code, &unique("a"))
                    .await
            ),
            down()
        );
        let loads = proxy.count("SCRIPT") - before;
        // Once for each decision, of which there are at most two.
        assert!(loads <= 2 * n, "{loads} loads for {n} calls");
    }
    missing.clear();
    assert_eq!(
        shape_of(&service, &v.verification_id, &wrong(&code)).await,
        "Wrong"
    );
    works(&service).await;
}

/// Matches the scripts of records, but not those of quotas and heartbeats.
fn is_commit(arguments: &[Vec<u8>]) -> bool {
    command("EVALSHA")(arguments) && arguments.get(2).is_some_and(|keys| keys == b"4")
}

async fn shape_of(service: &Harness, id: &str, code: &str) -> String {
    format!("{:?}", service.check(id, code).await)
}

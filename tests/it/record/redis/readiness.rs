//! Ready means that a start would succeed, also without a call that would find out.

use std::time::{Duration, Instant};

use super::{
    acl::limited_server,
    bed::{eventually, on, readyz, works},
};
use crate::{
    harness::{Harness, binary::binary},
    record::process::production,
    rig::{Options, RedisServer, Replicated},
};

/// How soon a condition must be seen, with time for a busy machine.
const SOON: Duration = Duration::from_secs(8);

/// Waits until `/readyz` has this status and contains these words.
async fn becomes(service: &Harness, status: &str, words: &[&str]) {
    let begun = Instant::now();
    let mut told = String::new();
    while begun.elapsed() < SOON {
        told = readyz(service).await;
        let starts = told.starts_with(&format!("HTTP/1.1 {status}"));
        if starts && words.iter().all(|word| told.contains(word)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{status} {words:?} within {SOON:?}; last: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_23_too_few_replicas_are_seen_without_a_call() {
    let bed = Replicated::start(1);
    let set = |name: &str, value: &str| {
        bed.servers()[0].cmd(&["CONFIG", "SET", name, value]).ok();
    };
    set("min-replicas-to-write", "1");
    set("min-replicas-max-lag", "1");
    let service = on(&bed.servers()[0].url()).start().await;
    becomes(&service, "200", &["ready"]).await;
    bed.servers()[1].sigstop();
    becomes(
        &service,
        "503",
        &["NOREPLICAS", "degraded: too_few_replicas"],
    )
    .await;
    bed.servers()[1].sigcont();
    becomes(&service, "200", &["ready"]).await;
    works(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_23_a_right_that_was_taken_away_is_seen() {
    let (server, setup) = limited_server();
    let service = setup.start().await;
    becomes(&service, "200", &["ready"]).await;
    for right in ["xadd", "set", "evalsha"] {
        let change = |sign: &str| {
            let rule = format!("{sign}{right}");
            server.cmd(&["ACL", "SETUSER", "countersign", &rule]).ok();
        };
        change("-");
        becomes(&service, "503", &["degraded: right_missing", "NOPERM"]).await;
        change("+");
        becomes(&service, "200", &["ready"]).await;
    }
    assert!(!readyz(&service).await.contains("right_missing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn store_23_a_full_store_is_seen() {
    let server = RedisServer::start(&Options::default());
    let service = on(&server.url()).start().await;
    server.cmd(&["CONFIG", "SET", "maxmemory", "1"]).ok();
    becomes(&service, "503", &["OOM", "degraded: store_full"]).await;
    server.cmd(&["CONFIG", "SET", "maxmemory", "0"]).ok();
    becomes(&service, "200", &["ready"]).await;
    works(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_23_a_server_that_cannot_save_is_seen() {
    let server = RedisServer::start(&Options::default().set("dbfilename", "nowhere.rdb"));
    let service = on(&server.url()).start().await;
    server.cmd(&["CONFIG", "SET", "save", "1000 1000000"]).ok();
    // A snapshot to the name of a folder fails, and the server then refuses writes (MISCONF).
    std::fs::create_dir(server.dir().join("nowhere.rdb")).unwrap();
    let _ = server.cmd(&["BGSAVE"]);
    becomes(&service, "503", &["MISCONF", "degraded: writes_refused"]).await;
    std::fs::remove_dir(server.dir().join("nowhere.rdb")).unwrap();
    let _ = server.cmd(&["BGSAVE"]);
    becomes(&service, "200", &["ready"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_23_a_master_that_became_a_replica_is_seen() {
    let server = RedisServer::start(&Options::default());
    let service = on(&server.url()).start().await;
    server.cmd(&["REPLICAOF", "127.0.0.1", "1"]).ok();
    becomes(&service, "503", &["it is a slave and no master"]).await;
    server.cmd(&["REPLICAOF", "NO", "ONE"]).ok();
    becomes(&service, "200", &["ready"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_23_another_number_of_shards_is_seen_and_a_lost_one_is_mended() {
    let server = RedisServer::start(&Options::default());
    let service = on(&server.url()).start().await;
    let keys = server.cmd(&["KEYS", "*:shards"]).ok();
    let key = keys.list()[0].text();
    server.cmd(&["SET", &key, "7"]).ok();
    becomes(
        &service,
        "503",
        &["degraded: other_shards", "set up with 7"],
    )
    .await;
    // A flushed store goes on with half of the failure counts, and a start finds it set up.
    server.cmd(&["FLUSHALL"]).ok();
    becomes(&service, "200", &["degraded: forgot"]).await;
    eventually("the store to be set up", async || {
        server.cmd(&["GET", &key]).error().is_none() && server.cmd(&["EXISTS", &key]).int() == 1
    })
    .await;
    let epochs = server.cmd(&["KEYS", "*epoch"]).ok();
    assert!(!epochs.list().is_empty());
    for epoch in epochs.list() {
        let value = server.cmd(&["GET".as_bytes(), epoch.bytes()]).text();
        assert!(value.starts_with("lost:"), "{value}");
    }
    works(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_23_acknowledgements_that_no_replica_can_give_are_seen() {
    let bed = Replicated::start(1);
    let service = on(&bed.servers()[0].url())
        .with("STORE__WAIT_REPLICAS", "1")
        .start()
        .await;
    becomes(&service, "200", &["ready"]).await;
    bed.servers()[1].cmd(&["REPLICAOF", "NO", "ONE"]).ok();
    becomes(&service, "200", &["degraded: no_acknowledgement"]).await;
}

#[test]
fn store_12_check_config_looks_at_replicas_and_sentinels() {
    let bed = Replicated::with_sentinels(2);
    let dir = tempfile::tempdir().unwrap();
    let file = production(dir.path(), "a-real-key");
    let check = || {
        let output = binary()
            .env("COUNTERSIGN__STORE__URL", bed.url())
            .env("COUNTERSIGN__STORE__PLAINTEXT_ALLOWED", "true")
            .args(["check-config", "--store", "--config", &file])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        said
    };
    let well = check();
    for word in ["replica_unfit", "replica_unknown", "sentinel"] {
        assert!(!well.contains(word), "{word}: {well}");
    }
    assert!(
        well.contains("old_version: the replica 127.0.0.1:"),
        "{well}"
    );
    assert!(well.contains("the settings and the store can be used, with"));
    let replicas = bed.replicas();
    replicas[0]
        .cmd(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"])
        .ok();
    replicas[1].cmd(&["CONFIG", "SET", "requirepass", "x"]).ok();
    bed.sentinels()[0].kill9();
    let told = check();
    for part in [
        "replica_unfit: the replica",
        "maxmemory-policy is allkeys-lru",
        "replica_unknown: the replica",
        "sentinel_unknown: the sentinel",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

//! A server out of memory, or with an evicting policy.

use countersign::{app::Machine, pb::v1::Verdict};
use tonic::Code;

use super::bed::{down, eventually, guess, on, readyz, settled, try_start, works};
use crate::{
    harness::{shape, unique, wrong},
    rig::{Options, RedisServer},
};

fn full() -> (Code, String) {
    (Code::ResourceExhausted, "STORE_FULL".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn rf06_without_memory_starts_are_refused_and_nothing_is_approved() {
    let server = RedisServer::start(&Options::default());
    let service = on(&server.url()).start().await;
    let (v, code) = settled(&service, "s").await;
    server.cmd(&["CONFIG", "SET", "maxmemory", "1"]).ok();
    for _ in 0..3 {
        assert_eq!(try_start(&service).await, full());
        assert_eq!(
            shape(
                service
                    .try_check(&v.verification_id, &code, &unique("a"))
                    .await
            ),
            down()
        );
        assert_eq!(
            shape(
                service
                    .try_check(&v.verification_id, &wrong(&code), &unique("a"))
                    .await
            ),
            down()
        );
    }
    assert_eq!(
        shape(service.try_check(&v.verification_id, "no code", "m").await),
        down(),
        "no quota, no answer"
    );
    assert_eq!(
        service.get(&v.verification_id).await.unwrap().attempts_left,
        5,
        "what is there can be read"
    );
    server.cmd(&["CONFIG", "SET", "maxmemory", "0"]).ok();
    assert_eq!(
        guess(&service, &v.verification_id, &code).await,
        Ok(Verdict::Approved)
    );
    works(&service).await;
}

/// The store fills up by ordinary use.
#[tokio::test(flavor = "multi_thread")]
async fn store_11_a_store_that_fills_up_loses_nothing_that_it_took() {
    let server = RedisServer::start(&Options::default());
    let service = on(&server.url()).start().await;
    let used: u64 = server.info("used_memory").unwrap().parse().unwrap();
    server
        .cmd(&["CONFIG", "SET", "maxmemory", &(used + 200_000).to_string()])
        .ok();
    let mut taken = Vec::new();
    let refused = loop {
        match service.start(crate::harness::login(&unique("fill"))).await {
            Ok(v) => taken.push(v.verification_id),
            Err(status) => break shape::<()>(Err(status)),
        }
        assert!(taken.len() < 5000, "it never fills up");
    };
    assert_eq!(refused, full());
    assert!(!taken.is_empty());
    for id in &taken {
        service.get(id).await.expect("it is there");
    }
    assert_eq!(server.info("evicted_keys").as_deref(), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rf07_a_server_that_may_evict_is_refused_at_the_start() {
    let server = RedisServer::start(&Options::default().set("maxmemory-policy", "allkeys-lru"));
    let refused = on(&server.url())
        .try_start_on(Machine::default())
        .await
        .err()
        .expect("no start");
    assert!(format!("{refused:#}").contains("noeviction"), "{refused:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rf07_a_policy_that_is_changed_at_run_time_closes_the_store() {
    let server = RedisServer::start(&Options::default());
    let service = on(&server.url()).start().await;
    let (v, code) = settled(&service, "s").await;
    server
        .cmd(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"])
        .ok();
    eventually("the store to be closed", async || {
        readyz(&service).await.starts_with("HTTP/1.1 503")
    })
    .await;
    assert_eq!(
        shape(service.try_check(&v.verification_id, &code, "a").await),
        down()
    );
    assert_eq!(try_start(&service).await, down());
    assert!(readyz(&service).await.contains("degraded: eviction_policy"));
    server
        .cmd(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
        .ok();
    assert_eq!(
        guess(&service, &v.verification_id, &code).await,
        Ok(Verdict::Approved)
    );
    assert!(!readyz(&service).await.contains("degraded: eviction_policy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn store_10_thrown_away_keys_are_noticed_and_counted_against_the_guesser() {
    let server = RedisServer::start(&Options::default());
    let service = on(&server.url()).start().await;
    settled(&service, "before").await;
    let before = server.info("evicted_keys").unwrap();
    // Keys are evicted between two checks of the policy; those of other users are enough.
    for n in 0..200 {
        server
            .cmd(&[
                "SET",
                &format!("other:{n}"),
                &"x".repeat(1000),
                "PX",
                "600000",
            ])
            .ok();
    }
    let used: u64 = server.info("used_memory").unwrap().parse().unwrap();
    server
        .cmd(&["CONFIG", "SET", "maxmemory-policy", "volatile-random"])
        .ok();
    server
        .cmd(&["CONFIG", "SET", "maxmemory", &(used - 20_000).to_string()])
        .ok();
    eventually("keys to be thrown away", async || {
        server.cmd(&["SET", "more", "x", "PX", "600000"]);
        server.info("evicted_keys").unwrap() != before
    })
    .await;
    server.cmd(&["CONFIG", "SET", "maxmemory", "0"]).ok();
    server
        .cmd(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
        .ok();
    eventually("the alarm", async || {
        readyz(&service).await.contains("degraded: evicted")
    })
    .await;
    works(&service).await;
    eventually("all shards to be marked", async || {
        let epochs = server.cmd(&["KEYS", "*epoch"]).ok();
        epochs.list().iter().all(|key| {
            server
                .cmd(&["GET".as_bytes(), key.bytes()])
                .text()
                .starts_with("lost:")
        })
    })
    .await;
    assert_eq!(
        super::bed::guesses_until_disabled(&service, "new").await,
        13
    );
}

//! Redis servers whose clock differs from that of the service: the stricter clock decides, and the service reports it.

use std::{sync::Arc, time::Duration};

use countersign::{
    app::Machine,
    domain::time::Timestamp,
    pb::v1::{Verdict, VerificationStatus},
    ports::system::Clock,
    system::{ManualClock, SystemClock},
};

use super::bed::{eventually, on, readyz};
use crate::{
    harness::{Harness, Setup, login},
    rig::{Options, RedisServer},
};

const HOUR: Duration = Duration::from_secs(3600);

/// The real time plus or minus this difference, standing still.
fn real(later: Duration, earlier: Duration) -> Arc<ManualClock> {
    let now = SystemClock::new().now().as_micros();
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap();
    Arc::new(ManualClock::new(Timestamp::from_micros(
        now + micros(later) - micros(earlier),
    )))
}

/// A service with this clock, while the server uses its own.
async fn service(server: &RedisServer, clock: Arc<ManualClock>) -> Harness {
    let setup = Setup {
        clock: clock.clone(),
        ..on(&server.url())
    };
    setup
        .try_start_on(Machine {
            clock,
            ..Machine::default()
        })
        .await
        .unwrap()
}

/// A live verification of a service with the right clock, checked by a service with the same keys and a wrong clock.
async fn judged_by(server: &RedisServer, clock: Arc<ManualClock>) -> (Verdict, Harness) {
    let right = Setup {
        clock: real(Duration::ZERO, Duration::ZERO),
        ..on(&server.url())
    };
    let service = right
        .try_start_on(Machine {
            clock: right.clock.clone(),
            ..Machine::default()
        })
        .await
        .unwrap();
    let (v, code) = service.start_and_read(login("s")).await;
    let skewed = Setup {
        clock: clock.clone(),
        dir: right.dir.clone(),
        ..on(&server.url())
    };
    let skewed = skewed
        .try_start_on(Machine {
            clock,
            ..Machine::default()
        })
        .await
        .unwrap();
    (skewed.check(&v.verification_id, &code).await, skewed)
}

#[tokio::test(flavor = "multi_thread")]
async fn rf11_a_server_an_hour_behind_lets_no_code_live_longer() {
    let server = RedisServer::start(&Options::default());
    let (verdict, service) = judged_by(&server, real(HOUR, Duration::ZERO)).await;
    assert_eq!(
        verdict,
        Verdict::Expired,
        "by our clock, though not by the server's"
    );
    assert_skewed(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rf10_a_server_an_hour_ahead_lets_no_code_live_longer() {
    let server = RedisServer::start(&Options::default());
    let (verdict, service) = judged_by(&server, real(Duration::ZERO, HOUR)).await;
    assert_eq!(verdict, Verdict::Approved, "in time by both clocks");
    // A verification started by the earlier clock has expired by the later one: no message is sent, and nothing can be
    // approved.
    let v = service.start(login("late")).await.unwrap();
    service.advance(30);
    let v = service.get(&v.verification_id).await.unwrap();
    assert_eq!(
        (v.status(), service.recorder.all().len()),
        (VerificationStatus::Expired, 0)
    );
    assert_skewed(&service).await;
}

/// The difference is reported, and the service continues.
async fn assert_skewed(service: &Harness) {
    eventually("the complaint", async || {
        readyz(service).await.contains("degraded: clock_skew")
    })
    .await;
    assert!(readyz(service).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rf10_and_rf11_a_new_master_with_another_clock_relaxes_no_wait_and_no_expiry() {
    // Both clocks are manual: the server's stands still while the service's advances, and the other way round.
    for server_stands in [true, false] {
        let server = RedisServer::start(&Options::default());
        let setup = on(&server.url());
        let store_clock = Arc::new(ManualClock::new(setup.clock.now()));
        let machine = Machine {
            clock: setup.clock.clone(),
            store_clock: Some(store_clock.clone()),
            ..Machine::default()
        };
        let service = setup.start_on(machine).await;
        let (v, code) = service.start_and_read(login("s")).await;
        let moves = if server_stands {
            &setup.clock
        } else {
            &store_clock
        };
        moves.advance(Duration::from_secs(301));
        assert_eq!(
            service.check(&v.verification_id, &code).await,
            Verdict::Expired,
            "the server stands: {server_stands}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_01_a_clock_of_the_service_that_jumps_ends_codes_and_begins_none() {
    let server = RedisServer::start(&Options::default());
    let clock = real(Duration::ZERO, Duration::ZERO);
    let service = service(&server, clock).await;
    let (v, code) = service.start_and_read(login("s")).await;
    service.advance(301);
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Expired
    );
    assert_skewed(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_02_clocks_that_agree_are_not_complained_of_and_three_seconds_are() {
    let server = RedisServer::start(&Options::default());
    let setup = on(&server.url());
    let service = setup.try_start_on(Machine::default()).await.unwrap();
    super::bed::works(&service).await;
    assert!(!readyz(&service).await.contains("clock_skew"));
    let skewed = self::service(&server, real(Duration::from_secs(3), Duration::ZERO)).await;
    eventually("the complaint", async || {
        readyz(&skewed).await.contains("degraded: clock_skew")
    })
    .await;
    drop(service);
}

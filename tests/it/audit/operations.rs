//! The operator's view: audit lines, metrics, health, and the deletion of old data.

use std::sync::Arc;

use countersign::{app::Machine, pb::v1::Verdict, system::SystemClock};

use crate::{
    harness::http::get,
    harness::{A_BIT, Harness, Setup, login, suspended::Suspended, unique, wrong},
};

#[tokio::test]
async fn log_01_events_reconcile_with_calls() {
    let service = Harness::new().await;
    let (mut starts, mut checks) = (0, 0);
    for n in 0..10 {
        let (v, code) = service.start_and_read(login(&format!("s{n}"))).await;
        starts += 1;
        for guess in [wrong(&code), code] {
            service.check(&v.verification_id, &guess).await;
            checks += 1;
        }
        service
            .until(&v.verification_id, |v| v.deliveries[0].tries == 1)
            .await;
    }
    let lines = service.audit().await;
    let of = |what: &str| lines.iter().filter(|line| line.what == what).count();
    assert_eq!(
        (of("started"), of("checked"), of("closed")),
        (starts, checks, starts)
    );
    let by_a_call = |what: &str| ["started", "checked", "closed"].contains(&what);
    let named = lines
        .iter()
        .filter(|line| by_a_call(&line.what))
        .all(|line| line.caller == "development");
    assert!(
        named
            && lines
                .iter()
                .all(|line| line.at.as_micros() > 0 && line.action == "login")
    );
}

#[tokio::test]
async fn priv_01_a_closed_verification_is_forgotten() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
    assert!(service.get(&v.verification_id).await.is_ok());
    service.advance(3601);
    while service.get(&v.verification_id).await.is_ok() {
        service.pass(A_BIT).await;
    }
}

#[tokio::test]
async fn priv_04_a_subject_that_looks_like_a_citizen_number_is_counted() {
    let service = Harness::new().await;
    let before = counted(&service).await;
    service
        .start(login("111222333"))
        .await
        .expect("a warning, no refusal");
    service.start(login(&unique("opaque"))).await.unwrap();
    assert!(counted(&service).await > before);
}

#[tokio::test]
async fn what_is_wrong_with_the_clock_is_on_the_ready_page() {
    let machine = Machine {
        clock: Arc::new(Suspended(Arc::new(SystemClock::new()))),
        ..Machine::default()
    };
    let service = Setup::default().start_on(machine).await;
    let page = get(service.reach.admin, "/readyz").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("degraded: clock_jumped: the system clock was ahead"));
}

async fn counted(service: &Harness) -> u64 {
    let page = get(service.reach.admin, "/metrics").await;
    let line = page
        .lines()
        .find(|line| line.starts_with("countersign_citizen_number_subjects_total "));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

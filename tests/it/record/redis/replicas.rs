//! Durable commits are answered only after replicas have them.

use std::sync::Arc;

use countersign::pb::v1::{self, Verdict};

use super::bed::{down, eventually, mend, on, readyz, settled, try_start, works};
use crate::{
    harness::{Setup, http::get, login, shape, unique, wrong},
    rig::Replicated,
};

/// Too long to be waited for by chance, and shorter than the deadline.
const LONG_MS: &str = "8000";

fn waiting(bed: &Replicated, wait_ms: &str) -> Setup {
    on(&bed.servers()[0].url())
        .with("STORE__WAIT_REPLICAS", "1")
        .with("STORE__WAIT_MS", wait_ms)
}

#[tokio::test(flavor = "multi_thread")]
async fn rf04_what_no_replica_has_gets_no_verdict_and_stays() {
    let bed = Replicated::start(1);
    let service = waiting(&bed, "100").start().await;
    let (v, code) = settled(&service, "s").await;
    let (right, right_code) = settled(&service, "right").await;
    bed.servers()[1].sigstop();
    let wrong = wrong(&code);
    assert_eq!(
        shape(service.try_check(&v.verification_id, &wrong, "w").await),
        down()
    );
    let approval = shape(
        service
            .try_check(&right.verification_id, &right_code, "r")
            .await,
    );
    let repeats = [(&v, &wrong, "w"), (&right, &right_code, "r")];
    for (v, guess, attempt) in repeats {
        let repeat = shape(service.try_check(&v.verification_id, guess, attempt).await);
        assert_eq!(
            repeat,
            down(),
            "nor does a repeat get what is not there yet"
        );
    }
    bed.servers()[1].sigcont();
    assert_eq!(approval, down(), "no approval either");
    let repeat = mend(|| service.try_check(&v.verification_id, &wrong, "w"))
        .await
        .unwrap();
    assert_eq!(
        (repeat.verdict(), repeat.attempts_left),
        (Verdict::Wrong, 4),
        "it was written"
    );
    let next = mend(|| service.try_check(&v.verification_id, &wrong, "n"))
        .await
        .unwrap();
    assert_eq!(
        (next.verdict(), next.attempts_left),
        (Verdict::Wrong, 3),
        "once"
    );
    let repeat = mend(|| service.try_check(&right.verification_id, &right_code, "r"))
        .await
        .unwrap();
    assert_eq!(repeat.verdict(), Verdict::Approved);
    assert_eq!(
        service.check(&right.verification_id, &right_code).await,
        Verdict::Closed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn log_07_a_verdict_that_waits_for_its_replica_is_counted_once() {
    let bed = Replicated::start(1);
    let service = waiting(&bed, "100")
        .file("[actions.counted]\n")
        .start()
        .await;
    let start = v1::StartVerificationRequest {
        action: "counted".to_owned(),
        ..login("s")
    };
    let (v, code) = service.start_and_read(start).await;
    let check = async || {
        service
            .try_check(&v.verification_id, &code, "right")
            .await
            .map(|answer| answer.verdict())
    };
    bed.servers()[1].sigstop();
    assert_eq!(shape(check().await), down());
    bed.servers()[1].sigcont();
    assert_eq!(mend(check).await.unwrap(), Verdict::Approved);
    let metrics = get(service.reach.admin, "/metrics").await;
    let counted = metrics
        .lines()
        .filter(|line| line.starts_with("countersign_verdicts_total{action=\"counted\""));
    let values: Vec<_> = counted.filter(|line| !line.ends_with(" 0")).collect();
    assert_eq!(values.len(), 1, "{values:?}");
    assert!(
        values[0].contains("approved") && values[0].ends_with(" 1"),
        "{values:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn store_07_while_one_commit_waits_the_others_do_not() {
    let bed = Replicated::start(1);
    let service = Arc::new(waiting(&bed, LONG_MS).start().await);
    let (v, code) = settled(&service, "s").await;
    bed.servers()[1].sigstop();
    let waits = {
        let (service, id, wrong) = (service.clone(), v.verification_id.clone(), wrong(&code));
        tokio::spawn(async move { service.try_check(&id, &wrong, "w").await })
    };
    for _ in 0..20 {
        let v = service
            .start(login(&unique("other")))
            .await
            .expect("a start waits for no replica");
        service.get(&v.verification_id).await.unwrap();
    }
    assert!(
        !waits.is_finished(),
        "the commit of a count waits for its replica"
    );
    bed.servers()[1].sigcont();
    assert_eq!(waits.await.unwrap().unwrap().verdict(), Verdict::Wrong);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_refuses_writes_because_its_replicas_are_gone_is_not_ready() {
    let bed = Replicated::start(1);
    let set = |name: &str, value: &str| {
        bed.servers()[0].cmd(&["CONFIG", "SET", name, value]);
    };
    set("min-replicas-to-write", "1");
    set("min-replicas-max-lag", "1");
    let service = on(&bed.servers()[0].url()).start().await;
    works(&service).await;
    assert!(readyz(&service).await.starts_with("HTTP/1.1 200"));
    bed.servers()[1].sigstop();
    eventually("the master to refuse writes", async || {
        try_start(&service).await == down()
    })
    .await;
    eventually("readiness to fail", async || {
        let told = readyz(&service).await;
        told.starts_with("HTTP/1.1 503") && told.contains("refuses writes")
    })
    .await;
    bed.servers()[1].sigcont();
    // Not by a call: a load balancer sends none to a process that is not ready.
    eventually("readiness to come back", async || {
        readyz(&service).await.starts_with("HTTP/1.1 200")
    })
    .await;
    works(&service).await;
}

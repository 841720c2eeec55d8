//! The service where a fleet has its Redis: watched by sentinels, on a cluster, as a user with no right too many.

mod rights;
mod trips;

use std::{path::Path, time::Duration};

use countersign::pb::v1::{self, Verdict, VerificationStatus};
use tonic::Code;

use crate::{
    harness::{A_BIT, Harness, Setup, login, on_contact, reason, recipient, unique, wrong},
    rig::{Cluster, Replicated},
};

/// Subjects of one conversation on a cluster: enough that each master has some.
const SUBJECTS: usize = 20;

/// Starts servers: that blocks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// The service on the Redis of that URL.
fn on(url: &str) -> Setup {
    let mut setup = Setup::default();
    setup.settings.retain(|(key, _)| !key.starts_with("STORE__"));
    setup.with("STORE__URL", url)
}

/// A whole conversation: wrong and right, again and by another road, malformed, canceled, expired, watched and audited.
async fn converse(service: &Harness, subject: &str) {
    let mut request = login(subject);
    request.recipients.push(recipient(v1::Channel::Sms, "+31612345678"));
    let (v, code) = service.start_and_read(request.clone()).await;
    assert_eq!(service.start(request).await.unwrap().verification_id, v.verification_id, "a repeat is harmless");
    assert_eq!(service.check(&v.verification_id, &wrong(&code)).await, Verdict::Wrong);
    service.advance(30);
    let resent = service.try_resend(&v.verification_id, v1::Channel::Sms).await.unwrap();
    assert_eq!((resent.expires_at, resent.attempts_left), (v.expires_at, 4));
    let malformed = service.try_check(&v.verification_id, "no code", &unique("a")).await.unwrap_err();
    assert_eq!((malformed.code(), reason(&malformed).as_str()), (Code::InvalidArgument, "CODE_MALFORMED"));
    let approved = service.until(&v.verification_id, |v| v.status() == VerificationStatus::Approved);
    let (seen, verdict) = tokio::join!(approved, service.check(&v.verification_id, &code));
    assert_eq!((seen.verification_id, verdict), (v.verification_id.clone(), Verdict::Approved), "and the watcher heard of it");
    assert_eq!(service.check(&v.verification_id, &code).await, Verdict::Closed);
    let (canceled, its_code) = service.start_and_read(on_contact(login(subject), "c1")).await;
    service.try_cancel(&canceled.verification_id, v1::CancelReason::NotMe).await.unwrap();
    assert_eq!(service.check(&canceled.verification_id, &its_code).await, Verdict::Closed);
}

/// How often each verification of the audit trail was closed.
async fn closings(service: &Harness, id: &str) -> usize {
    service.audit().await.iter().filter(|line| line.what == "closed" && line.verification == id).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_on_a_master_that_sentinels_watch_and_on_the_next_one() {
    let bed = std::sync::Arc::new(blocking(|| Replicated::with_sentinels(2)).await);
    // A wrong guess is answered when both replicas have it, and with it all that was before.
    let service = on(&bed.url()).with("STORE__WAIT_REPLICAS", "2").with("STORE__WAIT_MS", "9000").start().await;
    converse(&service, "before").await;
    let (old, old_code) = service.start_and_read(login("s")).await;
    assert_eq!(service.check(&old.verification_id, &wrong(&old_code)).await, Verdict::Wrong);
    let failing = bed.clone();
    blocking(move || failing.failover()).await;
    // Until it notices, the service goes on with the old master, whose verifications are its own.
    let moved = loop {
        match service.get(&old.verification_id).await {
            Ok(v) if v.status() == VerificationStatus::Canceled => break v,
            Ok(v) => assert_eq!(v.status(), VerificationStatus::Pending),
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
        }
        tokio::time::sleep(A_BIT).await;
    };
    assert!(moved.explanation.to_lowercase().contains("start again"), "{}", moved.explanation);
    let lost = service.try_check(&old.verification_id, &old_code, "a").await.unwrap_err();
    assert_eq!((lost.code(), reason(&lost).as_str()), (Code::FailedPrecondition, "START_AGAIN"));
    converse(&service, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_04_the_service_on_a_cluster() {
    let bed = std::sync::Arc::new(blocking(Cluster::start).await);
    let service = on(&bed.url()).start().await;
    for n in 0..SUBJECTS {
        converse(&service, &format!("s{n}")).await;
    }
    let masters = bed.clone();
    let records =
        blocking(move || masters.masters().iter().map(|master| master.cmd(&["DBSIZE"]).int()).collect::<Vec<_>>()).await;
    assert!(records.iter().all(|count| *count > 20), "each master has its part: {records:?}");
    // Nobody asks for it: the sweep of the due shards closes it.
    let expired = service.start(login("late")).await.unwrap().verification_id;
    while closings(&service, &expired).await == 0 {
        service.pass(Duration::from_secs(10)).await;
    }
    assert_eq!(closings(&service, &expired).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rf02_a_master_of_a_cluster_that_dies_takes_only_what_was_live_there() {
    let bed = std::sync::Arc::new(blocking(Cluster::start).await);
    let service = on(&bed.url()).start().await;
    let mut live = Vec::new();
    for n in 0..SUBJECTS {
        live.push(service.start_and_read(login(&format!("s{n}"))).await);
    }
    let killing = bed.clone();
    blocking(move || {
        let slot = killing.slot_of("{s0}");
        let old = killing.kill_owner(slot);
        killing.wait_for_new_owner(slot, old);
    })
    .await;
    let mut counts = [0, 0];
    for (v, code) in live {
        let verdict = loop {
            match service.try_check(&v.verification_id, &code, "a").await {
                Err(status) if status.code() == Code::Unavailable => tokio::time::sleep(A_BIT).await,
                other => break other,
            }
        };
        match verdict {
            Ok(answer) => {
                assert_eq!(answer.verdict(), Verdict::Approved);
                counts[0] += 1;
            }
            Err(status) => {
                assert_eq!(reason(&status), "START_AGAIN");
                counts[1] += 1;
            }
        }
    }
    assert!(counts[0] > 0 && counts[1] > 0, "approved elsewhere, lost there: {counts:?}");
}

/// The text of a file of `deploy/`.
fn deployed(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)).unwrap()
}

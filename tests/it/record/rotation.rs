//! A key rotation through the real server (SEAL-06): records sealed with the old key can be used under the new one.

use countersign::pb::v1::{CancelReason, DeliveryStatus, Verdict, VerificationStatus};
use tonic::Code;

use crate::harness::{Harness, Setup, login, shape, wrong};

/// The settings with this key ring of files in the data directory, the current key first.
fn ring(setup: &Setup, kids: &[&str]) -> Setup {
    let file = |kid: &&str| {
        setup
            .dir
            .path()
            .join(format!("data/keys/{kid}.key"))
            .display()
            .to_string()
    };
    let entries: Vec<_> = kids
        .iter()
        .map(|kid| format!("{{ kid = {kid:?}, file = {:?} }}", file(kid)))
        .collect();
    let file = format!("[keys]\nring = [{}]\n", entries.join(", "));
    Setup {
        settings: setup.settings.clone(),
        file,
        dir: setup.dir.clone(),
        clock: setup.clock.clone(),
        quotas: setup.quotas,
    }
}

async fn lines(service: &Harness) -> Vec<String> {
    service
        .audit()
        .await
        .iter()
        .map(|line| format!("{line:?}"))
        .collect()
}

#[tokio::test]
async fn seal_06_live_codes_verdicts_and_events_outlive_the_current_key() {
    let setup = Setup::default().durable();
    let old = ring(&setup, &["old"]).start().await;
    let (open, open_code) = old.start_and_read(login("open")).await;
    let wrong_code = wrong(&open_code);
    assert_eq!(
        old.try_check(&open.verification_id, &wrong_code, "w")
            .await
            .unwrap()
            .verdict(),
        Verdict::Wrong
    );
    let (spent, spent_code) = old.start_and_read(login("spent")).await;
    assert_eq!(
        old.check(&spent.verification_id, &spent_code).await,
        Verdict::Approved
    );
    let repeated = login("repeated");
    let (repeat, _) = old.start_and_read(repeated.clone()).await;
    let (untouched, _) = old.start_and_read(login("untouched")).await;
    for v in [&open, &repeat, &untouched] {
        old.until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Sent
        })
        .await;
    }
    let before = lines(&old).await;
    old.stop().await;

    let both = ring(&setup, &["new", "old"]).start().await;
    assert_eq!(
        lines(&both).await,
        before,
        "the audit trail is read as before"
    );
    let again = both
        .try_check(&open.verification_id, &wrong_code, "w")
        .await
        .unwrap();
    assert_eq!(
        (again.verdict(), again.attempts_left),
        (Verdict::Wrong, 4),
        "the first answer, no second attempt"
    );
    both.advance(31);
    both.try_resend(&open.verification_id, countersign::pb::v1::Channel::Email)
        .await
        .unwrap();
    assert_eq!(
        both.recorder.wait_for(1).await[0].code.expose(),
        open_code,
        "a resend says the same"
    );
    assert_eq!(
        both.check(&open.verification_id, &open_code).await,
        Verdict::Approved
    );
    assert_eq!(
        both.check(&spent.verification_id, &spent_code).await,
        Verdict::Closed
    );
    assert_eq!(
        both.start(repeated).await.unwrap().verification_id,
        repeat.verification_id,
        "a repeat finds the first"
    );
    both.try_cancel(&repeat.verification_id, CancelReason::Requested)
        .await
        .unwrap();
    both.stop().await;

    // Later writes are sealed with the new key; unchanged records still need the old one.
    let new = ring(&setup, &["new"]).start().await;
    assert_eq!(
        new.get(&open.verification_id).await.unwrap().status(),
        VerificationStatus::Approved
    );
    assert_eq!(
        new.get(&repeat.verification_id).await.unwrap().status(),
        VerificationStatus::Canceled
    );
    assert_ne!(shape(new.get(&untouched.verification_id).await).0, Code::Ok);
}

//! Stored data survives the process, is unreadable without keys, and is bound to its service.

use countersign::pb::v1::{Verdict, VerificationStatus};
use tonic::Code;

use crate::harness::{A_BIT, Setup, login, shape, wrong};

#[tokio::test]
async fn store_20_a_restart_keeps_attempts_verdicts_and_codes() {
    let setup = Setup::default().durable();
    let service = setup.start().await;
    let (open, open_code) = service.start_and_read(login("open")).await;
    let wrong_code = wrong(&open_code);
    assert_eq!(
        service
            .try_check(&open.verification_id, &wrong_code, "w")
            .await
            .unwrap()
            .verdict(),
        Verdict::Wrong
    );
    let (spent, spent_code) = service.start_and_read(login("spent")).await;
    assert_eq!(
        service.check(&spent.verification_id, &spent_code).await,
        Verdict::Approved
    );
    service.stop().await;

    let service = setup.start().await;
    assert_eq!(
        service.check(&spent.verification_id, &spent_code).await,
        Verdict::Closed
    );
    let repeat = service
        .try_check(&open.verification_id, &wrong_code, "w")
        .await
        .unwrap();
    assert_eq!(
        (repeat.verdict(), repeat.attempts_left),
        (Verdict::Wrong, 4),
        "the first answer, no second attempt"
    );
    assert_eq!(
        service.check(&open.verification_id, &open_code).await,
        Verdict::Approved
    );
}

#[tokio::test]
async fn store_05_a_restored_database_makes_customers_start_again() {
    let setup = Setup::default().durable();
    let service = setup.start().await;
    let (v, code) = service.start_and_read(login("s")).await;
    service.stop().await;
    // A backup never contains this file, so a restored data directory lacks it.
    std::fs::remove_file(setup.dir.path().join("data/generation")).unwrap();

    let service = setup.start().await;
    let refused = shape(service.try_check(&v.verification_id, &code, "a").await);
    assert_eq!(
        refused,
        (Code::FailedPrecondition, "START_AGAIN".to_owned())
    );
    let closed = service.get(&v.verification_id).await.unwrap();
    assert_eq!(closed.status(), VerificationStatus::Canceled);
    let (v, code) = service.start_and_read(login("s")).await;
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
}

#[tokio::test]
async fn store_17_a_spent_code_is_closed_until_it_is_forgotten() {
    let service = Setup::default()
        .with("SUBJECT__CLOSED_RETENTION_S", "60")
        .start()
        .await;
    let (v, code) = service.start_and_read(login("s")).await;
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
    // Ten minutes after its expiry, although the settings ask for one minute.
    service.advance(300 + 595);
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Closed
    );
    service.advance(10);
    while service.get(&v.verification_id).await.is_ok() {
        service.pass(A_BIT).await;
    }
}

#[tokio::test]
async fn seal_09_a_changed_database_is_refused_and_not_believed() {
    let setup = Setup::default().durable();
    let service = setup.start().await;
    let (v, code) = service.start_and_read(login("s")).await;
    service.stop().await;
    // A different key with the same id makes every record foreign.
    let key = setup.dir.path().join("data/keys/dev.key");
    std::fs::write(&key, format!("{}\n", "5a".repeat(31) + "a5")).unwrap();

    let service = setup.start().await;
    assert_eq!(
        shape(service.try_check(&v.verification_id, &code, "a").await),
        (Code::FailedPrecondition, "RECORD_UNREADABLE".to_owned())
    );
    let (v, code) = service.start_and_read(login("another")).await;
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved,
        "others are not touched"
    );
}

//! SMS pumping: how many messages an attack gets, and who else is affected.

use std::time::Duration;

use countersign::pb::v1::{self, Channel, Verdict};
use tonic::{Code, Status};

use crate::harness::{Harness, Setup, login, reason, recipient, retry_after};

/// The messages that an attack gets before it is stopped.
const BUDGET: usize = 50;
const NUMBERS: usize = 1000;

fn setup(mode: &str) -> Setup {
    Setup::default().with("GUARD__MODE", mode)
}

fn to(subject: &str, number: &str) -> v1::StartVerificationRequest {
    v1::StartVerificationRequest {
        recipients: vec![recipient(Channel::Sms, number)],
        ..login(subject)
    }
}

/// Starts a verification for each of these numbers; returns those that were refused.
async fn pump(service: &Harness, numbers: impl Iterator<Item = String>) -> Vec<Status> {
    let mut refused = Vec::new();
    for (n, number) in numbers.enumerate() {
        refused.extend(
            service
                .start(to(&format!("pumped-{n}"), &number))
                .await
                .err(),
        );
    }
    refused
}

/// A thousand neighbouring numbers.
fn one_block() -> impl Iterator<Item = String> {
    (0..NUMBERS).map(|n| format!("+31612345{n:03}"))
}

/// A customer who receives the code and enters it.
async fn verify(service: &Harness, subject: &str, number: &str) -> Result<(), Status> {
    let v = service.start(to(subject, number)).await?;
    let code = service.code_of(&v.verification_id).await;
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
    Ok(())
}

#[tokio::test]
async fn send_04_a_block_of_which_nothing_comes_back_is_stopped_within_its_budget() {
    let service = setup("enforce").start().await;
    let refused = pump(&service, one_block()).await;
    let sent = NUMBERS - refused.len();
    assert_eq!(sent, BUDGET);
    assert_eq!(
        service.recorder.wait_for(sent).await.len(),
        sent,
        "and no more reach the sender"
    );
    let first = &refused[0];
    assert_eq!(
        (first.code(), reason(first).as_str()),
        (Code::ResourceExhausted, "GUARD_REFUSED")
    );
    // The 3 parts of a message, of the 150 that refill in a day.
    assert_eq!(retry_after(first).unwrap().as_secs(), 3 * 86_400 / 150);
    assert!(
        first.message().contains("guard_prefix"),
        "{}",
        first.message()
    );
    let lines = service.audit().await;
    let told = lines
        .iter()
        .filter(|line| line.what == "refused" && line.details["reason"] == "GUARD_REFUSED");
    assert_eq!(
        told.filter(|line| line.details["quota"] == "guard_prefix")
            .count(),
        refused.len(),
        "each refusal is explained"
    );
    // Messages on other channels are not counted.
    service.start_and_read(login("by mail")).await;
}

#[tokio::test]
async fn send_04_customers_of_another_country_notice_nothing_and_those_of_the_same_have_their_reserve()
 {
    let service = setup("enforce").start().await;
    // Before the attack, every second code is entered, in both countries; those of the same country build up a reserve.
    for n in 0..20 {
        verify(&service, &format!("nl-{n}"), &format!("+316555{n:05}"))
            .await
            .unwrap();
    }
    settle(&service).await;
    let refused = pump(&service, one_block().take(200)).await;
    assert_eq!(refused.len(), 200 - BUDGET, "the block has no reserve");
    for n in 0..30 {
        let (de, nl) = (format!("+4915112{n:06}"), format!("+316544{n:05}"));
        verify(&service, &format!("de-{n}"), &de)
            .await
            .expect("another country");
        verify(&service, &format!("nl-late-{n}"), &nl)
            .await
            .expect("the same country, from the reserve");
    }
}

#[tokio::test]
async fn send_04_an_attack_on_many_blocks_of_a_country_is_stopped_by_the_countrys_budget() {
    let service = setup("enforce").start().await;
    let refused = pump(&service, (0..300).map(|n| format!("+3161{n:04}123"))).await;
    assert_eq!(300 - refused.len(), BUDGET);
    assert!(
        refused[0].message().contains("guard_country"),
        "{}",
        refused[0].message()
    );
    verify(&service, "de", "+4915112345678")
        .await
        .expect("another country goes on");
    let stopped = verify(&service, "nl", "+31655500001").await.unwrap_err();
    assert_eq!(
        reason(&stopped),
        "GUARD_REFUSED",
        "without a reserve its customers are stopped with it"
    );
    // It refills by itself after the wait that was reported.
    service.pass(retry_after(&stopped).unwrap()).await;
    verify(&service, "nl", "+31655500001")
        .await
        .expect("after the wait");
    settle(&service).await;
    verify(&service, "nl-2", "+31655500002")
        .await
        .expect("and each answer opens it further");
}

#[tokio::test]
async fn send_04_record_only_takes_the_same_decisions_and_refuses_nobody() {
    let numbers = || {
        one_block()
            .take(120)
            .chain((0..80).map(|n| format!("+3161{n:04}123")))
    };
    let enforced = setup("enforce").start().await;
    let refused = pump(&enforced, numbers()).await;
    let recorded = setup("record_only").start().await;
    assert_eq!(pump(&recorded, numbers()).await.len(), 0);
    let lines = recorded.audit().await;
    let would: Vec<_> = lines
        .iter()
        .filter(|line| line.what == "would_refuse")
        .collect();
    let of = |quota: &str| {
        would
            .iter()
            .filter(|line| line.details["quota"] == quota)
            .count()
    };
    let by = |quota: &str| {
        refused
            .iter()
            .filter(|status| status.message().contains(quota))
            .count()
    };
    assert_eq!(of("guard_prefix"), by("guard_prefix"));
    assert_eq!(by("guard_prefix"), 120 - BUDGET);
    // A refusal names the first count that is used up; recording names each of them.
    assert!(of("guard_country") >= by("guard_country") && by("guard_country") > 0);
    assert!(
        would
            .iter()
            .all(|line| line.action == "login" && line.caller == "development")
    );
    let off = setup("off").start().await;
    assert_eq!(pump(&off, numbers()).await.len(), 0);
    assert!(
        off.audit()
            .await
            .iter()
            .all(|line| line.what != "would_refuse")
    );
}

#[tokio::test]
async fn send_04_an_exempt_country_is_not_counted() {
    let service = setup("enforce")
        .file("[guard]\nexempt = [\"NL\"]\n")
        .start()
        .await;
    assert_eq!(pump(&service, one_block().take(60)).await.len(), 0);
}

/// Approvals are subtracted in the background after their answers: yields to that task many times.
async fn settle(service: &Harness) {
    for _ in 0..20 {
        service.pass(Duration::from_millis(1)).await;
    }
}

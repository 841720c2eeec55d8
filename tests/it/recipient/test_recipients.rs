//! Test recipients: nothing is sent, the code is known in advance, and all other rules apply as usual.

use std::time::Duration;

use countersign::{
    domain::limit::quota::Dimension,
    pb::v1::{self, Channel, StartVerificationRequest, Verdict},
};
use tonic::Code;

use crate::harness::{Harness, Setup, fields, login, nth_wrong, quota, recipient, shape, unique};

const CODE: &str = "123456";
const FILE: &str = "[test_recipients]\n\"+31610000001\" = \"123456\"\n\"ci@example.org\" = \"654321\"\n\
                    [actions.long]\ncode_digits = 8\n";

fn to(recipients: &[(Channel, &str)]) -> StartVerificationRequest {
    let recipients = recipients
        .iter()
        .map(|(channel, address)| recipient(*channel, address))
        .collect();
    StartVerificationRequest {
        recipients,
        ..login(&unique("subject"))
    }
}

async fn service() -> Harness {
    Setup::default().file(FILE).start().await
}

/// Waits for the last delivery; returns the sender that accepted it.
async fn taken_by(service: &Harness, id: &str) -> String {
    let sent =
        |v: &v1::Verification| v.deliveries.last().unwrap().status() == v1::DeliveryStatus::Sent;
    service
        .until(id, sent)
        .await
        .deliveries
        .last()
        .unwrap()
        .sender
        .clone()
}

#[tokio::test]
async fn the_fixed_code_approves_once_and_nothing_is_sent() {
    let service = service().await;
    for (channel, address, code) in [
        (Channel::Sms, "+31 6 1000 0001", CODE),
        (Channel::Voice, "+31610000001", CODE),
        (Channel::Email, "ci@example.org", "654321"),
    ] {
        let id = service
            .start(to(&[(channel, address)]))
            .await
            .unwrap()
            .verification_id;
        assert_eq!(taken_by(&service, &id).await, "test");
        assert_eq!(
            service.check(&id, &nth_wrong(code, 0)).await,
            Verdict::Wrong
        );
        assert_eq!(service.check(&id, code).await, Verdict::Approved);
        assert_eq!(service.check(&id, code).await, Verdict::Closed);
    }
    assert!(service.recorder.all().is_empty());
    let events = service.audit().await;
    assert_eq!(
        events
            .iter()
            .filter(|line| line.what == "sent" && line.details["sender"] == "test")
            .count(),
        3
    );
}

#[tokio::test]
async fn conf_02_attempts_expiry_pauses_and_quotas_hold_for_a_test_recipient() {
    let service = Setup::default()
        .file(FILE)
        .quota(Dimension::Recipient, 3, 600)
        .start()
        .await;
    let spent = service
        .start(to(&[(Channel::Sms, "+31610000001")]))
        .await
        .unwrap()
        .verification_id;
    for n in 0..5 {
        service.check(&spent, &nth_wrong(CODE, n)).await;
    }
    assert_eq!(
        service.check(&spent, CODE).await,
        Verdict::Closed,
        "five guesses, as for anybody"
    );
    let late = service
        .start(to(&[(Channel::Sms, "+31610000001")]))
        .await
        .unwrap()
        .verification_id;
    assert_eq!(
        shape(service.try_resend(&late, Channel::Sms).await).1,
        "RESEND_TOO_EARLY"
    );
    service.advance(30);
    service.try_resend(&late, Channel::Sms).await.unwrap();
    let status = service
        .start(to(&[(Channel::Sms, "+31610000001")]))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), quota(&status).as_str()),
        (Code::ResourceExhausted, "recipient")
    );
    service.pass(Duration::from_secs(300)).await;
    assert_eq!(service.check(&late, CODE).await, Verdict::Expired);
    assert!(service.recorder.all().is_empty());
}

#[tokio::test]
async fn a_code_that_cannot_be_one_of_the_action_is_refused_at_the_start() {
    let service = service().await;
    let request = StartVerificationRequest {
        action: "long".to_owned(),
        ..to(&[(Channel::Email, "ci@example.org")])
    };
    let status = service.start(request).await.unwrap_err();
    assert_eq!(
        (status.code(), fields(&status)),
        (
            Code::InvalidArgument,
            vec!["recipients[0].address".to_owned()]
        )
    );
}

#[tokio::test]
async fn beside_somebody_else_no_code_is_known_beforehand() {
    let service = service().await;
    let both = to(&[
        (Channel::Email, "ci@example.org"),
        (Channel::Sms, "+31612345678"),
    ]);
    let id = service.start(both).await.unwrap().verification_id;
    assert_eq!(taken_by(&service, &id).await, "test");
    service.advance(30);
    service.try_resend(&id, Channel::Sms).await.unwrap();
    let code = service.code_of(&id).await;
    assert_eq!(
        service.recorder.all().len(),
        1,
        "only the other one got a message"
    );
    for known in ["654321", CODE] {
        // With a probability of one in a million, the derived code is the same.
        assert!(known == code || service.check(&id, known).await == Verdict::Wrong);
    }
    assert_eq!(service.check(&id, &code).await, Verdict::Approved);
}

#[tokio::test]
async fn a_code_of_the_settings_is_right_for_nobody_else() {
    let service = service().await;
    let (v, code) = service
        .start_and_read(to(&[(Channel::Sms, "+31610000002")]))
        .await;
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
    let (v, code) = service
        .start_and_read(to(&[(Channel::Email, "ci+1@example.org")]))
        .await;
    assert!(
        code == "654321" || service.check(&v.verification_id, "654321").await == Verdict::Wrong
    );
}

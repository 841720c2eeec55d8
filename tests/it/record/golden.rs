//! An upgrade: a data directory written by version 0.1 works without any difference.

use std::{collections::BTreeMap, path::Path};

use countersign::{
    domain::ids::{ProviderReference, SenderName},
    pb::v1::{self, Channel, DeliveryStatus, Verdict, VerificationStatus},
};
use serde_json::{Value, json};

use crate::harness::{A_BIT, Harness, Setup, login};

/// Written once, and never changed: see the README next to it.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/data");

fn read(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(Path::new(FOLDER).join(name)).unwrap()).unwrap()
}

/// The setup of a service on a copy of that data directory.
fn restored() -> Setup {
    let setup = Setup::default().durable();
    let data = setup.dir.path().join("data");
    std::fs::create_dir_all(data.join("keys")).unwrap();
    for (name, byte) in [("names", "1a"), ("dev", "2a")] {
        std::fs::write(data.join(format!("keys/{name}.key")), byte.repeat(32)).unwrap();
    }
    std::fs::copy(
        Path::new(FOLDER).join("generation"),
        data.join("generation"),
    )
    .unwrap();
    let store = read("store.json");
    let mut file = vec![0; usize::try_from(store["bytes"].as_u64().unwrap()).unwrap()];
    for (at, part) in store["pages"].as_object().unwrap() {
        let (at, part) = (
            at.parse::<usize>().unwrap(),
            hex::decode(part.as_str().unwrap()).unwrap(),
        );
        file[at..at + part.len()].copy_from_slice(&part);
    }
    std::fs::write(data.join("countersign.redb"), file).unwrap();
    setup
}

/// The start as it was requested at that time.
fn start(subject: &str, id: &str) -> v1::StartVerificationRequest {
    let contact = v1::Contact {
        contact_id: "call-17".to_owned(),
        agent_id: "agent-19".to_owned(),
        ..Default::default()
    };
    v1::StartVerificationRequest {
        request_id: id.to_owned(),
        contact: Some(contact),
        locale: "de-AT".to_owned(),
        ..login(subject)
    }
}

fn told(name: &str, field: &str) -> String {
    read("told.json")["verifications"][name][field]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn sent(service: &Harness, id: &str) -> Value {
    let lines = service.audit().await;
    assert!(
        lines.iter().any(|line| line.verification == id),
        "{id} is in the audit trail"
    );
    let shown = lines.iter().map(|line| {
        let (verification, details) = (&line.verification, &line.details);
        json!([
            line.at.as_micros(),
            line.caller,
            line.agent,
            line.contact,
            verification,
            line.action,
            line.what,
            details
        ])
    });
    shown.collect()
}

#[tokio::test]
async fn golden_a_live_code_of_version_0_1_is_right_and_its_count_goes_on() {
    let service = restored().start().await;
    let (id, code, wrong) = (
        told("live", "id"),
        told("live", "code"),
        told("live", "wrong"),
    );
    assert_eq!(
        sent(&service, &id).await,
        read("told.json")["audit"],
        "every line of the audit trail is read"
    );
    let again = service
        .start(start("customer-live", "start-live"))
        .await
        .unwrap();
    assert_eq!(
        again.verification_id, id,
        "a repeated start finds the first"
    );
    let repeat = service
        .try_check(&id, &wrong, "attempt-live")
        .await
        .unwrap();
    assert_eq!(
        (repeat.verdict(), repeat.attempts_left),
        (Verdict::Wrong, 4),
        "a repeated guess gets the first answer"
    );
    service.advance(31);
    service.try_resend(&id, Channel::Email).await.unwrap();
    assert_eq!(
        service.recorder.wait_for(1).await[0].code.expose(),
        code,
        "a resend says the same"
    );
    assert_eq!(service.check(&id, &code).await, Verdict::Approved);
}

#[tokio::test]
async fn golden_what_ended_under_version_0_1_stays_ended() {
    let service = restored().start().await;
    let (id, code) = (told("approved", "id"), told("approved", "code"));
    assert_eq!(
        service.get(&id).await.unwrap().status(),
        VerificationStatus::Approved
    );
    assert_eq!(service.check(&id, &code).await, Verdict::Closed);
    let repeat = service
        .try_check(&id, &code, "attempt-approved")
        .await
        .unwrap();
    assert_eq!(
        repeat.verdict(),
        Verdict::Approved,
        "the repeat of the right guess"
    );
    let denied = service.get(&told("canceled", "id")).await.unwrap();
    assert_eq!(
        (denied.status(), denied.deliveries[0].status()),
        (VerificationStatus::Denied, DeliveryStatus::Sent)
    );
    service.advance(7 * 3600);
    while service.get(&id).await.is_ok() {
        service.pass(A_BIT).await;
    }
}

#[tokio::test]
async fn golden_a_receipt_finds_the_message_that_version_0_1_sent() {
    let service = restored().start().await;
    let reference = ProviderReference::parse(&told("named", "reference")).unwrap();
    let delivered = countersign::domain::delivery::receipt::Receipt::Delivered;
    service
        .reach
        .service
        .receipt_by_reference(
            &SenderName::parse("outbox").unwrap(),
            &[reference],
            delivered,
        )
        .await
        .unwrap();
    let v = service.get(&told("named", "id")).await.unwrap();
    assert_eq!(v.deliveries[0].status(), DeliveryStatus::Delivered);
}

#[tokio::test]
async fn golden_a_live_code_of_version_0_1_expires_when_it_would_have() {
    let service = restored().start().await;
    service.advance(303);
    let mut ends = BTreeMap::new();
    for name in ["live", "named"] {
        let id = told(name, "id");
        let closed = |line: &countersign::service::record::vault::Line| {
            line.what == "closed" && line.verification == id
        };
        while !service.audit().await.iter().any(closed) {
            service.pass(A_BIT).await;
        }
        ends.insert(name, service.get(&id).await.unwrap().status());
    }
    assert!(
        ends.values()
            .all(|status| *status == VerificationStatus::Expired),
        "the due index of the file is followed: {ends:?}"
    );
}

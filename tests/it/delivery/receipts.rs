//! Receipts update deliveries and never change a verdict.

use std::time::Duration;

use countersign::{
    domain::{
        delivery::{reason::Reason, receipt::Receipt},
        recipient,
    },
    pb::v1::{
        CancelReason, Channel, DeliveryStatus, StartVerificationRequest, Verdict, Verification,
        VerificationStatus,
    },
    ports::sender::{
        Message,
        receipts::{About, Arrival, ProviderReceipt},
    },
    service::delivery::receipt::Noted,
};

use crate::{
    harness::http::get,
    harness::{Harness, Setup, login, recipient, reference, sender_name},
};

fn undelivered(reason: &str) -> Receipt {
    Receipt::Undelivered {
        reason: Reason::from_word(reason),
    }
}

/// A verification whose message was accepted, and that message.
async fn sent(service: &Harness) -> (Verification, Message) {
    let v = service.start(login("s")).await.unwrap();
    let v = service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Sent
        })
        .await;
    let messages = service.recorder.all();
    let message = messages
        .into_iter()
        .find(|message| message.verification.to_string() == v.verification_id)
        .unwrap();
    (v, message)
}

async fn note(service: &Harness, message: &Message, receipt: Receipt) -> Noted {
    service
        .reach
        .service
        .receipt(&sender_name("outbox"), message.receipt.as_str(), receipt)
        .await
        .unwrap()
}

#[tokio::test]
async fn hook_05_a_receipt_changes_a_delivery_and_never_a_verdict() {
    let service = Harness::new().await;
    let (before, message) = sent(&service).await;
    assert_eq!(
        note(&service, &message, Receipt::Delivered).await,
        Noted::Changed
    );
    let after = service
        .until(&before.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Delivered
        })
        .await;
    let rest = |mut v: Verification| {
        v.deliveries.clear();
        // It shows the state of the message.
        v.explanation.clear();
        v
    };
    assert_eq!(
        rest(after),
        rest(before.clone()),
        "nothing but the delivery and what is told of it"
    );
    assert_eq!(
        service
            .check(&before.verification_id, message.code.expose())
            .await,
        Verdict::Approved
    );
    let lines = service.audit().await;
    let line = lines
        .iter()
        .find(|line| line.what == "delivered")
        .expect("it is written down");
    assert_eq!(line.details["sender"], "outbox");
    assert!(!format!("{line:?}").contains("anna"), "without the address");
}

#[tokio::test]
async fn hook_05_receipts_in_any_order_end_in_the_same() {
    use Receipt::{Delivered, Sent};
    let service = Harness::new().await;
    for order in [
        [Delivered, undelivered("30003"), Sent],
        [undelivered("30003"), Sent, Delivered],
        [Sent, Delivered, Sent],
    ] {
        let (v, message) = sent(&service).await;
        for receipt in order {
            note(&service, &message, receipt).await;
        }
        let v = service.get(&v.verification_id).await.unwrap();
        assert_eq!(
            (v.deliveries[0].status(), v.deliveries[0].failure.as_str()),
            (DeliveryStatus::Delivered, "")
        );
    }
}

#[tokio::test]
async fn what_did_not_arrive_says_why() {
    let service = Harness::new().await;
    let (v, message) = sent(&service).await;
    assert_eq!(
        note(&service, &message, undelivered("30003")).await,
        Noted::Changed
    );
    assert_eq!(
        note(&service, &message, undelivered("30003")).await,
        Noted::Unchanged,
        "a repeat says nothing new"
    );
    let v = service.get(&v.verification_id).await.unwrap();
    assert_eq!(
        (v.deliveries[0].status(), v.deliveries[0].failure.as_str()),
        (DeliveryStatus::Undelivered, "30003")
    );
    assert_eq!(
        v.status(),
        VerificationStatus::Pending,
        "it may still be proven, by another channel"
    );
    let page = get(service.reach.admin, "/metrics").await;
    let counted = |line: &&str| {
        line.starts_with("countersign_receipts_total") && line.contains("sender=\"outbox\"")
    };
    assert!(
        page.lines()
            .any(|line| counted(&line) && line.contains("status=\"undelivered\"")),
        "{page}"
    );
}

#[tokio::test]
async fn a_receipt_before_our_own_report_counts_and_nobody_sends_again() {
    let service = Harness::new().await;
    service.recorder.fall_silent_on(recipient::Channel::Email);
    let v = service.start(login("s")).await.unwrap();
    let message = service.recorder.wait_for(1).await.remove(0);
    assert_eq!(
        note(&service, &message, Receipt::Delivered).await,
        Noted::Changed
    );
    let seen = service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Delivered
        })
        .await;
    assert_eq!(
        (seen.deliveries[0].sender.as_str(), seen.deliveries[0].tries),
        ("outbox", 1)
    );
    for _ in 0..30 {
        service.pass(Duration::from_secs(2)).await;
    }
    assert_eq!(service.recorder.all().len(), 1);
}

#[tokio::test]
async fn hook_05_a_token_that_is_not_ours_finds_nothing() {
    let (service, other) = (Harness::new().await, Harness::new().await);
    let (v, message) = sent(&service).await;
    let (_, foreign) = sent(&other).await;
    let use_cases = &service.reach.service;
    let token = message.receipt.as_str();
    for (sender, token) in [
        ("spare", token),
        ("outbox", foreign.receipt.as_str()),
        ("outbox", &token[1..]),
        ("outbox", ""),
        ("outbox", "approved"),
    ] {
        let noted = use_cases
            .receipt(&sender_name(sender), token, Receipt::Delivered)
            .await
            .unwrap();
        assert_eq!(noted, Noted::Unknown, "{sender} {token}");
    }
    assert_eq!(
        use_cases
            .receipt_by_reference(
                &sender_name("outbox"),
                &[reference(&message)],
                Receipt::Delivered
            )
            .await
            .unwrap(),
        Noted::Unknown
    );
    assert_eq!(service.get(&v.verification_id).await.unwrap(), v);
}

#[tokio::test]
async fn a_provider_that_brings_no_token_back_is_understood_by_its_own_name_for_the_message() {
    let service = Setup::default()
        .with("SUBJECT__CLOSED_RETENTION_S", "0")
        .start()
        .await;
    service.recorder.name_messages();
    let (v, message) = sent(&service).await;
    let name = reference(&message);
    let use_cases = service.reach.service.clone();
    assert_eq!(
        use_cases
            .receipt_by_reference(
                &sender_name("spare"),
                std::slice::from_ref(&name),
                Receipt::Delivered
            )
            .await
            .unwrap(),
        Noted::Unknown
    );
    assert_eq!(
        use_cases
            .receipt_by_reference(
                &sender_name("outbox"),
                std::slice::from_ref(&name),
                Receipt::Delivered
            )
            .await
            .unwrap(),
        Noted::Changed
    );
    assert_eq!(
        service.get(&v.verification_id).await.unwrap().deliveries[0].status(),
        DeliveryStatus::Delivered
    );
    // Ten minutes later, when a code of five minutes has expired.
    service.advance(901);
    assert_eq!(
        use_cases
            .receipt_by_reference(
                &sender_name("outbox"),
                std::slice::from_ref(&name),
                Receipt::Delivered
            )
            .await
            .unwrap(),
        Noted::Unknown,
        "forgotten"
    );
}

#[tokio::test]
async fn receipts_over_a_senders_own_connection_are_drained() {
    let service = Harness::new().await;
    service.recorder.name_messages();
    let (v, message) = sent(&service).await;
    let came = |about, receipt| {
        Arrival::Receipt(ProviderReceipt {
            sender: sender_name("outbox"),
            about,
            receipt,
        })
    };
    let by_name = came(
        About::References(vec![reference(&message)]),
        undelivered("30003"),
    );
    service.reach.receipts.send(by_name).await.unwrap();
    service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Undelivered
        })
        .await;
    let by_token = came(
        About::Token(message.receipt.as_str().to_owned()),
        Receipt::Delivered,
    );
    service.reach.receipts.send(by_token).await.unwrap();
    service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Delivered
        })
        .await;
    service.stop().await;
}

#[tokio::test]
async fn hook_05_a_receipt_after_the_end_is_seen_and_the_end_stays() {
    let service = Harness::new().await;
    let (v, message) = sent(&service).await;
    service
        .try_cancel(&v.verification_id, CancelReason::NotMe)
        .await
        .unwrap();
    assert_eq!(
        note(&service, &message, Receipt::Delivered).await,
        Noted::Changed
    );
    let v = service.get(&v.verification_id).await.unwrap();
    assert_eq!(
        (v.status(), v.deliveries[0].status()),
        (VerificationStatus::Denied, DeliveryStatus::Delivered)
    );
    let ends = service
        .audit()
        .await
        .into_iter()
        .filter(|line| line.what == "closed")
        .count();
    assert_eq!(ends, 1);
}

#[tokio::test]
async fn a_live_call_is_told_the_code_until_the_end_and_nobody_else_is() {
    let service = Harness::new().await;
    let recipients = vec![recipient(Channel::Voice, "+31612345678")];
    let v = service
        .start(StartVerificationRequest {
            recipients,
            ..login("s")
        })
        .await
        .unwrap();
    let message = service.recorder.wait_for(1).await.remove(0);
    let (use_cases, token) = (service.reach.service.clone(), message.receipt.as_str());
    let spoken = use_cases
        .spoken(&sender_name("outbox"), token)
        .await
        .unwrap()
        .expect("the call is live");
    assert_eq!(
        (spoken.is_code, &spoken.text),
        (true, &message.content.text),
        "what the call was made for"
    );
    assert!(
        use_cases
            .spoken(&sender_name("spare"), token)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        use_cases
            .spoken(&sender_name("outbox"), &token[1..])
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        service
            .check(&v.verification_id, message.code.expose())
            .await,
        Verdict::Approved
    );
    let late = use_cases
        .spoken(&sender_name("outbox"), token)
        .await
        .unwrap()
        .expect("the call is one of ours");
    assert_eq!(
        (late.is_code, late.text.as_str()),
        (false, "This code is no longer valid.")
    );
}

//! Leases: messages are handed over under a lease, again after a crash, and never after the end.

use std::time::Duration;

use countersign::{
    domain::delivery::reason::Reason,
    pb::v1::{CancelReason, Channel, DeliveryStatus, Verdict, VerificationStatus},
    ports::sender::SendError,
};

use crate::harness::{A_BIT, Harness, Setup, login, recipient};

fn retry() -> SendError {
    SendError::failing(Duration::from_secs(2), Reason::Busy)
}

#[tokio::test]
async fn a_delivery_is_seen_from_queued_to_sent() {
    let service = Harness::new().await;
    let v = service.start(login("s")).await.unwrap();
    let seen = service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Sent
        })
        .await;
    assert_eq!(
        (seen.deliveries[0].sender.as_str(), seen.deliveries[0].tries),
        ("outbox", 1)
    );
    assert_eq!(seen.deliveries[0].masked_recipient, "a•••@e•••.org");
    assert!(seen.deliveries[0].delivery_id.starts_with("dlv_"));
}

#[tokio::test]
async fn a_busy_sender_is_asked_again_with_the_same_code_and_id() {
    let service = Harness::new().await;
    service.recorder.answer_with([retry(), retry()]);
    let v = service.start(login("s")).await.unwrap();
    for tries in 1..=2 {
        service.recorder.wait_for(tries).await;
        service
            .until(&v.verification_id, |v| {
                v.deliveries[0].tries as usize == tries
            })
            .await;
        // The retry is in the due index only after the report of the hand-over.
        while service.recorder.all().len() == tries {
            service.pass(Duration::from_secs(2)).await;
        }
    }
    let seen = service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Sent
        })
        .await;
    assert_eq!(seen.deliveries[0].tries, 3);
    let messages = service.recorder.all();
    assert!(
        messages
            .windows(2)
            .all(|pair| pair[0].delivery == pair[1].delivery && pair[0].code == pair[1].code)
    );
}

#[tokio::test]
async fn a_refused_address_fails_with_its_reason() {
    let service = Harness::new().await;
    service
        .recorder
        .answer_with([SendError::about_recipient(Reason::Refused)]);
    let v = service.start(login("s")).await.unwrap();
    let seen = service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Failed
        })
        .await;
    assert_eq!(
        (seen.deliveries[0].failure.as_str(), seen.status()),
        ("refused", VerificationStatus::Pending)
    );
    let lines = service.audit().await;
    assert!(
        lines
            .iter()
            .any(|line| line.what == "send_failed" && line.details["reason"] == "refused")
    );
}

#[tokio::test]
async fn the_next_sender_of_the_route_takes_what_the_first_will_not() {
    let setup = Setup::default().file(
        "[senders.spare]\nkind = \"outbox\"\n[routes.email]\nsenders = [\"outbox\", \"spare\"]\n",
    );
    let service = setup.start().await;
    service
        .recorder
        .answer_with([SendError::broken(Reason::from_word("revoked"))]);
    let v = service.start(login("s")).await.unwrap();
    service.recorder.wait_for(1).await;
    let outbox = service.reach.outbox.clone().unwrap();
    while outbox.list().is_empty() {
        service.pass(Duration::from_secs(1)).await;
    }
    let seen = service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Sent
        })
        .await;
    assert_eq!(seen.deliveries[0].sender, "spare");
    assert_eq!(
        outbox.list()[0].message.code,
        service.recorder.all()[0].code,
        "the same code by another sender"
    );
}

#[tokio::test]
async fn a_sender_that_is_down_does_not_keep_the_next_one_from_the_message() {
    let setup = Setup::default().file(
        "[senders.spare]\nkind = \"outbox\"\n[routes.email]\nsenders = [\"outbox\", \"spare\"]\n",
    );
    let service = setup.start().await;
    service.recorder.answer_with([retry()]);
    let v = service.start(login("s")).await.unwrap();
    service.recorder.wait_for(1).await;
    let outbox = service.reach.outbox.clone().unwrap();
    while outbox.list().is_empty() {
        service.pass(Duration::from_secs(1)).await;
    }
    let seen = service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Sent
        })
        .await;
    assert_eq!(
        (seen.deliveries[0].sender.as_str(), seen.deliveries[0].tries),
        ("spare", 2)
    );
    assert_eq!(service.recorder.all().len(), 1, "the first was asked once");
}

#[tokio::test]
async fn send_13_nothing_is_sent_after_the_end() {
    let service = Harness::new().await;
    service.recorder.answer_with([retry()]);
    let v = service.start(login("s")).await.unwrap();
    service.recorder.wait_for(1).await;
    service
        .until(&v.verification_id, |v| v.deliveries[0].tries == 1)
        .await;
    let closed = service
        .try_cancel(&v.verification_id, CancelReason::Requested)
        .await
        .unwrap();
    assert_eq!(closed.status(), VerificationStatus::Canceled);
    // A second start is delivered at a time when the retry of the first one would be long overdue.
    service.advance(60);
    let (other, code) = service.start_and_read(login("other")).await;
    assert_eq!(
        service.check(&other.verification_id, &code).await,
        Verdict::Approved
    );
    service.advance(60);
    let sent_for = |id: &str| {
        service
            .recorder
            .all()
            .iter()
            .filter(|message| message.verification.to_string() == id)
            .count()
    };
    assert_eq!(sent_for(&v.verification_id), 1);
}

#[tokio::test]
async fn send_12_every_start_ends_in_exactly_one_event() {
    let service = Harness::new().await;
    let mut request = login("rejected");
    request
        .recipients
        .push(recipient(Channel::Sms, "+31612345678"));
    let (rejected, code) = service.start_and_read(request).await;
    for n in 0..5 {
        service
            .check(
                &rejected.verification_id,
                &crate::harness::nth_wrong(&code, n),
            )
            .await;
    }
    let (approved, code) = service.start_and_read(login("approved")).await;
    service.check(&approved.verification_id, &code).await;
    let denied = service.start(login("denied")).await.unwrap();
    service
        .try_cancel(&denied.verification_id, CancelReason::NotMe)
        .await
        .unwrap();
    let superseded = service.start(login("superseded")).await.unwrap();
    let expired = service.start(login("superseded")).await.unwrap();
    service.advance(303);
    // The sweep commits the closing without any call.
    let ended = |lines: &[countersign::service::record::vault::Line], id: &str| {
        let of = lines
            .iter()
            .filter(|line| line.what == "closed" && line.verification == id);
        of.map(|line| line.details["outcome"].clone())
            .collect::<Vec<_>>()
    };
    while ended(&service.audit().await, &expired.verification_id).is_empty() {
        service.pass(A_BIT).await;
    }
    let lines = service.audit().await;
    for (v, outcome) in [
        (&rejected, "rejected"),
        (&approved, "approved"),
        (&denied, "denied"),
        (&superseded, "superseded"),
        (&expired, "expired"),
    ] {
        assert_eq!(ended(&lines, &v.verification_id), [outcome]);
    }
    assert_eq!(
        lines.iter().filter(|line| line.what == "started").count(),
        5
    );
}

#[tokio::test]
async fn net_14_a_drain_hands_over_what_was_started() {
    let service = Setup::default().durable().start().await;
    for n in 0..50 {
        service.start(login(&format!("s{n}"))).await.unwrap();
    }
    let recorder = service.recorder.clone();
    service.stop().await;
    assert_eq!(recorder.all().len(), 50);
}

#[tokio::test]
async fn a_watch_tells_each_change_and_ends_with_the_verification() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(login("s")).await;
    let request = countersign::pb::v1::WatchVerificationRequest {
        verification_id: v.verification_id.clone(),
    };
    let mut stream = service
        .client
        .clone()
        .watch_verification(service.request(request))
        .await
        .unwrap()
        .into_inner();
    let mut seen = Vec::new();
    let first = stream
        .message()
        .await
        .unwrap()
        .unwrap()
        .verification
        .unwrap();
    seen.push((first.status(), first.attempts_left));
    service
        .check(&v.verification_id, &crate::harness::wrong(&code))
        .await;
    service.check(&v.verification_id, &code).await;
    while let Some(next) = stream.message().await.unwrap() {
        let next = next.verification.unwrap();
        seen.push((next.status(), next.attempts_left));
    }
    assert_eq!(seen.first(), Some(&(VerificationStatus::Pending, 5)));
    assert_eq!(seen.last(), Some(&(VerificationStatus::Approved, 0)));
}

#[tokio::test]
async fn a_watch_tells_the_expiry() {
    let service = Harness::new().await;
    let v = service.start(login("s")).await.unwrap();
    let watch = service.until(&v.verification_id, |v| {
        v.status() == VerificationStatus::Expired
    });
    let pass = async {
        tokio::task::yield_now().await;
        service.advance(301);
    };
    tokio::join!(watch, pass);
}

//! Whose fault a refusal is: what counts at a sender's breaker, what operators see, and what happens to the message.

use std::{sync::Arc, time::Duration};

use countersign::pb::v1::{self, Channel, DeliveryStatus};

use crate::harness::{
    A_BIT, Harness, PATIENCE, Setup,
    http::get,
    login,
    provider::{Answer, Provider},
    recipient,
    sink::Sink,
    unique,
};

/// Consecutive failures until the breaker opens: the default.
const FAILURES: usize = 5;

/// The service with a mail server as its only sender.
async fn service() -> (Harness, Arc<Sink>) {
    let sink = Sink::start().await;
    let file = format!(
        "[senders.mail]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"a@bank.example\"\n\
         hello_name = \"service.bank.example\"\n[routes.email]\nsenders = [\"mail\"]\n",
        sink.address.port()
    );
    let setup = Setup::default().with("WORKER__POLL_MS", "10").file(&file);
    (setup.start().await, sink)
}

async fn start(service: &Harness, address: &str) -> String {
    let request = v1::StartVerificationRequest {
        recipients: vec![recipient(Channel::Email, address)],
        ..login(&unique("s"))
    };
    service.start(request).await.unwrap().verification_id
}

/// Waits until a delivery has this status; the clock stands still.
async fn until(service: &Harness, id: &str, status: DeliveryStatus) -> v1::Delivery {
    let v = service
        .until(id, |v| v.deliveries[0].status() == status)
        .await;
    v.deliveries[0].clone()
}

/// Starts for this address, and waits until the message has failed.
async fn refused(service: &Harness, address: &str) {
    let id = start(service, address).await;
    until(service, &id, DeliveryStatus::Failed).await;
}

fn words(service: &Harness) -> Vec<&'static str> {
    let complaints = service.reach.service.complaints();
    complaints.iter().map(|complaint| complaint.word).collect()
}

#[tokio::test]
async fn send_15_refusals_open_a_breaker_only_if_they_are_for_three_domains() {
    let (service, sink) = service().await;
    sink.refuse("example.net", "554 5.7.1 looks like spam");
    for n in 0..2 * FAILURES {
        refused(&service, &format!("x{n}@a.example.net")).await;
        refused(&service, &format!("x{n}@b.example.net")).await;
    }
    assert!(!words(&service).contains(&"sender_open"));
    assert!(
        words(&service).contains(&"sender_refuses"),
        "but operators see that nothing goes through"
    );
    let id = start(&service, "anna@example.org").await;
    until(&service, &id, DeliveryStatus::Sent).await;
    assert_eq!(words(&service), [""; 0], "a success clears it");

    for n in 0..FAILURES {
        refused(&service, &format!("x@d{}.example.net", n % 3)).await;
    }
    assert_eq!(words(&service), ["sender_open"]);
}

#[tokio::test]
async fn send_15_what_names_the_recipient_counts_for_nothing() {
    let (service, sink) = service().await;
    sink.refuse("example.net", "550 5.1.1 user unknown");
    for n in 0..3 * FAILURES {
        refused(&service, &format!("x@d{n}.example.net")).await;
    }
    assert_eq!(words(&service), [""; 0]);
}

#[tokio::test]
async fn send_15_the_retries_of_a_deferred_message_do_not_count_again() {
    let (service, sink) = service().await;
    sink.refuse("example.net", "451 4.7.1 try again later");
    for n in 1..FAILURES {
        start(&service, &format!("x@d{n}.example.net")).await;
    }
    let tried = sink.wait_for_refusals("example.net", 4 * FAILURES);
    let mut tried = std::pin::pin!(tried);
    while futures_util::poll!(tried.as_mut()).is_pending() {
        service.pass(Duration::from_millis(500)).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(
            !words(&service).contains(&"sender_open"),
            "one message less than open it, however often they are tried"
        );
    }
}

/// A probe that is refused because of its recipient decides nothing: the next message goes out at once.
#[tokio::test]
async fn send_15_a_probe_that_is_refused_for_its_recipient_holds_up_nobody() {
    for reply in [
        "550 5.1.1 user unknown",
        "451 4.7.1 try again later",
        "554 5.7.1 no",
    ] {
        let (service, sink) = service().await;
        sink.refuse("blocked.example", reply);
        sink.refuse("down.example", "CLOSE");
        for n in 0..FAILURES {
            start(&service, &format!("x{n}@down.example")).await;
        }
        let open = async {
            while !words(&service).contains(&"sender_open") {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, open)
            .await
            .expect("it opens");
        // Beyond the code's life, so that the first messages are gone and none of them probes.
        service.advance(3600);
        service.pass(A_BIT).await;
        for n in 0..2 {
            start(&service, &format!("x{n}@blocked.example")).await;
            sink.wait_for_refusals("blocked.example", n + 1).await;
        }
        let id = start(&service, "anna@example.org").await;
        let delivery = until(&service, &id, DeliveryStatus::Sent).await;
        assert_eq!(delivery.tries, 1, "{reply}");
        assert_eq!(words(&service), [""; 0], "{reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn send_16_a_sole_sender_that_refuses_our_login_keeps_the_message_and_is_seen() {
    let a = Provider::start(Answer::Status(401, "", String::new())).await;
    let file = format!("{}[routes.email]\nsenders = [\"a\"]\n", a.section("a"));
    let setup = Setup::default()
        .with("WORKER__POLL_MS", "10")
        .with("ACTIONS__LOGIN__CODE_LIFETIME_S", "600")
        .file(&file);
    let service = setup.start().await;
    let id = start(&service, "anna@example.org").await;
    a.wait_for(1).await;
    // Nine minutes: longer than the eight hand-overs of other messages.
    for _ in 0..540 {
        service.pass(Duration::from_secs(1)).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(a.got().len() > 8, "{} hand-overs", a.got().len());
    let delivery = service.get(&id).await.unwrap().deliveries[0].clone();
    assert_eq!(
        (delivery.status(), delivery.sender.as_str()),
        (DeliveryStatus::Queued, "a")
    );
    let page = get(service.reach.admin, "/readyz").await;
    assert!(
        page.contains("degraded: sender_refuses: sender \"a\" refuses this service: login_refused; correct [senders.a]"),
        "{page}"
    );
    a.answer(Answer::Taken);
    let sent = async {
        while service.get(&id).await.unwrap().deliveries[0].status() != DeliveryStatus::Sent {
            service.pass(Duration::from_millis(500)).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, sent)
        .await
        .expect("once the login is mended it goes out");
    assert_eq!(words(&service), [""; 0]);
}

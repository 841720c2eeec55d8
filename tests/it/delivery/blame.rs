//! Whose fault a refusal is: what counts at a sender's breaker, what operators see, and what happens to the message.

use std::{sync::Arc, time::Duration};

use countersign::pb::v1::{self, Channel, DeliveryStatus};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

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

/// The complaints about senders; the store may have others, as the clock stands still.
fn words(service: &Harness) -> Vec<&'static str> {
    let complaints = service.reach.service.complaints();
    let words = complaints.iter().map(|complaint| complaint.word);
    words.filter(|word| word.starts_with("sender_")).collect()
}

#[tokio::test]
async fn send_15_refusals_open_a_breaker_only_if_they_are_for_three_domains() {
    let (service, sink) = service().await;
    sink.refuse(".test", "554 5.7.1 looks like spam");
    for n in 0..2 * FAILURES {
        refused(&service, &format!("x{n}@a{n}.a.test")).await;
        refused(&service, &format!("x{n}@b{n}.b.test")).await;
    }
    assert!(
        !words(&service).contains(&"sender_open"),
        "names below two domains are no more than two"
    );
    assert!(
        words(&service).contains(&"sender_refuses"),
        "but operators see that nothing goes through"
    );
    let id = start(&service, "anna@example.org").await;
    until(&service, &id, DeliveryStatus::Sent).await;
    assert_eq!(words(&service), [""; 0], "a success clears it");

    for n in 0..FAILURES {
        refused(&service, &format!("x@d{}.test", n % 3)).await;
    }
    assert_eq!(words(&service), ["sender_open"]);
}

/// Whoever owns enough domains can open a breaker by what they refuse; nobody waits for that.
#[tokio::test]
async fn send_15_a_breaker_that_refusals_opened_holds_up_no_honest_message() {
    let (service, sink) = service().await;
    sink.refuse(".test", "554 5.7.1 no");
    sink.refuse("later.example", "451 4.7.1 try again later");
    for n in 0..FAILURES {
        refused(&service, &format!("x@d{n}.test")).await;
    }
    assert_eq!(words(&service), ["sender_open"]);
    // Meanwhile more of the same change nothing.
    refused(&service, "x@d9.test").await;
    start(&service, "x@later.example").await;
    sink.wait_for_refusals("later.example", 1).await;
    let id = start(&service, "anna@example.org").await;
    let delivery = until(&service, &id, DeliveryStatus::Sent).await;
    assert_eq!(delivery.tries, 1);
    assert_eq!(words(&service), [""; 0], "and it closes the breaker");
}

/// Whoever writes to domains that do not exist, or that greylist, opens nothing.
#[tokio::test]
async fn send_15_deferrals_of_recipients_count_for_nothing() {
    let (service, sink) = service().await;
    let replies = [
        "450 4.1.2 <x@nosuch.test>: Recipient address rejected: Domain not found",
        "450 4.2.0 Greylisted",
        "452 4.2.2 mailbox full",
        "450 mailbox busy",
    ];
    for (n, reply) in replies.iter().enumerate() {
        sink.refuse(&format!("k{n}.test"), reply);
        for m in 0..2 * FAILURES {
            start(&service, &format!("x@d{m}k{n}.test")).await;
        }
        sink.wait_for_refusals(&format!("k{n}.test"), 2 * FAILURES)
            .await;
    }
    assert_eq!(words(&service), [""; 0]);
}

#[tokio::test]
async fn send_15_what_names_the_recipient_counts_for_nothing() {
    let (service, sink) = service().await;
    sink.refuse(".test", "550 5.1.1 user unknown");
    for n in 0..3 * FAILURES {
        refused(&service, &format!("x@d{n}.test")).await;
    }
    assert_eq!(words(&service), [""; 0]);
}

#[tokio::test]
async fn send_15_the_retries_of_a_deferred_message_do_not_count_again() {
    let (service, sink) = service().await;
    sink.refuse(".test", "451 4.7.1 try again later");
    for n in 1..FAILURES {
        start(&service, &format!("x@d{n}.test")).await;
    }
    let tried = sink.wait_for_refusals(".test", 4 * FAILURES);
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
        sink.refuse("down.test", "CLOSE");
        for n in 0..FAILURES {
            start(&service, &format!("x@d{n}down.test")).await;
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

/// The service with a sender of a preset on SMS (or WhatsApp), and the outbox behind it.
async fn with_preset(server: &MockServer, preset: &str, channel: &str) -> Harness {
    let setup = Setup::default();
    let secret = setup.dir.path().join("secret");
    std::fs::write(&secret, "s3cret-word\n").unwrap();
    let file = format!(
        "[senders.p]\n{}\nbase_url = \"{}\"\nallow_hosts = [\"{}\"]\n[senders.outbox]\nkind = \"outbox\"\n\
         [routes.{channel}]\nsenders = [\"p\", \"outbox\"]\n",
        preset.replace("SECRET", secret.to_str().unwrap()),
        server.uri(),
        server.address()
    );
    setup.file(&file).start().await
}

const TWILIO: &str = "kind = \"twilio\"\naccount_sid = \"key\"\nauth_token_file = \"SECRET\"\nfrom = \"+15005550006\"";
const WHATSAPP: &str = "kind = \"whatsapp_cloud\"\nphone_number_id = \"1\"\naccess_token_file = \"SECRET\"\n\
                        template = \"sign_in\"\ngraph_version = \"v21.0\"";
const MESSAGEBIRD: &str = "kind = \"messagebird\"\naccess_key_file = \"SECRET\"\nfrom = \"Bank\"";
const VONAGE: &str =
    "kind = \"vonage\"\napi_key = \"key\"\napi_secret_file = \"SECRET\"\nfrom = \"Bank\"";
const INFOBIP: &str = "kind = \"infobip\"\napi_key_file = \"SECRET\"\nfrom = \"Bank\"";

/// Answers of providers, and whether they are the recipient's.
fn answers_of_providers() -> Vec<(&'static str, Channel, u16, Value, bool)> {
    let (sms, app) = (Channel::Sms, Channel::Whatsapp);
    let code = |code: u32| json!({"code": code, "message": "words", "status": 400});
    let state =
        |state: &str, code: Value| json!({"sid": "SM1", "status": state, "error_code": code});
    let meta = |code: u32| json!({"error": {"message": "words", "code": code}});
    let bird =
        |field: &str| json!({"errors": [{"code": 9, "description": "words", "parameter": field}]});
    let invalid =
        |name: &str| json!({"title": "Invalid params", "invalid_parameters": [{"name": name}]});
    let group = |id: u32| json!({"messages": [{"messageId": "m1", "status": {"groupId": id}}]});
    let mut rows = Vec::new();
    for recipients in [13224, 21211, 21266, 21610, 21614, 21635] {
        rows.push((TWILIO, sms, 400, code(recipients), true));
    }
    for ours in [20429, 21408, 21606, 21608, 99999] {
        rows.push((TWILIO, sms, 400, code(ours), false));
    }
    rows.extend([
        (TWILIO, sms, 401, code(20003), false),
        (TWILIO, sms, 201, state("failed", Value::Null), false),
        (TWILIO, sms, 201, state("undelivered", json!(30007)), false),
        (TWILIO, sms, 201, state("failed", json!(30006)), true),
        (WHATSAPP, app, 400, meta(131_026), true),
        (WHATSAPP, app, 400, meta(131_030), false),
        (WHATSAPP, app, 400, meta(131_056), false),
        (WHATSAPP, app, 400, meta(132_001), false),
        (WHATSAPP, app, 400, meta(190), false),
        (MESSAGEBIRD, sms, 422, bird("recipients"), true),
        (MESSAGEBIRD, sms, 422, bird("originator"), false),
        (MESSAGEBIRD, sms, 402, bird("x"), false),
        (VONAGE, sms, 422, invalid("to"), true),
        (VONAGE, sms, 422, invalid("from"), false),
        (VONAGE, sms, 402, json!({"title": "Low balance"}), false),
        (INFOBIP, sms, 200, group(2), true),
        (INFOBIP, sms, 200, group(5), false),
    ]);
    rows
}

#[tokio::test]
async fn send_16_what_a_provider_says_of_the_recipient_is_asked_of_no_other() {
    for (preset, channel, status, body, is_recipients) in answers_of_providers() {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(status).set_body_json(&body))
            .mount(&server)
            .await;
        let name = if channel == Channel::Sms {
            "sms"
        } else {
            "whatsapp"
        };
        let service = with_preset(&server, preset, name).await;
        let request = v1::StartVerificationRequest {
            recipients: vec![recipient(channel, "+31612345678")],
            ..login(&unique("s"))
        };
        let id = service.start(request).await.unwrap().verification_id;
        let expected = if is_recipients {
            DeliveryStatus::Failed
        } else {
            DeliveryStatus::Sent
        };
        let v = service
            .until(&id, |v| v.deliveries[0].status() != DeliveryStatus::Queued)
            .await;
        let delivery = &v.deliveries[0];
        assert_eq!(delivery.status(), expected, "{preset} {status} {body}");
        let by = if is_recipients { "p" } else { "outbox" };
        assert_eq!(delivery.sender, by, "{preset} {status} {body}");
        assert_eq!(service.recorder.all().len(), usize::from(!is_recipients));
    }
}

//! Push messages: from the start to the app, and what a locked screen may show.

use countersign::pb::v1::{self, Channel, DeliveryStatus, EntryMode, Method, Verdict};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use super::flood::browser;
use crate::harness::{A_BIT, Harness, Setup, check_request, fields, login, recipient};

/// A registration token.
const APP: &str = "fcm:dG9rZW4tb2YtdGhlLWFwcA:APA91bF-of_the_app_of_anna_4f2a";

fn to_app() -> v1::StartVerificationRequest {
    v1::StartVerificationRequest {
        recipients: vec![recipient(Channel::Push, APP)],
        locale: "nl".to_owned(),
        ..login("s")
    }
}

#[tokio::test]
async fn a_code_goes_to_an_app_and_is_typed_by_the_customer() {
    let service = Harness::new().await;
    let (v, code) = service.start_and_read(to_app()).await;
    assert_eq!(
        (v.channel(), v.masked_recipient.as_str()),
        (Channel::Push, "app •••• 4f2a")
    );
    assert_eq!(v.methods, [i32::from(Method::Push)]);
    assert!(v.explanation.contains("naar uw app"), "{}", v.explanation);
    service
        .until(&v.verification_id, |v| v.explanation.contains("in uw app"))
        .await;
    let check = v1::CheckCodeRequest {
        entry_mode: EntryMode::App.into(),
        ..check_request(&v.verification_id, &code, "a1")
    };
    let answer = service
        .client
        .clone()
        .check_code(service.request(check))
        .await
        .unwrap();
    assert_eq!(answer.into_inner().verdict(), Verdict::Approved);
}

#[tokio::test]
async fn chan_07_the_alert_holds_neither_the_code_nor_what_is_bound_and_the_opened_app_both() {
    let service = Harness::new().await;
    let binding = [("amount", "EUR 12.34"), ("payee", "Jansen")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let request = v1::StartVerificationRequest {
        action: "payment".to_owned(),
        binding: binding.into(),
        ..to_app()
    };
    let (_, code) = service.start_and_read(request).await;
    let message = service.recorder.all().remove(0);
    for shown in [&message.content.subject, &message.content.text] {
        assert!(
            !shown.is_empty()
                && !shown.contains(|c: char| c.is_ascii_digit())
                && !shown.contains("Jansen"),
            "{shown}"
        );
    }
    let opened = message.content.opened.clone().unwrap();
    assert!(
        opened.contains(&code) && opened.contains("bedrag: EUR 12.34\nbegunstigde: Jansen\n"),
        "{opened}"
    );
}

#[tokio::test]
async fn an_address_that_no_push_service_gives_is_refused_by_name() {
    let service = Harness::new().await;
    for address in ["anna@example.org", "fcm:short", "apns:xyz", "webpush:e30"] {
        let request = v1::StartVerificationRequest {
            recipients: vec![recipient(Channel::Push, address)],
            ..to_app()
        };
        assert_eq!(
            fields(&service.start(request).await.unwrap_err()),
            ["recipients[0].address"],
            "{address}"
        );
    }
}

/// Anybody can subscribe at a push service of his own, so its host is judged before a sender is asked.
#[tokio::test]
async fn send_15_a_browser_at_a_foreign_push_service_is_refused_at_the_start() {
    let setup = Setup::default();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let file = setup.dir.path().join("vapid.pem");
    std::fs::write(&file, key.serialize_pem()).unwrap();
    let section = format!(
        "[senders.browsers]\nkind = \"webpush\"\nkey_file = \"{}\"\ncontact = \"mailto:ops@bank.example\"\n\
         hosts = [\"push.bank.example\", \"*.push.apple.com\"]\n[routes.push]\nsenders = [\"browsers\"]\n",
        file.display()
    );
    let service = setup.file(&section).start().await;
    let start = |endpoints: &[&str]| {
        let recipients = endpoints.iter();
        service.start(v1::StartVerificationRequest {
            recipients: recipients
                .map(|endpoint| recipient(Channel::Push, &browser(endpoint)))
                .collect(),
            ..login(&crate::harness::unique("s"))
        })
    };
    for foreign in [
        "https://push.evil.example/x",
        "https://push.bank.example.evil.example/x",
        "https://push.apple.com/x",
        "https://push.bank.example:8443/x",
        "https://169.254.169.254/x",
    ] {
        let refused = start(&["https://push.bank.example/x", foreign])
            .await
            .unwrap_err();
        assert_eq!(fields(&refused), ["recipients[1].address"], "{foreign}");
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    }
    assert!(start(&["https://push.bank.example/x"]).await.is_ok());
    assert!(start(&["https://web.push.apple.com/x"]).await.is_ok());
}

/// The service with FCM on the channel push; it issues a token and gives every message this answer.
async fn by_google(answer: ResponseTemplate, more: &str) -> (Harness, MockServer) {
    let (setup, google) = (Setup::default(), MockServer::start().await);
    let token = json!({"access_token": "ya29.token", "expires_in": 3600});
    Mock::given(path("/token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(token))
        .mount(&google)
        .await;
    Mock::given(path("/v1/projects/bank-1/messages:send"))
        .respond_with(answer)
        .mount(&google)
        .await;
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
        .unwrap();
    let account = json!({
        "type": "service_account",
        "project_id": "bank-1",
        "private_key": key.serialize_pem(),
        "client_email": "codes@bank-1.example",
        "token_uri": format!("{}/token", google.uri()),
    });
    let file = setup.dir.path().join("account.json");
    std::fs::write(&file, account.to_string()).unwrap();
    let section = format!(
        "[senders.google]\nkind = \"fcm\"\nservice_account_file = \"{}\"\nbase_url = \"{}\"\nallow_hosts = [\"{}\"]\n\
         [routes.push]\nsenders = [\"google\"]\n{more}",
        file.display(),
        google.uri(),
        google.address()
    );
    (setup.file(&section).start().await, google)
}

#[tokio::test]
async fn google_takes_a_message_and_the_customer_can_use_the_code_in_it() {
    let name = json!({"name": "projects/bank-1/messages/0:15"});
    let (service, google) = by_google(ResponseTemplate::new(200).set_body_json(name), "").await;
    let v = service.start(to_app()).await.unwrap();
    service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Sent
        })
        .await;
    let request = google.received_requests().await.unwrap().pop().unwrap();
    let message = serde_json::from_slice::<Value>(&request.body).unwrap()["message"].take();
    assert_eq!(message["token"], APP.trim_start_matches("fcm:"));
    let code = message["data"]["code"].as_str().unwrap();
    assert_eq!(
        service.check(&v.verification_id, code).await,
        Verdict::Approved
    );
}

#[tokio::test]
async fn an_app_that_is_gone_is_followed_by_the_next_channel_of_the_plan() {
    let gone =
        json!({"error": {"status": "NOT_FOUND", "details": [{"errorCode": "UNREGISTERED"}]}});
    let plan = "[actions.login]\nplan = [\"push 60s\", \"sms\"]\n";
    let (service, _google) = by_google(ResponseTemplate::new(404).set_body_json(gone), plan).await;
    let mut request = to_app();
    request
        .recipients
        .push(recipient(Channel::Sms, "+31612345678"));
    let v = service.start(request).await.unwrap();
    let id = &v.verification_id;
    let seen = service
        .until(id, |v| v.deliveries[0].status() == DeliveryStatus::Failed)
        .await;
    let first = &seen.deliveries[0];
    assert_eq!(
        (first.failure.as_str(), first.sender.as_str()),
        ("unregistered", "google")
    );
    // The worker sweeps every second.
    while service.recorder.all().is_empty() {
        service.pass(A_BIT).await;
    }
    let seen = service.get(id).await.unwrap();
    assert_eq!(seen.deliveries[1].channel(), Channel::Sms);
    assert_eq!(
        service.check(id, &service.code_of(id).await).await,
        Verdict::Approved
    );
}

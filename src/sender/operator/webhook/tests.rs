//! Webhooks as they arrive, and their signatures compared with the published vectors.

use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use super::*;
use crate::{
    domain::delivery::reason::Reason,
    format::{
        secret::SecretText,
        standard_webhooks::{WebhookKeys, WrongSecret},
    },
    sender::{
        doubles::samples::{self, Fixed},
        transport::http::{again, always_ours, give_up, later, login_refused, unfit},
    },
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn secrets(texts: &[&str]) -> Vec<SecretText> {
    texts
        .iter()
        .map(|&text| SecretText::new(text.to_owned()))
        .collect()
}

fn keys(texts: &[&str]) -> Result<WebhookKeys, WrongSecret> {
    WebhookKeys::parse(texts.iter().copied())
}

fn settings(server: &str) -> WebhookSettings {
    WebhookSettings {
        channels: vec![Channel::Email],
        signed: SignedSettings {
            url: format!("{server}/hook"),
            secrets: secrets(&[SECRET]),
            connection: samples::connection(server),
        },
        addresses: None,
    }
}

async fn receiver(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

#[test]
fn hook_01_signatures_are_those_of_the_vectors() {
    let vectors: Value = serde_json::from_str(include_str!(
        "../../../../tests/vectors/standard_webhooks.json"
    ))
    .unwrap();
    let mut counts = [0, 0];
    for case in vectors["cases"].as_array().unwrap() {
        let header = |name: &str| case["headers"][name].as_str();
        let (Some(id), Some(given)) = (header("webhook-id"), header("webhook-signature")) else {
            continue;
        };
        let Some(seconds) = header("webhook-timestamp").and_then(|text| text.parse::<u64>().ok())
        else {
            continue;
        };
        let texts: Vec<&str> = case["secrets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|secret| secret.as_str().unwrap())
            .collect();
        let ours =
            keys(&texts)
                .unwrap()
                .sign(id, seconds, case["body"].as_str().unwrap().as_bytes());
        let matches = ours
            .split(' ')
            .any(|ours| given.split(' ').any(|given| given == ours));
        if case["expect"] == "accepted" {
            assert!(matches, "{}", case["name"]);
            counts[0] += 1;
        } else if case["name"].as_str().unwrap().starts_with("301 s")
            || header("webhook-timestamp").unwrap().starts_with('+')
        {
            // Vectors that a receiver refuses for their time or its form; a signer does not check
            // these.
        } else {
            assert!(!matches, "{}", case["name"]);
            counts[1] += 1;
        }
    }
    assert!(
        counts[0] >= 7 && counts[1] >= 8,
        "the vectors were read: {counts:?}"
    );
}

#[test]
fn hook_01_a_secret_has_24_to_64_bytes() {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    let made = |bytes: usize| {
        keys(&[&format!("whsec_{}", BASE64_STANDARD.encode(vec![7; bytes]))]).is_ok()
    };
    assert_eq!([23, 24, 64, 65].map(made), [false, true, true, false]);
    for bad in [
        "",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_",
        "whsec_not base64",
    ] {
        assert!(keys(&[bad]).is_err(), "{bad}");
    }
    assert!(keys(&[]).is_err());
}

#[tokio::test]
async fn hook_01_a_message_arrives_signed_by_each_secret_under_its_delivery_id() {
    let server =
        receiver(ResponseTemplate::new(200).set_body_json(json!({"reference": "r-1"}))).await;
    let second = "whsec_Xy+E4kkgwwGQ50bqGMpiDlSAajSWMFzN3s818qhLnso=";
    let mut both = settings(&server.uri());
    both.signed.secrets = secrets(&[SECRET, second]);
    assert!(!format!("{both:?}").contains("MfKQ9"));
    let message = samples::message();
    let sent = Webhook::new(&both, Arc::new(Fixed))
        .unwrap()
        .send(&message)
        .await;
    assert_eq!(
        sent,
        Ok(Sent {
            reference: ProviderReference::parse("r-1").ok(),
            ..Sent::default()
        })
    );

    let request = server.received_requests().await.unwrap().remove(0);
    let header = |name: &str| request.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("webhook-id"), message.delivery.to_string());
    assert_eq!(header("webhook-timestamp"), "1750000000");
    let expected =
        keys(&[SECRET, second])
            .unwrap()
            .sign(&header("webhook-id"), 1_750_000_000, &request.body);
    assert_eq!(header("webhook-signature"), expected);
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["type"], "message.send");
    assert_eq!(
        (&body["data"]["address"], &body["data"]["code"]),
        (&json!("anna@example.org"), &json!("123456"))
    );
    assert_eq!(
        (&body["data"]["language"], &body["data"]["greeting"]),
        (&json!("de"), &Value::Null)
    );
}

#[tokio::test]
async fn what_a_receiver_answers_says_what_is_next() {
    for (status, expected) in [
        (204, Ok(Sent::default())),
        (422, Err(give_up(Reason::Refused))),
        (401, Err(login_refused())),
        (410, Err(unfit(Reason::SenderRefused))),
        (302, Err(always_ours(Reason::Redirected))),
        (429, Err(later(Reason::Busy, None))),
        (503, Err(again(Reason::Busy, None))),
    ] {
        let server = receiver(ResponseTemplate::new(status)).await;
        let webhook = Webhook::new(&settings(&server.uri()), Arc::new(Fixed)).unwrap();
        assert_eq!(
            webhook.send(&samples::message()).await,
            expected,
            "{status}"
        );
    }
}

#[test]
fn hook_03_a_webhook_leads_to_no_inner_network_by_itself() {
    let refused = |url: &str, plain| {
        let mut settings = settings("http://x");
        settings.signed.url = url.to_owned();
        settings.signed.connection.allow_hosts.clear();
        settings.signed.connection.plaintext = plain;
        Webhook::new(&settings, Arc::new(Fixed)).is_err()
    };
    assert!(
        refused("https://169.254.169.254/hook", false)
            && refused("http://hooks.example.com/", false)
    );
    assert!(!refused("https://hooks.example.com/", false));
}

#[tokio::test]
async fn a_receiver_is_told_where_its_receipts_go_if_they_go_anywhere() {
    let addresses = || Addresses {
        callbacks: "https://otp.bank.example/callbacks/own".to_owned(),
        calls: None,
        login: None,
    };
    let message = samples::message();
    let url = json!(format!(
        "https://otp.bank.example/callbacks/own/{}",
        message.receipt.as_str()
    ));
    for (addresses, expected, path) in [
        (Some(addresses()), url, ReceiptPath::ByToken),
        (None, Value::Null, ReceiptPath::None),
    ] {
        let server = receiver(ResponseTemplate::new(204)).await;
        let settings = WebhookSettings {
            addresses,
            ..settings(&server.uri())
        };
        let webhook = Webhook::new(&settings, Arc::new(Fixed)).unwrap();
        assert_eq!(webhook.capabilities().receipts, path);
        webhook.send(&message).await.unwrap();
        let body: Value =
            serde_json::from_slice(&server.received_requests().await.unwrap()[0].body).unwrap();
        assert_eq!(body["data"]["receipt_url"], expected);
    }
}

//! Messages as Apple receives them, over HTTP/2 and TLS, and the effects of Apple's answers.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::Version;

use super::*;
use crate::sender::{
    doubles::{
        samples::{self, Fixed},
        tls_double::{Answer, Double},
    },
    jws::tests::{ec_pem, verified},
    transport::http::unfit,
};

type Break = fn(&mut ApnsSettings);

const TAKEN: Answer = (200, None, "");

fn app() -> String {
    format!("apns:{}", "ab".repeat(32))
}

fn settings(double: &Double) -> ApnsSettings {
    ApnsSettings {
        key: ec_pem(),
        key_id: "ABC123DEFG".to_owned(),
        team_id: "DEF123GHIJ".to_owned(),
        topic: "example.bank.app".to_owned(),
        base_url: double.url(),
        connection: ConnectionSettings {
            plaintext: false,
            ca_file: Some(double.ca_file()),
            ..samples::connection(&double.url())
        },
    }
}

async fn apple(answers: &[Answer]) -> Double {
    Double::start(&["h2"], answers).await
}

async fn outcome(answers: &[Answer]) -> (Result<Sent, SendError>, Double) {
    let double = apple(answers).await;
    let sender = Apns::new(&settings(&double), Arc::new(Fixed)).unwrap();
    (sender.send(&samples::push(&app())).await, double)
}

#[tokio::test]
async fn chan_07_apple_gets_the_alert_and_apart_from_it_the_code() {
    let double = apple(&[TAKEN]).await;
    let settings = settings(&double);
    let (_, public) = Signer::es256(&settings.key).unwrap();
    let sender = Apns::new(&settings, Arc::new(Fixed)).unwrap();
    let sent = sender.send(&samples::push(&app())).await.unwrap();
    assert_eq!(
        sent.reference.unwrap().as_str(),
        "07070707-0707-0707-0707-070707070707"
    );

    let seen = double.seen().remove(0);
    assert_eq!(
        (seen.version, seen.path.as_str()),
        (
            Version::HTTP_2,
            format!("/3/device/{}", "ab".repeat(32)).as_str()
        )
    );
    for (name, value) in [
        ("apns-topic", "example.bank.app"),
        ("apns-push-type", "alert"),
        ("apns-priority", "10"),
        ("apns-expiration", "1750000300"),
        ("apns-id", "07070707-0707-0707-0707-070707070707"),
        (
            "apns-collapse-id",
            &samples::message().verification.to_string(),
        ),
    ] {
        assert_eq!(seen.headers[name], value, "{name}");
    }
    let token = seen.headers["authorization"]
        .to_str()
        .unwrap()
        .strip_prefix("bearer ")
        .unwrap()
        .to_owned();
    let (header, claims) = verified(&token, &public).expect("it is signed with the key");
    assert_eq!(
        header,
        json!({"alg": "ES256", "typ": "JWT", "kid": "ABC123DEFG"})
    );
    assert_eq!(claims, json!({"iss": "DEF123GHIJ", "iat": 1_750_000_000}));

    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let alert = json!({"title": "Bank: code for login", "body": "Open the app to see your code for login."});
    assert_eq!(body["aps"], json!({"alert": alert, "sound": "default"}));
    assert_eq!(
        (&body["code"], &body["text"]),
        (&json!("123456"), &json!("123 456 is your code"))
    );
}

#[tokio::test]
async fn apple_is_spoken_to_in_http_2_or_not_at_all() {
    let double = Double::start(&["http/1.1"], &[TAKEN]).await;
    let sender = Apns::new(&settings(&double), Arc::new(Fixed)).unwrap();
    assert_eq!(
        sender.send(&samples::push(&app())).await,
        Err(next_sender(Reason::TlsFailed))
    );
    assert!(double.seen().is_empty());
}

#[tokio::test]
async fn chan_08_nobody_else_is_taken_for_apple() {
    let double = apple(&[TAKEN]).await;
    let mut stranger = settings(&double);
    stranger.connection.ca_file = None;
    let sent = Apns::new(&stranger, Arc::new(Fixed))
        .unwrap()
        .send(&samples::push(&app()))
        .await;
    assert_eq!(sent, Err(next_sender(Reason::TlsFailed)));
    let closed = ApnsSettings {
        base_url: "https://localhost:1".to_owned(),
        connection: ConnectionSettings {
            allow_hosts: vec!["localhost:1".to_owned()],
            ..settings(&double).connection
        },
        ..settings(&double)
    };
    let sent = Apns::new(&closed, Arc::new(Fixed))
        .unwrap()
        .send(&samples::push(&app()))
        .await;
    assert_eq!(sent, Err(again(Reason::Unreachable, None)));
    assert!(double.seen().is_empty());
}

#[tokio::test]
async fn a_token_is_used_for_forty_minutes() {
    struct Hand(AtomicU64);
    #[async_trait]
    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros((1_750_000_000 + self.0.load(Ordering::SeqCst)) * 1_000_000)
        }
        async fn sleep(&self, _: Duration) {}
    }
    let (double, clock) = (apple(&[TAKEN]).await, Arc::new(Hand(AtomicU64::new(0))));
    let sender = Apns::new(&settings(&double), clock.clone()).unwrap();
    for seconds in [0, 2399, 2400, 2401] {
        clock.0.store(seconds, Ordering::SeqCst);
        sender.send(&samples::push(&app())).await.unwrap();
    }
    let tokens: Vec<_> = double
        .seen()
        .into_iter()
        .map(|seen| seen.headers["authorization"].clone())
        .collect();
    assert!(tokens[0] == tokens[1] && tokens[1] != tokens[2] && tokens[2] == tokens[3]);
}

#[tokio::test]
async fn a_token_that_is_refused_is_made_anew_once() {
    let expired = (403, None, r#"{"reason": "ExpiredProviderToken"}"#);
    let (sent, double) = outcome(&[expired, TAKEN]).await;
    assert!(sent.is_ok());
    let seen = double.seen();
    assert_ne!(
        seen[0].headers["authorization"],
        seen[1].headers["authorization"]
    );
    assert_eq!(seen[0].headers["apns-id"], seen[1].headers["apns-id"]);
    let (sent, double) = outcome(&[expired]).await;
    assert_eq!(
        (sent, double.seen().len()),
        (Err(next_sender(Reason::LoginRefused)), 2)
    );
}

#[tokio::test]
async fn what_apple_answers_says_what_is_next() {
    for (answer, expected) in [
        (
            (400, None, r#"{"reason": "BadDeviceToken"}"#),
            give_up(Reason::Refused),
        ),
        (
            (410, None, r#"{"reason": "Unregistered", "timestamp": 1}"#),
            give_up(Reason::Unregistered),
        ),
        (
            (410, None, r#"{"reason": "ExpiredToken"}"#),
            give_up(Reason::Unregistered),
        ),
        (
            (413, None, r#"{"reason": "PayloadTooLarge"}"#),
            give_up(Reason::OversizedMessage),
        ),
        (
            (
                429,
                Some(("retry-after", "9")),
                r#"{"reason": "TooManyRequests"}"#,
            ),
            again(Reason::Busy, Some(Duration::from_secs(9))),
        ),
        (
            (429, None, r#"{"reason": "TooManyProviderTokenUpdates"}"#),
            again(Reason::Busy, None),
        ),
        (
            (500, None, r#"{"reason": "InternalServerError"}"#),
            again(Reason::Busy, None),
        ),
        ((503, None, "<html>"), again(Reason::Busy, None)),
        (
            (403, None, r#"{"reason": "InvalidProviderToken"}"#),
            next_sender(Reason::LoginRefused),
        ),
        (
            (400, None, r#"{"reason": "DeviceTokenNotForTopic"}"#),
            unfit(Reason::SenderRefused),
        ),
        (
            (400, None, r#"{"reason": "TopicDisallowed"}"#),
            unfit(Reason::SenderRefused),
        ),
        ((204, None, ""), next_sender(Reason::MalformedReply)),
        ((301, None, ""), next_sender(Reason::Redirected)),
    ] {
        assert_eq!(outcome(&[answer]).await.0, Err(expected), "{answer:?}");
    }
}

#[tokio::test]
async fn what_apple_would_not_take_is_not_sent() {
    let double = apple(&[TAKEN]).await;
    let sender = Apns::new(&settings(&double), Arc::new(Fixed)).unwrap();
    let mut message = samples::push(&app());
    Arc::make_mut(&mut message.content).opened = Some("x".repeat(4096));
    assert_eq!(
        sender.send(&message).await,
        Err(give_up(Reason::OversizedMessage))
    );
    let android = samples::push(&format!("fcm:{}", "a".repeat(40)));
    assert_eq!(
        sender.send(&android).await,
        Err(unfit(Reason::WrongAddressKind))
    );
    assert!(double.seen().is_empty());
}

#[tokio::test]
async fn what_is_wrong_with_the_settings_is_said() {
    let double = apple(&[TAKEN]).await;
    let cases: [(&str, Break); 3] = [
        ("topic holds characters", |s| s.topic = "a\nb".to_owned()),
        ("key_file holds no private key", |s| {
            s.key = SecretText::new("s3cret".to_owned());
        }),
        (
            "base_url \"http://localhost\" must begin with https://",
            |s| {
                s.base_url = "http://localhost".to_owned();
            },
        ),
    ];
    for (begin, change) in cases {
        let mut settings = settings(&double);
        change(&mut settings);
        assert!(!format!("{settings:?}").contains("s3cret"));
        let error = Apns::new(&settings, Arc::new(Fixed))
            .err()
            .unwrap()
            .to_string();
        assert!(error.starts_with(begin), "{begin}: {error}");
    }
}

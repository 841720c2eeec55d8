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
    transport::http::again,
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

/// A clock that stands at this many seconds.
#[derive(Default)]
struct Hand(AtomicU64);

#[async_trait]
impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros((1_750_000_000 + self.0.load(Ordering::SeqCst)) * 1_000_000)
    }

    async fn sleep(&self, _: Duration) {}
}

#[tokio::test]
async fn a_token_is_used_for_forty_minutes() {
    let (double, clock) = (apple(&[TAKEN]).await, Arc::new(Hand::default()));
    let sender = Apns::new(&settings(&double), clock.clone()).unwrap();
    for seconds in [0, 2399, 2400, 2401] {
        clock.0.store(seconds, Ordering::SeqCst);
        sender.send(&samples::push(&app())).await.unwrap();
    }
    let tokens = tokens(&double);
    assert!(tokens[0] == tokens[1] && tokens[1] != tokens[2] && tokens[2] == tokens[3]);
}

fn tokens(double: &Double) -> Vec<HeaderValue> {
    let seen = double.seen().into_iter();
    seen.map(|seen| seen.headers["authorization"].clone())
        .collect()
}

const EXPIRED: Answer = (403, None, r#"{"reason": "ExpiredProviderToken"}"#);

#[tokio::test]
async fn a_token_that_is_refused_is_made_anew_once() {
    let (double, clock) = (
        apple(&[TAKEN, EXPIRED, TAKEN]).await,
        Arc::new(Hand::default()),
    );
    let sender = Apns::new(&settings(&double), clock.clone()).unwrap();
    sender.send(&samples::push(&app())).await.unwrap();
    clock.0.store(1200, Ordering::SeqCst);
    sender.send(&samples::push(&app())).await.unwrap();
    let tokens = tokens(&double);
    assert!(tokens[0] == tokens[1] && tokens[1] != tokens[2]);
    let seen = double.seen();
    assert_eq!(seen[1].headers["apns-id"], seen[2].headers["apns-id"]);
}

#[tokio::test]
async fn send_16_apple_gets_at_most_one_new_token_in_twenty_minutes() {
    let (double, clock) = (apple(&[EXPIRED]).await, Arc::new(Hand::default()));
    let sender = Apns::new(&settings(&double), clock.clone()).unwrap();
    for seconds in [0, 1, 600, 1199] {
        clock.0.store(seconds, Ordering::SeqCst);
        assert_eq!(
            sender.send(&samples::push(&app())).await,
            Err(login_refused()),
            "{seconds} s"
        );
    }
    let first = tokens(&double);
    assert!(first.len() == 4 && first.iter().all(|token| *token == first[0]));
    clock.0.store(1200, Ordering::SeqCst);
    assert_eq!(
        sender.send(&samples::push(&app())).await,
        Err(login_refused())
    );
    let then = tokens(&double);
    assert!(then.len() == 6 && then[4] == first[0] && then[5] != first[0]);
}

#[tokio::test]
async fn what_apple_answers_says_what_is_next() {
    for (answer, expected) in [
        (
            (400, None, r#"{"reason": "BadDeviceToken"}"#),
            unfit(Reason::SenderRefused),
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
            ours(Reason::OversizedMessage),
        ),
        (
            (
                429,
                Some(("retry-after", "9")),
                r#"{"reason": "TooManyRequests"}"#,
            ),
            later(Reason::Busy, Some(Duration::from_secs(9))),
        ),
        (
            (429, None, r#"{"reason": "TooManyProviderTokenUpdates"}"#),
            login_refused(),
        ),
        (
            (500, None, r#"{"reason": "InternalServerError"}"#),
            again(Reason::Busy, None),
        ),
        ((503, None, "<html>"), again(Reason::Busy, None)),
        (
            (403, None, r#"{"reason": "InvalidProviderToken"}"#),
            login_refused(),
        ),
        (
            (400, None, r#"{"reason": "DeviceTokenNotForTopic"}"#),
            unfit(Reason::SenderRefused),
        ),
        (
            (400, None, r#"{"reason": "TopicDisallowed"}"#),
            always_ours(Reason::SenderRefused),
        ),
        ((204, None, ""), next_sender(Reason::MalformedReply)),
        ((301, None, ""), always_ours(Reason::Redirected)),
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
        Err(ours(Reason::OversizedMessage))
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

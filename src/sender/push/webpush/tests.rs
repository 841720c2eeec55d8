//! Messages as push services receive them, where they may go, and the effects of the answers.

use super::*;
use crate::sender::{
    doubles::{
        samples,
        tls_double::{Answer, Double},
    },
    jws::tests::{ec_pem, verified},
    transport::http::{again, always_ours, later},
};

type Break = fn(&mut WebPushSettings);

const TAKEN: Answer = (201, None, "");

/// A browser's subscription at this endpoint, with the keys of RFC 8291.
fn browser(endpoint: &str) -> String {
    let p256dh =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    let json =
        json!({"endpoint": endpoint, "keys": {"p256dh": p256dh, "auth": "BTBZMqHH6r4Tts7J_aSIgg"}});
    format!(
        "webpush:{}",
        BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
    )
}

fn settings(double: &Double) -> WebPushSettings {
    WebPushSettings {
        key: ec_pem(),
        contact: "mailto:security@bank.example".to_owned(),
        hosts: vec!["localhost".to_owned()],
        connection: ConnectionSettings {
            allow_hosts: vec![double.host(), "localhost".to_owned()],
            ca_file: Some(double.ca_file()),
            ..samples::connection("")
        },
    }
}

fn made(settings: &WebPushSettings) -> Result<WebPush, SettingError> {
    WebPush::new(settings, &samples::sender_parts())
}

async fn service(answers: &[Answer]) -> Double {
    Double::start(&["h2", "http/1.1"], answers).await
}

#[tokio::test]
async fn a_push_service_learns_who_sends_and_for_how_long_and_nothing_of_the_message() {
    let double = service(&[TAKEN]).await;
    let sender = made(&settings(&double)).unwrap();
    let message = samples::push(&browser(&format!("{}/push/JzLQ3raZJfFBR0", double.url())));
    assert_eq!(sender.send(&message).await, Ok(Sent::default()));

    let seen = double.seen().remove(0);
    assert_eq!(seen.path, "/push/JzLQ3raZJfFBR0");
    for (name, value) in [
        ("ttl", "300"),
        ("urgency", "high"),
        ("content-encoding", "aes128gcm"),
    ] {
        assert_eq!(seen.headers[name], value, "{name}");
    }
    assert_eq!(seen.headers["topic"].len(), 32);
    let vapid = seen.headers["authorization"]
        .to_str()
        .unwrap()
        .strip_prefix("vapid t=")
        .unwrap()
        .to_owned();
    let (token, public) = vapid.split_once(", k=").unwrap();
    let public = BASE64_URL_SAFE_NO_PAD.decode(public).unwrap();
    let (_, claims) = verified(token, &public).expect("it is signed with the key that it names");
    let expected =
        json!({"aud": double.url(), "exp": 1_750_043_200, "sub": "mailto:security@bank.example"});
    assert_eq!(claims, expected);
    let readable = String::from_utf8_lossy(&seen.body);
    assert!(!readable.contains("123456") && !readable.contains("login"));
}

#[test]
fn chan_07_what_the_service_worker_shows_holds_no_code() {
    let payload = payload(&samples::push(&browser("https://push.example.net/x")));
    let shown = format!("{} {}", payload["title"], payload["body"]);
    assert!(
        !shown.contains("123") && shown.contains("Open the app"),
        "{shown}"
    );
    assert_eq!(payload["data"]["code"], "123456");
}

#[tokio::test]
async fn hook_03_a_subscription_leads_to_no_host_but_those_of_the_settings() {
    let double = service(&[TAKEN]).await;
    let usual = WebPushSettings {
        hosts: vec![
            "fcm.googleapis.com".to_owned(),
            "*.push.apple.com".to_owned(),
        ],
        ..settings(&double)
    };
    let sender = made(&usual).unwrap();
    for endpoint in [
        double.url().as_str(),
        "https://169.254.169.254",
        "https://metadata.internal",
        "https://fcm.googleapis.com.evil.example",
    ] {
        let sent = sender
            .send(&samples::push(&browser(&format!("{endpoint}/push/x"))))
            .await;
        assert_eq!(sent, Err(give_up(Reason::AddressRefused)), "{endpoint}");
    }
    assert!(double.seen().is_empty());
    // Listed, but in an internal network that is not in `allow_hosts`.
    let mut inner = settings(&double);
    inner.connection.allow_hosts = vec![double.host().replace("localhost", "other")];
    let sent = made(&inner)
        .unwrap()
        .send(&samples::push(&browser(&format!("{}/x", double.url()))))
        .await;
    assert_eq!(sent, Err(give_up(Reason::AddressRefused)));
}

#[tokio::test]
async fn what_a_push_service_answers_says_what_is_next() {
    for (answer, expected) in [
        ((200, None, ""), Ok(Sent::default())),
        ((202, None, ""), Ok(Sent::default())),
        ((404, None, ""), Err(give_up(Reason::Unregistered))),
        (
            (410, None, "push subscription has unsubscribed"),
            Err(give_up(Reason::Unregistered)),
        ),
        ((413, None, ""), Err(ours(Reason::OversizedMessage))),
        (
            (429, Some(("retry-after", "9")), ""),
            Err(later(Reason::Busy, Some(Duration::from_secs(9)))),
        ),
        ((500, None, ""), Err(of_endpoint(again(Reason::Busy, None)))),
        ((503, None, ""), Err(of_endpoint(again(Reason::Busy, None)))),
        ((401, None, ""), Err(unfit(Reason::SenderRefused))),
        ((403, None, ""), Err(unfit(Reason::SenderRefused))),
        ((400, None, ""), Err(unfit(Reason::SenderRefused))),
        (
            (307, None, ""),
            Err(of_endpoint(always_ours(Reason::Redirected))),
        ),
    ] {
        let double = service(&[answer]).await;
        let sender = made(&settings(&double)).unwrap();
        let sent = sender
            .send(&samples::push(&browser(&format!("{}/x", double.url()))))
            .await;
        assert_eq!(sent, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn what_no_push_service_would_take_is_not_sent() {
    let double = service(&[TAKEN]).await;
    let sender = made(&settings(&double)).unwrap();
    let mut message = samples::push(&browser(&format!("{}/x", double.url())));
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
    let double = service(&[TAKEN]).await;
    let cases: [(&str, Break); 3] = [
        ("key_file holds no private key", |s| {
            s.key = SecretText::new("s3cret".to_owned());
        }),
        ("hosts has \"https://push.example.net/\"", |s| {
            s.hosts = vec!["https://push.example.net/".to_owned()];
        }),
        ("ca_file /nonexistent cannot be read", |s| {
            s.connection.ca_file = Some("/nonexistent".into());
        }),
    ];
    for (begin, change) in cases {
        let mut settings = settings(&double);
        change(&mut settings);
        assert!(!format!("{settings:?}").contains("s3cret"));
        let error = made(&settings).err().unwrap().to_string();
        assert!(error.starts_with(begin), "{begin}: {error}");
    }
}

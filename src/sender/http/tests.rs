//! Requests as they arrive at a provider, and the effects of the provider's answers.

mod forms;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, net::TcpListener};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use super::{
    super::{
        doubles::samples,
        transport::http::{again, give_up, later, login_refused, next_sender, unfit, unknown},
    },
    *,
};
use crate::domain::{delivery::blame::Stage, ids::ProviderReference, recipient::Recipient};

const JSON: &str = r#"{"to": ["{{ address_digits }}"], "text": "{{ text }}", "otp": "{{code}}", "id": "{{ delivery }}",
    "lang": "{{ language }}", "by": "{{ channel }}", "from": "{{ from }}", "priority": 1, "flash": false, "none": null}"#;

fn message() -> Message {
    let mut message = samples::message();
    message.recipient = Recipient::parse(Channel::Sms, "+31612345678").unwrap();
    Arc::make_mut(&mut message.content).html = None;
    message
}

fn settings(base: &str, body: Body) -> HttpSettings {
    let headers = vec![("Idempotency-Key".to_owned(), "{{ delivery }}".to_owned())];
    let url = format!("{base}/v1/{{{{ account }}}}/messages");
    HttpSettings {
        requests: BTreeMap::from([(
            Channel::Sms,
            RequestSettings {
                method: Method::Post,
                url,
                query: Vec::new(),
                headers,
                body,
                charset: Charset::Utf8,
                content_type: None,
            },
        )]),
        missing: BTreeMap::new(),
        url_key: "url",
        parameters: [("account", "AC/1 2"), ("from", "Bank \"A\"")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        languages: BTreeMap::new(),
        secrets: BTreeMap::from([("key".to_owned(), SecretText::new("s&3 ç\"".to_owned()))]),
        auth: Auth::None,
        answers: AnswerRules::default(),
        addresses: None,
        connection: samples::connection(base),
    }
}

fn made(settings: &HttpSettings) -> Result<Http, SettingError> {
    Http::new(settings, &samples::sender_parts())
}

async fn provider(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

fn json_body() -> Body {
    Body::Json(JSON.to_owned())
}

/// The result of this answer under these rules.
async fn outcome(answer: ResponseTemplate, answers: AnswerRules) -> Result<Sent, SendError> {
    let server = provider(answer).await;
    let sender = made(&HttpSettings {
        answers,
        ..settings(&server.uri(), json_body())
    })
    .unwrap();
    sender.send(&message()).await
}

fn codes(codes: &[&str]) -> Vec<Pattern> {
    codes.iter().map(|code| Pattern::new(code)).collect()
}

fn sent(reference: &str) -> Sent {
    Sent {
        reference: ProviderReference::parse(reference).ok(),
        ..Sent::default()
    }
}

fn status(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status)
}

#[tokio::test]
async fn a_json_request_carries_the_message_and_nothing_gets_out_of_its_text() {
    let server = provider(status(200)).await;
    let sender = made(&settings(&server.uri(), json_body())).unwrap();
    let mut message = message();
    Arc::make_mut(&mut message.content).text =
        "123456 is \"it\"\\\n{{ code }}</b>\u{2028}€".to_owned();
    sender.send(&message).await.unwrap();

    let request = server.received_requests().await.unwrap().remove(0);
    assert_eq!(
        request.url.path(),
        "/v1/AC%2F1%202/messages",
        "a value stays in its segment"
    );
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(
        request.headers["idempotency-key"],
        message.delivery.to_string().as_str()
    );
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let expected = json!({
        "to": ["31612345678"], "text": message.content.text, "otp": "123456", "id": message.delivery.to_string(),
        "lang": "de", "by": "sms", "from": "Bank \"A\"", "priority": 1, "flash": false, "none": null,
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_form_request_carries_the_message_and_no_value_makes_a_field() {
    let server = provider(status(200)).await;
    let fields = [
        ("To", "{{ address }}"),
        ("Body", "{{ text }}"),
        ("Fixed", "a b"),
    ];
    let body = Body::Form(
        fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
    );
    let sender = made(&settings(&server.uri(), body)).unwrap();
    let mut message = message();
    Arc::make_mut(&mut message.content).text = "1&To=+999\r\n%26 {{ code }} é".to_owned();
    sender.send(&message).await.unwrap();

    let request = server.received_requests().await.unwrap().remove(0);
    assert_eq!(
        request.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(&request.body)
        .into_owned()
        .collect();
    let expected = [
        ("To", "+31612345678"),
        ("Body", message.content.text.as_str()),
        ("Fixed", "a b"),
    ];
    assert_eq!(
        fields,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[tokio::test]
async fn credentials_are_sent_and_never_printed() {
    let secret = || SecretText::new("s3cret-word".to_owned());
    let header = |name: &str, prefix: &str| Auth::Header {
        name: name.to_owned(),
        prefix: prefix.to_owned(),
        token: secret(),
    };
    for (auth, name, value) in [
        // base64 of user:s3cret-word
        (
            Auth::Basic {
                username: "user".to_owned(),
                password: secret(),
            },
            "authorization",
            "Basic dXNlcjpzM2NyZXQtd29yZA==",
        ),
        (
            header("authorization", "Bearer "),
            "authorization",
            "Bearer s3cret-word",
        ),
        (header("X-Api-Key", ""), "x-api-key", "s3cret-word"),
    ] {
        let server = provider(status(200)).await;
        let settings = HttpSettings {
            auth,
            ..settings(&server.uri(), json_body())
        };
        assert!(!format!("{settings:?}").contains("s3cret"));
        let sender = made(&settings).unwrap();
        let shown = format!("{sender:?}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("dXNlcj"),
            "{shown}"
        );
        sender.send(&message()).await.unwrap();
        assert_eq!(
            server.received_requests().await.unwrap()[0].headers[name],
            value
        );
    }
}

#[tokio::test]
async fn an_accepted_message_is_sent_and_its_reference_kept() {
    let rules = || AnswerRules {
        reference_pointer: Some("/messages/0/id".to_owned()),
        ..AnswerRules::default()
    };
    for code in [200, 201, 202] {
        let answer = status(code).set_body_json(json!({"messages": [{"id": "wamid.A1"}]}));
        assert_eq!(
            outcome(answer, rules()).await,
            Ok(sent("wamid.A1")),
            "{code}"
        );
    }
    let number = status(200).set_body_json(json!({"messages": [{"id": 17}]}));
    assert_eq!(outcome(number, rules()).await, Ok(sent("17")));
    let long = status(200).set_body_json(json!({"messages": [{"id": "x".repeat(129)}]}));
    assert_eq!(
        outcome(long, rules()).await,
        Ok(Sent::default()),
        "taken, but the name is of no use"
    );
    assert_eq!(
        outcome(status(204), AnswerRules::default()).await,
        Ok(Sent::default())
    );
}

#[tokio::test]
async fn a_busy_provider_is_tried_again_when_it_says() {
    for code in [500, 502, 503, 504] {
        assert_eq!(
            outcome(status(code), AnswerRules::default()).await,
            Err(again(Reason::Busy, None)),
            "{code}"
        );
    }
    for code in [408, 425, 429] {
        assert_eq!(
            outcome(status(code), AnswerRules::default()).await,
            Err(later(Reason::Busy, None)),
            "{code} may be about one recipient"
        );
    }
    let after = outcome(
        status(429).insert_header("retry-after", "7"),
        AnswerRules::default(),
    )
    .await;
    assert_eq!(
        after,
        Err(later(Reason::Busy, Some(Duration::from_secs(7))))
    );
    let own = AnswerRules {
        retry_status: vec![409],
        ..AnswerRules::default()
    };
    assert_eq!(
        outcome(status(409), own).await,
        Err(later(Reason::Busy, None))
    );
}

#[tokio::test]
async fn a_refusal_of_us_goes_to_the_next_sender_and_one_of_the_recipient_to_nobody() {
    let refused = |code| outcome(status(code), AnswerRules::default());
    assert_eq!(refused(401).await, Err(login_refused()));
    assert_eq!(
        refused(403).await,
        Err(login_refused().at(Stage::WithRecipient)),
        "it may be about a country"
    );
    assert_eq!(refused(402).await, Err(always_ours(Reason::SenderRefused)));
    for code in [400, 404, 413] {
        assert_eq!(
            outcome(status(code), AnswerRules::default()).await,
            Err(unfit(Reason::SenderRefused)),
            "{code}"
        );
    }
    let texts = codes;
    let rules = || AnswerRules {
        code_pointer: Some("/error/code".to_owned()),
        success_codes: texts(&["0"]),
        login_codes: texts(&["4"]),
        retry_codes: texts(&["1"]),
        next_codes: texts(&["2"]),
        give_up_codes: texts(&["3", "bad"]),
        give_up_status: vec![422],
        ..AnswerRules::default()
    };
    let error = |http, code: Value| status(http).set_body_json(json!({"error": {"code": code}}));
    assert_eq!(
        outcome(error(200, json!("0")), rules()).await,
        Ok(Sent::default())
    );
    assert_eq!(
        outcome(error(200, json!(1)), rules()).await,
        Err(later(Reason::Busy, None)),
        "200 is no success here"
    );
    assert_eq!(
        outcome(error(200, json!(2)), rules()).await,
        Err(ours(Reason::SenderRefused))
    );
    assert_eq!(
        outcome(error(400, json!(4)), rules()).await,
        Err(login_refused())
    );
    assert_eq!(
        outcome(error(400, json!(3)), rules()).await,
        Err(give_up(Reason::Refused))
    );
    assert_eq!(
        outcome(error(200, json!("bad")), rules()).await,
        Err(give_up(Reason::Refused))
    );
    assert_eq!(
        outcome(error(200, json!(99)), rules()).await,
        Err(unfit(Reason::SenderRefused)),
        "an unknown code"
    );
    assert_eq!(
        outcome(status(422), rules()).await,
        Err(give_up(Reason::Refused))
    );
}

#[tokio::test]
async fn send_16_a_success_whose_body_says_that_the_message_failed_is_none() {
    let texts = codes;
    let rules = || AnswerRules {
        code_pointer: Some("/code".to_owned()),
        give_up_codes: texts(&["30006"]),
        reference_pointer: Some("/sid".to_owned()),
        state_pointer: Some("/status".to_owned()),
        failed_states: vec!["failed".to_owned(), "undelivered".to_owned()],
        state_code_pointer: Some("/error_code".to_owned()),
        ..AnswerRules::default()
    };
    let answer = |state: &str, code: Value| {
        status(201).set_body_json(json!({"sid": "SM1", "status": state, "error_code": code}))
    };
    assert!(
        outcome(answer("queued", Value::Null), rules())
            .await
            .is_ok()
    );
    assert_eq!(
        outcome(answer("failed", json!(30007)), rules()).await,
        Err(unfit(Reason::SenderRefused))
    );
    assert_eq!(
        outcome(answer("undelivered", json!(30006)), rules()).await,
        Err(give_up(Reason::Refused))
    );
    assert_eq!(
        outcome(answer("failed", Value::Null), rules()).await,
        Err(unfit(Reason::SenderRefused))
    );
}

#[tokio::test]
async fn an_answer_that_is_not_the_providers_is_never_a_success() {
    let rules = || AnswerRules {
        reference_pointer: Some("/id".to_owned()),
        ..AnswerRules::default()
    };
    let malformed = || Err(next_sender(Reason::MalformedReply));
    assert_eq!(
        outcome(status(200).set_body_string("<html>log in</html>"), rules()).await,
        malformed()
    );
    assert_eq!(
        outcome(status(200).set_body_string("{\"id\": \"x\""), rules()).await,
        malformed()
    );
    assert_eq!(
        outcome(status(200).set_body_json(json!({"id": {}})), rules()).await,
        malformed()
    );
    assert_eq!(outcome(status(200), rules()).await, malformed());
    let large = status(200).set_body_string(format!("{{\"id\": \"{}\"}}", "x".repeat(2_200_000)));
    assert_eq!(
        outcome(large, rules()).await,
        Err(next_sender(Reason::OversizedReply))
    );
    let only = AnswerRules {
        success_status: vec![201],
        ..AnswerRules::default()
    };
    assert_eq!(
        outcome(status(202), only).await,
        Err(next_sender(Reason::UnknownAnswer))
    );
}

#[tokio::test]
async fn hook_03_a_redirect_is_not_followed() {
    let canary = provider(status(200)).await;
    for code in [301, 302, 303, 307, 308] {
        let answer = status(code).insert_header("location", canary.uri().as_str());
        assert_eq!(
            outcome(answer, AnswerRules::default()).await,
            Err(always_ours(Reason::Redirected)),
            "{code}"
        );
    }
    assert!(canary.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn hook_04_a_silent_provider_is_tried_again() {
    let server = provider(status(200).set_delay(Duration::from_secs(30))).await;
    let mut slow = settings(&server.uri(), json_body());
    slow.connection.timeout = Duration::from_millis(100);
    assert_eq!(
        made(&slow).unwrap().send(&message()).await,
        Err(unknown(Reason::Timeout))
    );
}

/// A listener that reads a request, answers with these bytes, if any, and closes the connection.
async fn listener(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(answer).await;
        }
    });
    format!("127.0.0.1:{port}")
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_is_tried_again() {
    let broken: [&[u8]; 3] = [
        b"",
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\"",
    ];
    for answer in broken {
        let base = format!("http://{}", listener(answer).await);
        let sender = made(&settings(&base, json_body())).unwrap();
        assert_eq!(
            sender.send(&message()).await,
            Err(unknown(Reason::ConnectionLost)),
            "{answer:?}"
        );
    }
    let garbage = format!("http://{}", listener(b"220 smtp.example.org\r\n").await);
    let sender = made(&settings(&garbage, json_body())).unwrap();
    assert_eq!(
        sender.send(&message()).await,
        Err(unknown(Reason::ConnectionLost))
    );
}

#[tokio::test]
async fn an_absent_or_unknown_provider_is_tried_again() {
    let closed = TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let sender = made(&settings(&format!("http://{closed}"), json_body())).unwrap();
    assert_eq!(
        sender.send(&message()).await,
        Err(again(Reason::Unreachable, None))
    );
    // RFC 6761 reserves `.invalid`: this name never has an address.
    let sender = made(&settings("http://provider.invalid", json_body())).unwrap();
    assert_eq!(
        sender.send(&message()).await,
        Err(again(Reason::NameUnresolved, None))
    );
}

#[tokio::test]
async fn chan_08_a_provider_without_right_tls_gets_nothing() {
    // A server that speaks plaintext.
    let plain = format!(
        "https://{}",
        listener(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
    );
    // A server with a self-signed certificate.
    let (port, seen) = super::super::doubles::tls_sink::start().await;
    for base in [plain, format!("https://127.0.0.1:{port}")] {
        let sender = made(&settings(&base, json_body())).unwrap();
        assert_eq!(
            sender.send(&message()).await,
            Err(next_sender(Reason::TlsFailed)),
            "{base}"
        );
    }
    assert_eq!(seen.lock().unwrap().len(), 0, "no byte of the message");
}

#[tokio::test]
async fn log_03_errors_hold_no_address_no_code_and_no_words_of_the_provider() {
    for code in [400, 401, 422, 429, 500] {
        let answer = status(code).set_body_string("{\"error\": \"+31612345678 123456\"}");
        let error = outcome(
            answer,
            AnswerRules {
                give_up_status: vec![422],
                ..AnswerRules::default()
            },
        )
        .await
        .unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("31612345678") && !shown.contains("123456"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_message_for_a_channel_without_a_request_is_given_up() {
    let sender = made(&settings("http://127.0.0.1:9", json_body())).unwrap();
    assert_eq!(
        sender.send(&samples::message()).await,
        Err(ours(Reason::WrongChannel))
    );
}

fn request(settings: &mut HttpSettings) -> &mut RequestSettings {
    settings.requests.get_mut(&Channel::Sms).unwrap()
}

type Break = fn(&mut HttpSettings);

#[test]
fn broken_settings_are_refused_with_their_key() {
    let refused = |change: fn(&mut HttpSettings)| {
        let mut settings = settings("https://api.example.org", json_body());
        change(&mut settings);
        made(&settings)
            .map(drop)
            .map_err(|error| error.to_string())
            .unwrap_err()
    };
    let cases: [(&str, Break); 10] = [
        ("json contains {{ pin }}", |s| {
            request(s).body = Body::Json("[\"{{ pin }}\"]".to_owned());
        }),
        ("json is not JSON", |s| {
            request(s).body = Body::Json("{".to_owned());
        }),
        ("form.a has {{ without }}", |s| {
            request(s).body = Body::Form(vec![("a".to_owned(), "{{ code".to_owned())]);
        }),
        ("url must begin with its scheme, host", |s| {
            request(s).url = "https://{{ address }}/x".to_owned();
        }),
        (
            "url \"https://169.254.169.254/x\" leads into an internal network",
            |s| {
                request(s).url = "https://169.254.169.254/x".to_owned();
            },
        ),
        ("headers.host is not a header", |s| {
            request(s).headers[0].0 = "host".to_owned();
        }),
        ("headers.x must be printable", |s| {
            request(s).headers[0] = ("x".to_owned(), "a\r\nb: c".to_owned());
        }),
        ("ca_file Cargo.toml holds no certificates", |s| {
            s.connection.ca_file = Some("Cargo.toml".into());
        }),
        ("ca_file /nonexistent cannot be read", |s| {
            s.connection.ca_file = Some("/nonexistent".into());
        }),
        ("token_file (or auth_prefix) holds characters", |s| {
            s.auth = Auth::Header {
                name: "a".to_owned(),
                prefix: "\n".to_owned(),
                token: SecretText::new("x".to_owned()),
            };
        }),
    ];
    for (begin, change) in cases {
        let error = refused(change);
        assert!(error.starts_with(begin), "{begin}: {error}");
    }
}

#[test]
fn mail_04_no_url_and_no_header_carries_the_message() {
    for place in ["code", "text", "subject"] {
        let mut in_url = settings("https://api.example.org", json_body());
        request(&mut in_url).url = format!("https://api.example.org/send?x={{{{ {place} }}}}");
        assert!(made(&in_url).is_err(), "{place}");
        let mut in_header = settings("https://api.example.org", json_body());
        request(&mut in_header).headers = vec![("x".to_owned(), format!("{{{{ {place} }}}}"))];
        assert!(made(&in_header).is_err(), "{place}");
    }
}

#[tokio::test]
async fn text_06_a_call_is_told_apart_before_and_after_the_key_press() {
    use crate::ports::sender::Speech;
    let voice = |server: &str, json: &str| {
        let mut settings = settings(server, Body::Json(json.to_owned()));
        let request = settings.requests.remove(&Channel::Sms).unwrap();
        settings.requests.insert(Channel::Voice, request);
        made(&settings)
    };
    let server = provider(status(200)).await;
    let error = voice(&server.uri(), r#"{"say": "{{ text }}"}"#)
        .unwrap_err()
        .to_string();
    assert!(error.contains("{{ greeting }}"), "{error}");
    let sender = voice(
        &server.uri(),
        r#"{"first": "{{ greeting }}", "then": ["{{ ssml }}"]}"#,
    )
    .unwrap();
    let mut message = message();
    message.recipient = Recipient::parse(Channel::Voice, "+31612345678").unwrap();
    Arc::make_mut(&mut message.content).speech = Some(Speech {
        greeting: "Press a key.".to_owned(),
        ssml: "<speak>1 2</speak>".to_owned(),
        voice: "nl-NL".into(),
    });
    sender.send(&message).await.unwrap();
    let body: Value =
        serde_json::from_slice(&server.received_requests().await.unwrap()[0].body).unwrap();
    assert_eq!(
        body,
        json!({"first": "Press a key.", "then": ["<speak>1 2</speak>"]})
    );
}

#[tokio::test]
async fn chan_07_a_push_message_brings_the_code_apart_from_the_alert() {
    let push = |server: &str, json: &str| {
        let mut settings = settings(server, Body::Json(json.to_owned()));
        let request = settings.requests.remove(&Channel::Sms).unwrap();
        settings.requests.insert(Channel::Push, request);
        made(&settings)
    };
    let server = provider(status(200)).await;
    let error = push(&server.uri(), r#"{"alert": "{{ text }}"}"#)
        .unwrap_err()
        .to_string();
    assert!(error.contains("{{ opened_text }}"), "{error}");
    let sender = push(
        &server.uri(),
        r#"{"alert": "{{ text }}", "data": "{{ opened_text }}"}"#,
    )
    .unwrap();
    sender
        .send(&samples::push(&format!("fcm:{}", "a".repeat(40))))
        .await
        .unwrap();
    let body: Value =
        serde_json::from_slice(&server.received_requests().await.unwrap()[0].body).unwrap();
    assert_eq!(
        body,
        json!({"alert": "Open the app to see your code for login.", "data": "123 456 is your code"})
    );
}

fn addresses() -> Addresses {
    let at = |what: &str| format!("https://otp.bank.example/{what}/p");
    Addresses {
        callbacks: at("callbacks"),
        calls: Some(at("calls")),
        login: None,
    }
}

/// A form and a JSON body with the URL for receipts and a fixed field.
fn telling_bodies() -> [Body; 2] {
    let fields = [
        ("To", "{{ address }}"),
        ("Body", "{{ text }}"),
        ("StatusCallback", "{{ callback }}"),
        ("Fixed", ""),
    ];
    let form = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let json = r#"{"to": "{{ address }}", "text": "{{ text }}", "webhook_url": "{{ callback }}", "fixed": ""}"#;
    [Body::Form(form.to_vec()), Body::Json(json.to_owned())]
}

/// The fields of a form or JSON body.
fn fields(body: &[u8]) -> BTreeMap<String, String> {
    let form = || url::form_urlencoded::parse(body).into_owned().collect();
    serde_json::from_slice(body).unwrap_or_else(|_| form())
}

#[tokio::test]
async fn a_message_names_where_its_receipts_go_or_leaves_the_field_out() {
    let message = message();
    let callback = format!(
        "https://otp.bank.example/callbacks/p/{}",
        message.receipt.as_str()
    );
    for (addresses, expected) in [(Some(addresses()), Some(callback)), (None, None)] {
        for body in telling_bodies() {
            let server = provider(status(200)).await;
            let addresses = addresses.clone();
            let sender = made(&HttpSettings {
                addresses,
                ..settings(&server.uri(), body)
            })
            .unwrap();
            let path = if expected.is_some() {
                ReceiptPath::ByToken
            } else {
                ReceiptPath::None
            };
            assert_eq!(sender.capabilities().receipts, path);
            sender.send(&message).await.unwrap();
            let request = server.received_requests().await.unwrap().remove(0);
            let fields = fields(&request.body);
            let find = |names: [&str; 2]| names.iter().find_map(|name| fields.get(*name).cloned());
            let (found, fixed) = (
                find(["StatusCallback", "webhook_url"]),
                find(["Fixed", "fixed"]),
            );
            assert_eq!(
                (found, fixed),
                (expected.clone(), Some(String::new())),
                "what is fixed stays"
            );
        }
    }
    let sender = made(&HttpSettings {
        addresses: Some(addresses()),
        ..settings("http://127.0.0.1:9", json_body())
    })
    .unwrap();
    assert_eq!(
        sender.capabilities().receipts,
        ReceiptPath::ByReference,
        "it is told no address"
    );
}

#[tokio::test]
async fn text_07_values_in_xml_are_escaped_for_it() {
    use crate::ports::sender::Speech;
    let xml = "<Say language=\"{{ voice_language }}\" by='{{ from }}'>{{ greeting }}</Say><Go to=\"{{ call }}\"/>";
    let server = provider(status(200)).await;
    let body = Body::Form(vec![
        ("Twiml".to_owned(), xml.to_owned()),
        ("Plain".to_owned(), "{{ greeting }}".to_owned()),
    ]);
    let mut settings = settings(&server.uri(), body);
    let request = settings.requests.remove(&Channel::Sms).unwrap();
    settings.requests.insert(Channel::Voice, request);
    for nobody_answers in [
        None,
        Some(Addresses {
            calls: None,
            login: None,
            ..addresses()
        }),
    ] {
        settings.addresses = nobody_answers;
        let error = made(&settings.clone()).unwrap_err().to_string();
        assert!(
            error.contains("needs http.public_url and receipts of scheme twilio or vonage"),
            "{error}"
        );
    }
    settings.addresses = Some(addresses());
    let mut message = message();
    message.recipient = Recipient::parse(Channel::Voice, "+31612345678").unwrap();
    let greeting = "Tom & \"Co\" <b>\u{7}'x'".to_owned();
    Arc::make_mut(&mut message.content).speech = Some(Speech {
        greeting: greeting.clone(),
        ssml: String::new(),
        voice: "nl-NL".into(),
    });
    made(&settings).unwrap().send(&message).await.unwrap();
    let request = server.received_requests().await.unwrap().remove(0);
    let form: BTreeMap<_, _> = url::form_urlencoded::parse(&request.body)
        .into_owned()
        .collect();
    let call = format!(
        "https://otp.bank.example/calls/p/{}",
        message.receipt.as_str()
    );
    let expected = format!(
        "<Say language=\"nl-NL\" by='Bank &quot;A&quot;'>Tom &amp; &quot;Co&quot; &lt;b&gt; &apos;x&apos;</Say><Go to=\"{call}\"/>"
    );
    assert_eq!(
        (form["Twiml"].as_str(), form["Plain"].as_str()),
        (expected.as_str(), greeting.as_str())
    );
}

//! Messages as Google receives them, when tokens are fetched, and the effects of Google's answers.

use serde_json::json;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{body_string_contains, method, path},
};

use super::*;
use crate::{
    domain::time::Timestamp,
    sender::{doubles::samples, jws::tests::rsa_pem, transport::http::always_ours},
};

const APP: &str = "fcm:dG9rZW4tb2YtdGhlLWFwcA:APA91bF-of_the_app_of_anna_4f2a";
const SEND: &str = "/v1/projects/bank-1/messages:send";

/// A clock that the test sets, in seconds since 1970.
#[derive(Default)]
struct Hand(std::sync::atomic::AtomicU64);

impl Hand {
    fn set(&self, seconds: u64) {
        self.0
            .store(1_750_000_000 + seconds, std::sync::atomic::Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(std::sync::atomic::Ordering::SeqCst) * 1_000_000)
    }

    async fn sleep(&self, _: Duration) {}
}

fn account(server: &str) -> Value {
    json!({
        "type": "service_account",
        "project_id": "bank-1",
        "private_key_id": "k1",
        "private_key": rsa_pem(),
        "client_email": "codes@bank-1.iam.gserviceaccount.com",
        "token_uri": format!("{server}/token"),
    })
}

fn settings(server: &str, account: &Value) -> FcmSettings {
    FcmSettings {
        service_account: SecretText::new(account.to_string()),
        base_url: server.to_owned(),
        connection: samples::connection(server),
    }
}

fn sender(server: &MockServer) -> (Fcm, Arc<Hand>) {
    let clock = Arc::new(Hand::default());
    clock.set(0);
    (
        Fcm::new(
            &settings(&server.uri(), &account(&server.uri())),
            clock.clone(),
        )
        .unwrap(),
        clock,
    )
}

/// A token service that issues the tokens 1, 2, 3 and so on, valid for an hour.
async fn google() -> MockServer {
    let (server, count) = (
        MockServer::start().await,
        std::sync::atomic::AtomicU64::new(0),
    );
    let token = move |_: &Request| {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        let body = json!({"access_token": format!("ya29.{n}"), "expires_in": 3600, "token_type": "Bearer"});
        ResponseTemplate::new(200).set_body_json(body)
    };
    Mock::given(method("POST"))
        .and(path("/token"))
        .respond_with(token)
        .mount(&server)
        .await;
    server
}

async fn answers(server: &MockServer, answer: ResponseTemplate) {
    Mock::given(method("POST"))
        .and(path(SEND))
        .respond_with(answer)
        .mount(server)
        .await;
}

fn taken() -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_json(json!({"name": "projects/bank-1/messages/0:15004%31bd"}))
}

fn refused(status: u16, code: &str) -> ResponseTemplate {
    let detail = json!([{"@type": "type.googleapis.com/other"},
        {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}]);
    let error =
        json!({"error": {"code": status, "message": "words", "status": "X", "details": detail}});
    ResponseTemplate::new(status).set_body_json(error)
}

/// Google's refusal of a registration token that cannot be one.
fn about_token() -> ResponseTemplate {
    let detail = json!([
        {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "INVALID_ARGUMENT"},
        {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [
            {"field": "message.token", "description": "Invalid registration token"}]}]);
    let error =
        json!({"error": {"code": 400, "message": "words", "status": "X", "details": detail}});
    ResponseTemplate::new(400).set_body_json(error)
}

async fn requests(server: &MockServer, at: &str) -> Vec<Request> {
    server
        .received_requests()
        .await
        .unwrap()
        .into_iter()
        .filter(|request| request.url.path() == at)
        .collect()
}

#[tokio::test]
async fn chan_07_google_gets_the_alert_and_apart_from_it_the_code() {
    let server = google().await;
    answers(&server, taken()).await;
    let sent = sender(&server).0.send(&samples::push(APP)).await;
    assert_eq!(
        sent,
        Ok(Sent {
            reference: ProviderReference::parse("projects/bank-1/messages/0:15004%31bd").ok(),
            ..Sent::default()
        })
    );

    let request = requests(&server, SEND).await.remove(0);
    assert_eq!(request.headers["authorization"], "Bearer ya29.1");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let message = &body["message"];
    assert_eq!(message["token"], APP.trim_start_matches("fcm:"));
    let alert = json!({"title": "Bank: code for login", "body": "Open the app to see your code for login."});
    assert_eq!(message["notification"], alert);
    assert_eq!(
        (&message["data"]["code"], &message["data"]["text"]),
        (&json!("123456"), &json!("123 456 is your code"))
    );
    assert_eq!(
        (&message["android"]["ttl"], &message["android"]["priority"]),
        (&json!("300s"), &json!("HIGH"))
    );
    assert_eq!(message["apns"]["headers"]["apns-expiration"], "1750000300");
    assert!(
        message["data"]
            .as_object()
            .unwrap()
            .values()
            .all(Value::is_string),
        "it takes nothing else"
    );
}

#[tokio::test]
async fn a_token_is_held_until_shortly_before_its_end() {
    let server = google().await;
    answers(&server, taken()).await;
    let (sender, clock) = sender(&server);
    let sender = Arc::new(sender);
    let both = [sender.clone(), sender.clone()]
        .map(|sender| tokio::spawn(async move { sender.send(&samples::push(APP)).await }));
    for sent in both {
        sent.await.unwrap().unwrap();
    }
    assert_eq!(
        requests(&server, "/token").await.len(),
        1,
        "who comes meanwhile waits for the same one"
    );
    for (seconds, fetched) in [(3539, 1), (3540, 2), (3541, 2)] {
        clock.set(seconds);
        sender.send(&samples::push(APP)).await.unwrap();
        assert_eq!(
            requests(&server, "/token").await.len(),
            fetched,
            "after {seconds} s"
        );
    }
    let form: Vec<(String, String)> =
        url::form_urlencoded::parse(&requests(&server, "/token").await[0].body)
            .into_owned()
            .collect();
    assert_eq!(form[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
    assert_eq!(form[1].1.split('.').count(), 3);
}

#[tokio::test]
async fn a_token_that_is_refused_is_fetched_anew_once() {
    let server = google().await;
    let old = Mock::given(method("POST"))
        .and(path(SEND))
        .and(wiremock::matchers::header("authorization", "Bearer ya29.1"));
    old.respond_with(refused(401, "")).mount(&server).await;
    answers(&server, taken()).await;
    let (sender, _) = sender(&server);
    sender.send(&samples::push(APP)).await.unwrap();
    sender.send(&samples::push(APP)).await.unwrap();
    assert_eq!(
        (
            requests(&server, "/token").await.len(),
            requests(&server, SEND).await.len()
        ),
        (2, 3)
    );

    let server = google().await;
    answers(&server, ResponseTemplate::new(401)).await;
    let refused = self::sender(&server).0.send(&samples::push(APP)).await;
    assert_eq!(refused, Err(login_refused()));
    assert_eq!(requests(&server, SEND).await.len(), 2, "and no more");
}

#[tokio::test]
async fn a_key_that_apple_refuses_costs_no_token() {
    let server = google().await;
    answers(&server, refused(401, "THIRD_PARTY_AUTH_ERROR")).await;
    assert_eq!(
        sender(&server).0.send(&samples::push(APP)).await,
        Err(login_refused().at(Stage::WithRecipient)),
        "other devices may be reached"
    );
    assert_eq!(
        requests(&server, "/token").await.len(),
        1,
        "it is not the token that is refused"
    );
}

#[tokio::test]
async fn what_google_answers_says_what_is_next() {
    let after = |answer: ResponseTemplate| answer.insert_header("retry-after", "9");
    for (answer, expected) in [
        (refused(404, "UNREGISTERED"), give_up(Reason::Unregistered)),
        (
            refused(400, "INVALID_ARGUMENT"),
            unfit(Reason::SenderRefused),
        ),
        (about_token(), give_up(Reason::Refused)),
        (refused(429, "QUOTA_EXCEEDED"), later(Reason::Busy, None)),
        (
            after(refused(503, "UNAVAILABLE")),
            again(Reason::Busy, Some(Duration::from_secs(9))),
        ),
        (refused(500, "INTERNAL"), again(Reason::Busy, None)),
        (
            ResponseTemplate::new(502).set_body_string("<html>"),
            again(Reason::Busy, None),
        ),
        (
            refused(403, "SENDER_ID_MISMATCH"),
            unfit(Reason::SenderRefused),
        ),
        (refused(403, "PERMISSION_DENIED"), login_refused()),
        (
            refused(401, "THIRD_PARTY_AUTH_ERROR"),
            login_refused().at(Stage::WithRecipient),
        ),
        (refused(400, "NEW_CODE"), unfit(Reason::SenderRefused)),
        (ResponseTemplate::new(302), always_ours(Reason::Redirected)),
        (
            ResponseTemplate::new(200).set_body_string("<html>log in</html>"),
            next_sender(Reason::MalformedReply),
        ),
        (
            ResponseTemplate::new(200).set_body_string(" ".repeat(2_200_000)),
            next_sender(Reason::OversizedReply),
        ),
    ] {
        let server = google().await;
        answers(&server, answer).await;
        assert_eq!(
            sender(&server).0.send(&samples::push(APP)).await,
            Err(expected)
        );
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    for (answer, expected) in [
        (
            ResponseTemplate::new(400).set_body_json(json!({"error": "invalid_grant"})),
            login_refused(),
        ),
        (
            ResponseTemplate::new(503),
            again(Reason::LoginUnavailable, None),
        ),
        (
            ResponseTemplate::new(200).set_body_string("{}"),
            next_sender(Reason::MalformedReply),
        ),
        (
            ResponseTemplate::new(200)
                .set_body_json(json!({"access_token": "a\nb", "expires_in": 1})),
            next_sender(Reason::MalformedReply),
        ),
    ] {
        let server = MockServer::start().await;
        let is_signed = body_string_contains("assertion=");
        Mock::given(method("POST"))
            .and(path("/token"))
            .and(is_signed)
            .respond_with(answer)
            .mount(&server)
            .await;
        assert_eq!(
            sender(&server).0.send(&samples::push(APP)).await,
            Err(expected)
        );
        assert!(requests(&server, SEND).await.is_empty());
    }
}

#[tokio::test]
async fn another_kind_of_address_is_for_the_next_sender_and_a_long_text_for_none() {
    let server = google().await;
    let apple = format!("apns:{}", "ab".repeat(32));
    for message in [samples::push(&apple), samples::message()] {
        assert_eq!(
            sender(&server).0.send(&message).await,
            Err(unfit(Reason::WrongAddressKind))
        );
    }
    let mut long = samples::push(APP);
    Arc::make_mut(&mut long.content).opened = Some("x".repeat(4096));
    assert_eq!(
        sender(&server).0.send(&long).await,
        Err(ours(Reason::OversizedMessage))
    );
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[test]
fn what_is_wrong_with_the_file_is_said_without_its_secrets() {
    let right = account("http://127.0.0.1:1");
    let error = |change: &dyn Fn(&mut Value)| {
        let mut account = right.clone();
        change(&mut account);
        let settings = settings("http://127.0.0.1:1", &account);
        assert!(!format!("{settings:?}").contains("PRIVATE"));
        Fcm::new(&settings, Arc::new(samples::Fixed))
            .err()
            .expect("it is refused")
            .to_string()
    };
    for (field, value, part) in [
        (
            "type",
            json!("authorized_user"),
            "type is not service_account",
        ),
        ("project_id", json!("a/b"), "project_id"),
        (
            "private_key",
            json!("-----BEGIN NOTHING"),
            "no private key in PEM form",
        ),
        ("client_email", Value::Null, "client_email is missing"),
        (
            "token_uri",
            json!("http://169.254.169.254/token"),
            "leads into an internal network",
        ),
    ] {
        let error = error(&|account| account[field] = value.clone());
        assert!(error.contains(part), "{field}: {error}");
    }
    let none = FcmSettings {
        service_account: SecretText::new("no".to_owned()),
        ..settings("http://127.0.0.1:1", &right)
    };
    assert!(Fcm::new(&none, Arc::new(samples::Fixed)).is_err());
    let mut plain = settings("http://127.0.0.1:1", &right);
    plain.connection.plaintext = false;
    let error = Fcm::new(&plain, Arc::new(samples::Fixed))
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.starts_with("base_url \"http://127.0.0.1:1/")
            && error.contains("must begin with https://"),
        "CHAN-08: {error}"
    );
}

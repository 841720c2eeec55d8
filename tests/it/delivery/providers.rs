//! Providers over HTTP: the requests that they get, for each preset and for operators' own settings.

use std::time::Duration;

use countersign::{
    domain::delivery::TRIES_MAX,
    pb::v1::{self, Channel, DeliveryStatus, Verdict},
    ports::system::Clock as _,
};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

use crate::harness::{Harness, Setup, login, recipient};

const NUMBER: &str = "+31612345678";

/// A start with a telephone number.
fn to(channel: Channel) -> v1::StartVerificationRequest {
    v1::StartVerificationRequest {
        recipients: vec![recipient(channel, NUMBER)],
        locale: "nl".to_owned(),
        ..login("s")
    }
}

/// The service with one sender on one channel.
async fn service(channel: &str, section: &str) -> Harness {
    let setup = Setup::default();
    let secret = setup.dir.path().join("secret");
    std::fs::write(&secret, "s3cret-word\n").unwrap();
    let section = section.replace("SECRET", secret.to_str().unwrap());
    setup
        .file(&format!(
            "{section}\n[routes.{channel}]\nsenders = [\"p\"]\n"
        ))
        .start()
        .await
}

fn base_and_host(server: &MockServer) -> String {
    format!(
        "base_url = \"{}\"\nallow_hosts = [\"{}\"]\n",
        server.uri(),
        server.address()
    )
}

/// Starts, waits until the message was accepted, and returns the request with its body as fields or JSON.
async fn delivered(
    service: &Harness,
    server: &MockServer,
    channel: Channel,
) -> (v1::Delivery, wiremock::Request) {
    let v = service.start(to(channel)).await.unwrap();
    let v = service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Sent
        })
        .await;
    let mut requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    (v.deliveries[0].clone(), requests.remove(0))
}

fn fields(request: &wiremock::Request) -> Vec<(String, String)> {
    url::form_urlencoded::parse(&request.body)
        .into_owned()
        .collect()
}

fn field(request: &wiremock::Request, name: &str) -> String {
    fields(request)
        .into_iter()
        .find(|(found, _)| found == name)
        .unwrap()
        .1
}

fn code_in(text: &str) -> String {
    let digits: Vec<&str> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| part.len() == 6)
        .collect();
    digits[0].to_owned()
}

/// A provider that gives this answer to the expected request, and 404 to every other.
async fn provider(at: &str, authorization: &str, answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(at))
        .and(header("authorization", authorization))
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

fn answer(status: u16, body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

// base64 of key:s3cret-word
const BASIC: &str = "Basic a2V5OnMzY3JldC13b3Jk";

#[tokio::test]
async fn twilio_gets_its_form_and_the_customer_can_use_the_code() {
    let server = provider(
        "/2010-04-01/Accounts/key/Messages.json",
        BASIC,
        answer(201, &json!({"sid": "SM90f", "status": "queued"})),
    )
    .await;
    let section = format!(
        "[senders.p]\nkind = \"twilio\"\naccount_sid = \"key\"\nauth_token_file = \"SECRET\"\nfrom = \"+15005550006\"\n{}",
        base_and_host(&server)
    );
    let service = service("sms", &section).await;
    let (delivery, request) = delivered(&service, &server, Channel::Sms).await;
    assert_eq!(delivery.sender, "p");
    assert_eq!(
        (
            field(&request, "To").as_str(),
            field(&request, "From").as_str()
        ),
        (NUMBER, "+15005550006")
    );
    let text = field(&request, "Body");
    assert!(text.contains("is uw code"), "{text}");
    assert_eq!(fields(&request).len(), 3);
}

#[tokio::test]
async fn twilio_gets_whatsapp_as_a_template_with_the_code_alone() {
    let server = provider(
        "/2010-04-01/Accounts/key/Messages.json",
        BASIC,
        answer(201, &json!({"sid": "SM90f"})),
    )
    .await;
    let section = format!(
        "[senders.p]\nkind = \"twilio\"\naccount_sid = \"key\"\nauth_token_file = \"SECRET\"\nwhatsapp_from = \"+15005550006\"\n\
         whatsapp_content_sid = \"HX1\"\n{}",
        base_and_host(&server)
    );
    let service = service("whatsapp", &section).await;
    let (_, request) = delivered(&service, &server, Channel::Whatsapp).await;
    assert_eq!(field(&request, "To"), format!("whatsapp:{NUMBER}"));
    assert_eq!(field(&request, "From"), "whatsapp:+15005550006");
    assert_eq!(field(&request, "ContentSid"), "HX1");
    let variables: Value = serde_json::from_str(&field(&request, "ContentVariables")).unwrap();
    assert_eq!(variables["1"].as_str().unwrap().len(), 6);
    assert_eq!(fields(&request).len(), 4);
}

/// Checks one preset on one channel against the body that its provider expects.
async fn json_preset(
    channel: Channel,
    name: &str,
    section: &str,
    at: &str,
    key: &str,
    reply: ResponseTemplate,
) -> (Value, String) {
    let server = provider(at, key, reply).await;
    let service = service(
        name,
        &format!("[senders.p]\n{section}{}", base_and_host(&server)),
    )
    .await;
    let (delivery, request) = delivered(&service, &server, channel).await;
    (
        serde_json::from_slice(&request.body).unwrap(),
        delivery.delivery_id,
    )
}

#[tokio::test]
async fn vonage_gets_its_json() {
    let section =
        "kind = \"vonage\"\napi_key = \"key\"\napi_secret_file = \"SECRET\"\nfrom = \"Bank\"\n";
    let reply = answer(
        202,
        &json!({"message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"}),
    );
    let (body, id) = json_preset(Channel::Sms, "sms", section, "/v1/messages", BASIC, reply).await;
    let text = body["text"].as_str().unwrap();
    let expected = json!({
        "message_type": "text", "channel": "sms", "to": "31612345678", "from": "Bank", "text": text, "client_ref": id,
    });
    assert_eq!(body, expected);
    assert_eq!(code_in(text).len(), 6);
}

#[tokio::test]
async fn messagebird_gets_its_json() {
    let section = "kind = \"messagebird\"\naccess_key_file = \"SECRET\"\nfrom = \"Bank\"\n";
    let reply = answer(201, &json!({"id": "e8077d803532c0b5937c639b60216938"}));
    let (body, id) = json_preset(
        Channel::Sms,
        "sms",
        section,
        "/messages",
        "AccessKey s3cret-word",
        reply,
    )
    .await;
    let expected = json!({
        "originator": "Bank", "recipients": ["31612345678"], "body": body["body"], "datacoding": "auto", "reference": id,
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn infobip_gets_its_json() {
    let section = "kind = \"infobip\"\napi_key_file = \"SECRET\"\nfrom = \"Bank\"\n";
    let reply = answer(
        200,
        &json!({"messages": [{"messageId": "m1", "status": {"groupId": 1, "id": 26}, "to": "31612345678"}]}),
    );
    let (body, id) = json_preset(
        Channel::Sms,
        "sms",
        section,
        "/sms/2/text/advanced",
        "App s3cret-word",
        reply,
    )
    .await;
    let message = json!({
        "from": "Bank", "destinations": [{"to": "31612345678", "messageId": id}], "text": body["messages"][0]["text"],
    });
    assert_eq!(body, json!({"messages": [message]}));
}

#[tokio::test]
async fn bind_12_whatsapp_cloud_gets_the_template_in_its_own_name_of_the_language() {
    let section = "kind = \"whatsapp_cloud\"\nphone_number_id = \"1065\"\naccess_token_file = \"SECRET\"\n\
                   template = \"sign_in\"\ngraph_version = \"v21.0\"\nlanguages = { NL = \"nl_NL\", en = \"en_US\" }\n";
    let reply = answer(200, &json!({"messages": [{"id": "wamid.HBg="}]}));
    let (path, bearer) = ("/v21.0/1065/messages", "Bearer s3cret-word");
    let (body, _) = json_preset(Channel::Whatsapp, "whatsapp", section, path, bearer, reply).await;
    assert_eq!(body["template"]["language"], json!({"code": "nl_NL"}));
}

#[tokio::test]
async fn whatsapp_cloud_gets_its_authentication_template() {
    let section = "kind = \"whatsapp_cloud\"\nphone_number_id = \"1065\"\naccess_token_file = \"SECRET\"\n\
                   template = \"sign_in\"\ngraph_version = \"v21.0\"\n";
    let reply = answer(
        200,
        &json!({"messaging_product": "whatsapp", "messages": [{"id": "wamid.HBg="}]}),
    );
    let (body, _) = json_preset(
        Channel::Whatsapp,
        "whatsapp",
        section,
        "/v21.0/1065/messages",
        "Bearer s3cret-word",
        reply,
    )
    .await;
    assert_eq!(
        (&body["to"], &body["type"]),
        (&json!(NUMBER), &json!("template"))
    );
    assert_eq!(body["template"]["language"], json!({"code": "nl"}));
    let components = body["template"]["components"].as_array().unwrap();
    let code = components[0]["parameters"][0]["text"].as_str().unwrap();
    assert_eq!(code.len(), 6);
    let button = json!({"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": code}]});
    assert_eq!(components[1], button);
}

/// A provider that is described by settings alone.
fn own(server: &MockServer, name: &str) -> String {
    format!(
        "[senders.{name}]\nkind = \"http\"\nchannels = [\"sms\"]\nurl = \"{}/send\"\nallow_hosts = [\"{}\"]\n\
         json = '{{\"to\": \"{{{{ address }}}}\", \"code\": \"{{{{ code }}}}\", \"id\": \"{{{{ delivery }}}}\"}}'\n\
         reference_pointer = \"/id\"\ncode_pointer = \"/error\"\ngive_up_codes = [\"no_such_number\"]\n",
        server.uri(),
        server.address()
    )
}

async fn answering(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(path("/send"))
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

async fn two(first: &MockServer, second: &MockServer) -> Harness {
    let file = format!(
        "{}{}[routes.sms]\nsenders = [\"a\", \"b\"]\n",
        own(first, "a"),
        own(second, "b")
    );
    Setup::default()
        .with("WORKER__POLL_MS", "10")
        .file(&file)
        .start()
        .await
}

/// Waits for a status; time passes so slowly that the code stays valid.
async fn ends(service: &Harness, status: DeliveryStatus) -> (v1::Verification, v1::Delivery) {
    let v = service.start(to(Channel::Sms)).await.unwrap();
    loop {
        let v = service.get(&v.verification_id).await.unwrap();
        if v.deliveries[0].status() == status {
            let delivery = v.deliveries[0].clone();
            return (v, delivery);
        }
        service.clock.advance(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn send_11_a_provider_that_fails_hands_the_same_code_to_the_next() {
    for failing in [
        ResponseTemplate::new(500),
        ResponseTemplate::new(429).insert_header("retry-after", "30"),
        ResponseTemplate::new(401),
        ResponseTemplate::new(200).set_body_string("<html>"),
    ] {
        let (first, second) = (
            answering(failing).await,
            answering(answer(200, &json!({"id": "m1"}))).await,
        );
        let service = two(&first, &second).await;
        let (v, delivery) = ends(&service, DeliveryStatus::Sent).await;
        assert_eq!(
            (delivery.sender.as_str(), v.deliveries.len()),
            ("b", 1),
            "one delivery, by the second"
        );
        let body = |requests: Vec<wiremock::Request>| -> Value {
            serde_json::from_slice(&requests[0].body).unwrap()
        };
        let (tried, sent) = (
            first.received_requests().await.unwrap(),
            second.received_requests().await.unwrap(),
        );
        assert_eq!(
            (tried.len(), sent.len()),
            (1, 1),
            "none twice by the same provider"
        );
        let (tried, sent) = (body(tried), body(sent));
        assert_eq!(tried, sent, "the same code under the same idempotency id");
        let code = sent["code"].as_str().unwrap();
        assert_eq!(
            service.check(&v.verification_id, code).await,
            Verdict::Approved
        );
    }
}

#[tokio::test]
async fn a_number_that_does_not_exist_is_given_up_with_its_reason() {
    let refusing = || answer(400, &json!({"error": "no_such_number"}));
    let (first, second) = (answering(refusing()).await, answering(refusing()).await);
    let service = two(&first, &second).await;
    let (_, delivery) = ends(&service, DeliveryStatus::Failed).await;
    assert_eq!(
        (delivery.failure.as_str(), delivery.sender.as_str()),
        ("refused", "a")
    );
    assert!(
        second.received_requests().await.unwrap().is_empty(),
        "no other is asked"
    );
}

#[tokio::test]
async fn revoked_credentials_end_in_a_failure_that_says_so() {
    let (first, second) = (
        answering(ResponseTemplate::new(401)).await,
        answering(ResponseTemplate::new(403)).await,
    );
    let service = two(&first, &second).await;
    let (_, delivery) = ends(&service, DeliveryStatus::Failed).await;
    assert_eq!(delivery.failure, "login_refused");
}

#[tokio::test]
async fn hook_04_a_provider_that_is_always_busy_is_asked_a_bounded_number_of_times() {
    let busy = ResponseTemplate::new(503)
        .insert_header("date", "Fri, 31 Dec 2027 23:59:30 GMT")
        .insert_header("retry-after", "Fri, 31 Dec 2027 23:59:31 GMT");
    let server = answering(busy).await;
    let file = format!("{}[routes.sms]\nsenders = [\"a\"]\n", own(&server, "a"));
    let service = Setup::default()
        .with("WORKER__POLL_MS", "10")
        .file(&file)
        .start()
        .await;
    let v = service.start(to(Channel::Sms)).await.unwrap();
    let begun = service.clock.now();
    let delivery = loop {
        let v = service.get(&v.verification_id).await.unwrap();
        if v.deliveries[0].status() == DeliveryStatus::Failed {
            break v.deliveries[0].clone();
        }
        assert!(
            service.clock.now().since(begun) < Duration::from_secs(300),
            "it is given up while the code lives"
        );
        service.pass(Duration::from_millis(500)).await;
    };
    assert_eq!(delivery.failure, "too_many_tries");
    assert_eq!(
        server.received_requests().await.unwrap().len(),
        usize::from(TRIES_MAX)
    );
}

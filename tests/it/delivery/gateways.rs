//! SMS gateways that the guide describes by settings alone: each is driven by the guide's own example.

use countersign::pb::v1::{self, Channel, DeliveryStatus, Verdict, Verification};
use serde_json::json;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{method, path_regex},
};

use crate::{
    harness::{Harness, Setup, kannel::Kannel, login, recipient, unique},
    rig::port::{free, loopback},
};

const GUIDE: &str = include_str!("../../../deploy/guide/senders.md");
const NUMBER: &str = "+31612345678";
const PASSWORD: &str = "s3cret-word_8";

/// The first block of this kind below a heading of the guide.
fn example(heading: &str, kind: &str) -> &'static str {
    let (_, section) = GUIDE.split_once(&format!("\n### {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let (_, block) = section.split_once(&format!("```{kind}\n")).unwrap();
    block.split_once("```").unwrap().0
}

/// The service with a sender of the guide, whose address and files are those of the test, and a second one that takes
/// everything.
async fn service(name: &str, example: &str, addresses: &[(&str, &str)]) -> Harness {
    let listen = loopback(free());
    let setup = Setup::default()
        .with("HTTP__LISTEN", &listen.to_string())
        .with("HTTP__PUBLIC_URL", &format!("http://{listen}"));
    let mut section = example.to_owned();
    for (of_guide, of_test) in addresses {
        assert!(section.contains(of_guide), "{of_guide}");
        section = section.replace(of_guide, of_test);
    }
    let folder = setup.dir.path().to_str().unwrap().to_owned();
    for file in section.split("\"/etc/countersign/").skip(1) {
        let file = file.split('"').next().unwrap();
        std::fs::write(setup.dir.path().join(file), format!("{PASSWORD}\n")).unwrap();
    }
    let section = section.replace("/etc/countersign", &folder);
    setup
        .file(&format!(
            "{section}\n[routes.sms]\nsenders = [\"{name}\", \"outbox\"]\n"
        ))
        .start()
        .await
}

async fn start(service: &Harness) -> Verification {
    let start = v1::StartVerificationRequest {
        recipients: vec![recipient(Channel::Sms, NUMBER)],
        ..login(&unique("s"))
    };
    service.start(start).await.unwrap()
}

async fn until(service: &Harness, v: &Verification, status: DeliveryStatus) -> v1::Delivery {
    let is_there = |v: &Verification| v.deliveries[0].status() == status;
    let mut v = service.until(&v.verification_id, is_there).await;
    v.deliveries.remove(0)
}

fn code_in(text: &str) -> String {
    let mut digits = text.split(|c: char| !c.is_ascii_digit());
    digits.find(|part| part.len() == 6).unwrap().to_owned()
}

#[tokio::test]
async fn send_20_kannel_is_driven_by_the_guides_example() {
    let user = example("Kannel", "text").replace("THE_PASSWORD", PASSWORD);
    let mut kannel = Kannel::start(&user).await;
    let address = format!("127.0.0.1:{}", kannel.port);
    let addresses = [("127.0.0.1:13013", address.as_str())];
    let service = service("kannel", example("Kannel", "toml"), &addresses).await;
    let v = start(&service).await;
    let (from, to, text) = kannel.next().await;
    assert_eq!((from.as_str(), to.as_str()), ("Bank", NUMBER));
    // Kannel reports by calling us, with the user name and password of the URL.
    until(&service, &v, DeliveryStatus::Delivered).await;
    let verdict = service.check(&v.verification_id, &code_in(&text)).await;
    assert_eq!(verdict, Verdict::Approved);
}

#[tokio::test]
async fn send_20_a_kannel_that_refuses_our_login_is_no_success() {
    let user = example("Kannel", "text").replace("THE_PASSWORD", "another");
    let kannel = Kannel::start(&user).await;
    let address = format!("127.0.0.1:{}", kannel.port);
    let addresses = [("127.0.0.1:13013", address.as_str())];
    let service = service("kannel", example("Kannel", "toml"), &addresses).await;
    let v = start(&service).await;
    let delivery = until(&service, &v, DeliveryStatus::Sent).await;
    assert_eq!(delivery.sender, "outbox", "the next sender has it");
}

/// A gateway that gives this answer, the service that uses it by the guide's example, and what it is sent.
async fn asked(
    (name, heading, host): (&str, &str, &str),
    called: (&str, &str),
    answer: ResponseTemplate,
) -> (Harness, Verification, Request) {
    asked_by((name, example(heading, "toml"), host), called, answer).await
}

/// The same with any settings.
async fn asked_by(
    (name, section, host): (&str, &str, &str),
    (verb, at): (&str, &str),
    answer: ResponseTemplate,
) -> (Harness, Verification, Request) {
    let gateway = MockServer::start().await;
    Mock::given(method(verb))
        .and(path_regex(format!("^{at}")))
        .respond_with(answer)
        .mount(&gateway)
        .await;
    let key = format!("kind = \"http\"\nallow_hosts = [\"{}\"]", gateway.address());
    let uri = gateway.uri();
    let addresses = [(host, uri.as_str()), ("kind = \"http\"", key.as_str())];
    let service = service(name, section, &addresses).await;
    let v = start(&service).await;
    let has_ended = |v: &Verification| v.deliveries[0].status() != DeliveryStatus::Queued;
    let v = service.until(&v.verification_id, has_ended).await;
    let mut requests = gateway.received_requests().await.unwrap();
    (service, v, requests.remove(0))
}

async fn approves(service: &Harness, v: &Verification, text: &str) {
    assert_eq!(v.deliveries[0].status(), DeliveryStatus::Sent);
    assert_ne!(v.deliveries[0].sender, "outbox", "it took the message");
    let verdict = service.check(&v.verification_id, &code_in(text)).await;
    assert_eq!(verdict, Verdict::Approved);
}

#[tokio::test]
async fn send_20_a_gateway_that_answers_in_text_is_driven_by_the_guides_example() {
    let texter = (
        "texter",
        "A gateway that answers in text",
        "https://sms.texter.example",
    );
    let ask = |answer: &str| {
        asked(
            texter,
            ("POST", "/send"),
            ResponseTemplate::new(200).set_body_string(answer),
        )
    };
    let (service, v, request) = ask("OK: 123\n").await;
    let form: std::collections::BTreeMap<_, _> = url::form_urlencoded::parse(&request.body)
        .into_owned()
        .collect();
    assert_eq!(form["to"], NUMBER[1..]);
    assert_eq!(
        (form["user"].as_str(), form["password"].as_str()),
        ("bank", PASSWORD)
    );
    approves(&service, &v, &form["message"]).await;

    let (_service, v, _) = ask("ERR: 3").await;
    let delivery = &v.deliveries[0];
    assert_eq!(
        (delivery.status(), delivery.failure.as_str()),
        (DeliveryStatus::Failed, "refused")
    );
    let (_service, v, _) = ask("ERR: 1").await;
    assert_eq!(v.deliveries[0].sender, "outbox", "the next sender has it");
}

#[tokio::test]
async fn send_20_a_gateway_by_get_is_driven_by_the_guides_example() {
    let getter = ("getter", "A gateway by GET", "https://api.getter.example");
    let ask = |messages| {
        let answer = ResponseTemplate::new(200).set_body_json(json!({"messages": messages}));
        asked(getter, ("GET", "/sms"), answer)
    };
    let (service, v, request) =
        ask(json!([{"id": "a", "status": 0}, {"id": "b", "status": "0"}])).await;
    let query: std::collections::BTreeMap<_, _> = request.url.query_pairs().into_owned().collect();
    assert_eq!(
        (query["to"].as_str(), query["key"].as_str()),
        (&NUMBER[1..], PASSWORD)
    );
    approves(&service, &v, &query["text"]).await;

    let (_service, v, _) = ask(json!([{"id": "a", "status": 0}, {"id": "b", "status": 6}])).await;
    assert_eq!(v.deliveries[0].status(), DeliveryStatus::Failed);
}

#[tokio::test]
async fn send_20_a_gateway_by_xml_is_driven_by_the_guides_example() {
    let marker = ("marker", "A gateway by XML", "https://xml.marker.example");
    let ask = |status: &str| {
        let body = format!(
            "\u{feff}<?xml version=\"1.0\"?><response><message status=\"{status}\"><id>m&amp;1</id></message></response>"
        );
        let answer = ResponseTemplate::new(200).set_body_string(body);
        asked(marker, ("POST", "/v2/submit"), answer)
    };
    let (service, v, request) = ask("accepted").await;
    assert_eq!(request.headers["content-type"], "text/xml; charset=utf-8");
    let body = String::from_utf8(request.body).unwrap();
    assert!(body.contains(&format!("<to>{NUMBER}</to>")), "{body}");
    assert!(body.contains(&format!("password=\"{PASSWORD}\"")), "{body}");
    approves(&service, &v, body.split("<body>").nth(1).unwrap()).await;

    let (_service, v, _) = ask("unknown subscriber").await;
    assert_eq!(v.deliveries[0].status(), DeliveryStatus::Failed);
}

/// A gateway that is in no guide: its settings, how it is called, an answer of success, and what else it answers.
struct Gateway {
    settings: &'static str,
    called: (&'static str, &'static str),
    accepts: ResponseTemplate,
    /// With each, the service gives up or the next sender has the message.
    refuses: [(ResponseTemplate, DeliveryStatus); 2],
}

fn says(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_string(body)
}

fn soap() -> Gateway {
    let envelope = |body: &str| {
        says(
            200,
            &format!(
                "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- 7 -->\n<soap:Envelope \
                 xmlns:soap=\"http://www.w3.org/2003/05/soap-envelope\"><soap:Header/><soap:Body>\
                 <ns2:sendResponse xmlns:ns2='urn:sms'>{body}</ns2:sendResponse></soap:Body></soap:Envelope>"
            ),
        )
    };
    Gateway {
        settings: r#"
[senders.gate]
kind = "http"
channels = ["sms"]
url = "https://gate.example/api"
secrets = { password = "/etc/countersign/gate" }
headers = { SOAPAction = "urn:sms#send" }
content_type = "application/soap+xml; charset=utf-8"
xml = '''
<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"><soap:Body>
  <send xmlns="urn:sms"><pass>{{ password }}</pass><to>{{ address_digits }}</to><text>{{ text }}</text></send>
</soap:Body></soap:Envelope>'''
answer = "xml"
code_pointer = "/Envelope/Body/sendResponse/return/*/status"
success_codes = ["OK"]
give_up_codes = ["Unknown & blocked"]
reference_pointer = "/Envelope/Body/sendResponse/return/*/id"
"#,
        called: ("POST", "/api"),
        accepts: envelope(
            "<return type='a'><status><![CDATA[OK]]></status><id>a&#45;1</id></return>\
             <return><status>OK</status><id>a-2</id></return>",
        ),
        refuses: [
            (
                envelope("<return><status>Unknown &amp; blocked</status></return>"),
                DeliveryStatus::Failed,
            ),
            (
                says(200, "<html><body>Log in<br></body></html>"),
                DeliveryStatus::Sent,
            ),
        ],
    }
}

fn piped() -> Gateway {
    Gateway {
        settings: r#"
[senders.gate]
kind = "http"
channels = ["sms"]
url = "https://gate.example/bulksms/bulksms"
method = "GET"
charset = "latin1"
secrets = { password = "/etc/countersign/gate" }
query = { user = "bank", pass = "{{ password }}", type = "0", dlr = "1", to = "{{ address }}", message = "{{ text }}" }
answer = "text"
success_codes = ["1701|*|*"]
reference_pattern = "1701|*|{id}"
next_codes = ["1702*", "1703*", "1025*"]
give_up_codes = ["1706|*"]
"#,
        called: ("GET", "/bulksms/bulksms"),
        accepts: says(200, "1701|31612345678|bc3b6d-01\r\n"),
        refuses: [
            (says(200, "1706|31612345678|none"), DeliveryStatus::Failed),
            (says(200, "1703"), DeliveryStatus::Sent),
        ],
    }
}

fn listed() -> Gateway {
    Gateway {
        settings: r#"
[senders.gate]
kind = "http"
channels = ["sms"]
url = "https://gate.example/v3/batches"
auth = "header"
auth_header = "X-Api-Key"
token_file = "/etc/countersign/gate"
json = '[{"recipients": ["{{ address }}"], "body": "{{ text }}", "ttl": 300}]'
code_pointer = "/*/result/code"
success_codes = ["0"]
give_up_codes = ["12"]
reference_pointer = "/*/uuid"
"#,
        called: ("POST", "/v3/batches"),
        accepts: says(
            201,
            r#"[{"uuid": 9007199254740993, "result": {"code": 0}}]"#,
        ),
        refuses: [
            (
                says(200, r#"[{"uuid": 1, "result": {"code": "12"}}]"#),
                DeliveryStatus::Failed,
            ),
            (says(200, "[]"), DeliveryStatus::Sent),
        ],
    }
}

fn silent() -> Gateway {
    Gateway {
        settings: r#"
[senders.gate]
kind = "http"
channels = ["sms"]
url = "https://gate.example/outbound/{{ delivery }}"
method = "PUT"
auth = "basic"
username = "bank"
password_file = "/etc/countersign/gate"
form = { to = "{{ address }}", text = "{{ text }}" }
success_status = [202]
give_up_status = [410]
"#,
        called: ("PUT", "/outbound/"),
        accepts: ResponseTemplate::new(202),
        refuses: [
            (ResponseTemplate::new(410), DeliveryStatus::Failed),
            (says(200, "maintenance"), DeliveryStatus::Sent),
        ],
    }
}

fn prose() -> Gateway {
    Gateway {
        settings: r#"
[senders.gate]
kind = "http"
channels = ["sms"]
url = "https://gate.example/send.php"
secrets = { password = "/etc/countersign/gate" }
form = { u = "bank", p = "{{ password }}", to = "{{ address_digits }}", text = "{{ text }}" }
answer = "text"
success_codes = ["SUCCESS MessageId:*", "Balance *"]
reference_pattern = "SUCCESS MessageId:{id};*"
retry_codes = ["ERR 108*"]
give_up_codes = ["ERR 107", "ERR 107 *"]
"#,
        called: ("POST", "/send.php"),
        accepts: says(200, "SUCCESS MessageId:77; Cost:0.80;\n\nBalance 12,3\n"),
        refuses: [
            (says(200, "ERR 107"), DeliveryStatus::Failed),
            (says(200, "ERR 999: unexpected"), DeliveryStatus::Sent),
        ],
    }
}

#[tokio::test]
async fn send_20_gateways_that_no_guide_describes_need_settings_alone() {
    for gateway in [soap(), piped(), listed(), silent(), prose()] {
        let settings = ("gate", gateway.settings, "https://gate.example");
        let ask = |answer| asked_by(settings, gateway.called, answer);
        let (service, v, request) = ask(gateway.accepts).await;
        let sent = match request.url.query() {
            Some(query) => query.replace("%20", " "),
            None => String::from_utf8(request.body).unwrap().replace('+', " "),
        };
        approves(&service, &v, &sent).await;
        for (answer, status) in gateway.refuses {
            let (_service, v, _) = ask(answer).await;
            let delivery = &v.deliveries[0];
            assert_eq!(delivery.status(), status, "{settings:?}");
            if status == DeliveryStatus::Sent {
                assert_eq!(delivery.sender, "outbox", "{settings:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_relay_without_tls_is_driven_by_the_guides_example() {
    let relay = crate::rig::SmtpSink::start(&[]);
    let (host, port) = ("127.0.0.1", format!("port = {}", relay.port));
    let text = example("A relay without TLS", "toml");
    let section = text.replace("\"mailhog\"", &format!("\"{host}\""));
    let section = section.replace("port = 1025", &port);
    let service = Setup::default()
        .file(&format!(
            "{section}[routes.email]\nsenders = [\"mailhog\"]\n"
        ))
        .start()
        .await;
    let v = service.start(login(&unique("s"))).await.unwrap();
    until(&service, &v, DeliveryStatus::Sent).await;
}

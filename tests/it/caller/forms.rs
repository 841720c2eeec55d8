//! What is a call and what is not: methods, content types, paths, credentials, and messages that cannot be read.

use countersign::pb::v1;
use prost::Message as _;
use reqwest::{
    Client, Method, Response, Version,
    header::{ALLOW, CONTENT_TYPE},
};
use tonic::{Code, Status, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;

use crate::harness::{Harness, PATIENCE, http::http_client, login};

const START: &str = "/countersign.v1.VerificationService/StartVerification";

/// A client that speaks HTTP/2 at once, and sends what it is told to send.
fn client() -> Client {
    http_client().http2_prior_knowledge().build().unwrap()
}

/// A message in the framing of gRPC.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

/// A request that would be a valid start, with this method, path, and these headers.
struct Try<'a> {
    method: Method,
    path: &'a str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Try<'_> {
    fn new(service: &Harness, subject: &str) -> Self {
        Self {
            method: Method::POST,
            path: START,
            headers: vec![
                ("content-type", "application/grpc".to_owned()),
                ("te", "trailers".to_owned()),
                ("authorization", format!("Bearer {}", service.key)),
            ],
            body: framed(&login(subject).encode_to_vec()),
        }
    }

    async fn send(self, service: &Harness) -> Response {
        self.send_by(&client(), service).await
    }

    async fn send_by(self, client: &Client, service: &Harness) -> Response {
        let url = format!("http://{}{}", service.reach.grpc, self.path);
        let mut request = client.request(self.method, url).body(self.body);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.send().await.unwrap()
    }
}

fn grpc_code(response: &Response) -> Code {
    let status = response.headers().get("grpc-status");
    status.map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()))
}

/// The code and the reason of an answer without a body.
fn refusal(response: &Response) -> (Code, String) {
    let status = Status::from_header_map(response.headers()).expect("a status in the headers");
    let info = status.get_details_error_info().expect("with an ErrorInfo");
    assert_eq!(info.domain, "countersign");
    (status.code(), info.reason)
}

/// Nothing of what was tried has been executed, and a call is.
async fn nothing_was_done_and_a_call_works(service: &Harness) {
    let taken = Try::new(service, "taken").send(service).await;
    assert_eq!(
        (taken.status().as_u16(), grpc_code(&taken)),
        (200, Code::Ok)
    );
    let messages = service.recorder.wait_for(1).await;
    assert_eq!(messages.len(), 1, "0 at the sink before");
    let starts = service.audit().await;
    assert_eq!(
        starts.iter().filter(|line| line.what == "started").count(),
        1
    );
}

#[tokio::test]
async fn net_17_another_content_type_is_415_and_nothing_is_done() {
    let service = Harness::new().await;
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/json"),
        Some("application/x-protobuf"),
        Some("application/grpc+json"),
        Some("application/grpc-web+proto"),
        Some("application/grpc-web-text"),
        Some("application/grpcfoo"),
        Some("multipart/form-data; boundary=application/grpc"),
        Some("*/*"),
    ] {
        let mut tried = Try::new(&service, "refused");
        tried.headers.retain(|(name, _)| *name != "content-type");
        tried
            .headers
            .extend(content_type.map(|value| ("content-type", value.to_owned())));
        let answer = tried.send(&service).await;
        assert_eq!(answer.status(), 415, "{content_type:?}");
        assert!(
            !answer.headers().contains_key("grpc-status"),
            "{content_type:?}"
        );
    }
    let mut twice = Try::new(&service, "refused");
    twice
        .headers
        .push(("content-type", "text/plain".to_owned()));
    assert_eq!(twice.send(&service).await.status(), 415);
    for content_type in ["application/grpc+proto", "application/grpc; charset=utf-8"] {
        let mut tried = Try::new(&service, "x");
        tried.headers[0].1 = content_type.to_owned();
        // Refused for another reason: it is a call.
        tried.headers.pop();
        let answer = tried.send(&service).await;
        assert_eq!(grpc_code(&answer), Code::Unauthenticated, "{content_type}");
    }
    nothing_was_done_and_a_call_works(&service).await;
}

#[tokio::test]
async fn net_17_another_method_is_405_with_allow_and_nothing_is_done() {
    let service = Harness::new().await;
    for method in [
        "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW",
    ] {
        let tried = Try {
            method: method.parse().unwrap(),
            ..Try::new(&service, "refused")
        };
        let answer = tried.send(&service).await;
        assert_eq!(answer.status(), 405, "{method}");
        assert_eq!(answer.headers()[ALLOW], "POST", "{method}");
    }
    nothing_was_done_and_a_call_works(&service).await;
}

#[tokio::test]
async fn net_17_a_call_over_http_1_is_refused_in_words() {
    let service = Harness::new().await;
    let http1 = http_client().http1_only().build().unwrap();
    let answer = Try::new(&service, "refused")
        .send_by(&http1, &service)
        .await;
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (505, Version::HTTP_11)
    );
    assert!(answer.text().await.unwrap().contains("HTTP/2"));
    let mut page = Try::new(&service, "refused");
    page.headers[0].1 = "text/plain".to_owned();
    let answer = page.send_by(&http1, &service).await;
    assert_eq!(answer.status(), 415);
    assert_eq!(answer.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
    nothing_was_done_and_a_call_works(&service).await;
}

#[tokio::test]
async fn net_17_a_path_with_a_query_is_no_method() {
    let service = Harness::new().await;
    for query in ["?x=1", "?", "?authorization=Bearer"] {
        let path = format!("{START}{query}");
        let tried = Try {
            path: &path,
            ..Try::new(&service, "refused")
        };
        let answer = tried.send(&service).await;
        let expected = (Code::Unimplemented, "METHOD_UNKNOWN".to_owned());
        assert_eq!(refusal(&answer), expected, "{query}");
        let mut stranger = Try {
            path: &path,
            ..Try::new(&service, "refused")
        };
        stranger.headers.pop();
        let answer = stranger.send(&service).await;
        let expected = (Code::Unauthenticated, "CALLER_UNKNOWN".to_owned());
        assert_eq!(
            refusal(&answer),
            expected,
            "nobody learns which methods exist"
        );
    }
    nothing_was_done_and_a_call_works(&service).await;
}

#[tokio::test]
async fn net_18_two_credentials_in_one_call_are_unauthenticated() {
    let service = Harness::new().await;
    let right = format!("Bearer {}", service.key);
    for credentials in [
        vec![right.clone(), right.clone()],
        vec![right.clone(), "Bearer other".to_owned()],
        vec!["Bearer other".to_owned(), right.clone()],
        vec![right.clone(), "Basic YTpi".to_owned()],
        vec![right.clone(), String::new()],
        vec![format!("{right}, {right}")],
        vec![format!("{right},Bearer other")],
        vec![format!("Basic YTpi, {right}")],
    ] {
        let mut tried = Try::new(&service, "refused");
        tried.headers.pop();
        let own = credentials.iter().cloned();
        tried
            .headers
            .extend(own.map(|value| ("authorization", value)));
        let answer = tried.send(&service).await;
        let expected = (Code::Unauthenticated, "CALLER_UNKNOWN".to_owned());
        assert_eq!(refusal(&answer), expected, "{credentials:?}");
    }
    nothing_was_done_and_a_call_works(&service).await;
}

#[tokio::test]
async fn net_12_a_message_that_cannot_be_read_is_the_callers_fault_and_typed() {
    let service = Harness::new().await;
    let start = login("refused").encode_to_vec();
    let large = v1::StartVerificationRequest {
        subject: "x".repeat(17 * 1024),
        ..login("refused")
    };
    for (what, body) in [
        ("garbage", framed(b"\xff\xff\xff\xff garbage")),
        ("a group that never ends", framed(&[0x0b, 0x0b, 0x0b])),
        ("text that is not UTF-8", framed(&[0x0a, 0x02, 0xff, 0xfe])),
        ("a field that is cut", framed(&start[..start.len() - 1])),
        ("17 KiB", framed(&large.encode_to_vec())),
        (
            "a length that lies",
            [&[0, 0x7f, 0xff, 0xff, 0xff][..], &start].concat(),
        ),
        ("a message that is cut", framed(&start)[..20].to_vec()),
        ("a head that is cut", vec![0, 0, 0]),
        (
            "a flag that gRPC does not have",
            [&[7][..], &framed(&start)[1..]].concat(),
        ),
        (
            "compressed without saying how",
            [&[1][..], &framed(&start)[1..]].concat(),
        ),
        ("no message", Vec::new()),
    ] {
        let tried = Try {
            body,
            ..Try::new(&service, "refused")
        };
        let answer = tried.send(&service).await;
        let expected = (Code::InvalidArgument, "MESSAGE_MALFORMED".to_owned());
        assert_eq!(refusal(&answer), expected, "{what}");
    }
    nothing_was_done_and_a_call_works(&service).await;
}

#[tokio::test]
async fn watching_an_unknown_service_says_service_unknown_and_goes_on() {
    let service = Harness::new().await;
    for address in [service.reach.grpc, service.reach.admin] {
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut health = HealthClient::new(channel.connect().await.unwrap());
        let of = |service: &str| HealthCheckRequest {
            service: service.to_owned(),
        };
        let mut known = health.watch(of("")).await.unwrap().into_inner();
        let first = known.message().await.unwrap().unwrap();
        assert_eq!(first.status(), ServingStatus::Serving);
        let mut unknown = health
            .watch(of("no.such.Service"))
            .await
            .unwrap()
            .into_inner();
        let first = unknown.message().await.unwrap().unwrap();
        assert_eq!(first.status(), ServingStatus::ServiceUnknown);
        let a_bit = std::time::Duration::from_millis(200);
        let more = tokio::time::timeout(a_bit, unknown.message()).await;
        assert!(more.is_err(), "the stream stays open");
        let checked = health.check(of("no.such.Service")).await.unwrap_err();
        assert_eq!(checked.code(), Code::NotFound);
    }
    // The open streams do not hold up the end.
    tokio::time::timeout(PATIENCE, service.stop())
        .await
        .unwrap();
}

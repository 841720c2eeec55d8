//! The development outbox: a JSON list for tests and a page for people.
//!
//! The page has no credential, because it is reached on loopback only. But a web site can give its own name the address
//! 127.0.0.1 and let a developer's browser read the page in its name (DNS rebinding), so the name is checked.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{
        HeaderName, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        },
        uri::Authority,
    },
    middleware::{Next, from_fn_with_state, map_response},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use minijinja::{Environment, context, value::Value};
use serde::Serialize;

use super::harden::harden;
use crate::{
    domain::time::Timestamp,
    ports::sender::outbox::{Letter, Outbox},
};

const STYLE: &str = include_str!("dev/style.css");
const SCRIPT: &str = include_str!("dev/refresh.js");
const PAGE: &str = include_str!("dev/page.html");
/// The largest number of messages on the page; the JSON list has all.
const PAGE_LETTERS_MAX: usize = 50;

/// Content security policy: allows only the page's own style and script, by their SHA-256, and requests to this
/// server. Changing either file changes its hash.
const POLICY: &str = "default-src 'none'; style-src 'sha256-P4GxFMt6PXiOyvE04gWhOnnpgvkjDluKYn9qysEGZ5U='; script-src 'sha256-9SiRutqrd7ZyaxHBHYhu7vnSAOT/QYEIPcjO6Tf5i2I='; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The headers of every response.
const HEADERS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, POLICY),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// The parts from which the outbox is built.
pub struct DevPage {
    /// What was sent, newest first, with its codes.
    pub outbox: Arc<Outbox>,
    /// The hosts under which it may be opened, in addition to the names and addresses of loopback.
    pub hosts: Vec<String>,
}

/// The routes `GET /dev/outbox` and `GET /dev`. Only for the development profile: they show every
/// message with its code.
pub fn router(page: DevPage) -> Router {
    let DevPage { outbox, hosts } = page;
    Router::new()
        .route("/dev/outbox", get(list))
        .route("/dev", get(self::page))
        .layer(from_fn_with_state(Arc::from(hosts), only_ours))
        .layer(map_response(|response| async {
            harden(response, &HEADERS)
        }))
        .with_state(outbox)
}

/// Refuses requests for another host.
async fn only_ours(State(hosts): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    // HTTP/2 has the host in the URI.
    let mut named = request.headers().get_all(HOST).iter();
    let host = named.next().and_then(|host| host.to_str().ok());
    let authority = match request.uri().authority() {
        Some(authority) => Some(authority.clone()),
        None => host.and_then(|host| host.parse::<Authority>().ok()),
    };
    // Of two hosts, which one counts?
    let is_one = named.next().is_none();
    if is_one && authority.is_some_and(|authority| is_ours(authority.host(), &hosts)) {
        next.run(request).await
    } else {
        const TEXT: &str = "this page is served for localhost and the address of http.listen or http.public_url only\n";
        (StatusCode::MISDIRECTED_REQUEST, TEXT).into_response()
    }
}

/// Whether a host is a name or address of loopback, or one of ours.
fn is_ours(host: &str, ours: &[String]) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.to_canonical().is_loopback() || ours.iter().any(|ours| ours == bare);
    }
    let name = host.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || ours.contains(&name)
}

/// A message as shown. It contains the code, so it has no `Debug`.
#[derive(Serialize)]
struct Shown {
    verification_id: String,
    channel: &'static str,
    address: String,
    subject: String,
    text: String,
    code: String,
    sent_at: String,
}

impl From<Letter> for Shown {
    fn from(letter: Letter) -> Self {
        let Letter { message, sent_at } = letter;
        Self {
            verification_id: message.verification.to_string(),
            channel: message.recipient.channel().as_str(),
            address: message.recipient.expose().to_owned(),
            subject: message.content.subject.clone(),
            text: message.content.text.clone(),
            code: message.code.expose().to_owned(),
            sent_at: rfc_3339(sent_at),
        }
    }
}

async fn list(State(outbox): State<Arc<Outbox>>) -> Json<Vec<Shown>> {
    Json(outbox.list().into_iter().map(Shown::from).collect())
}

async fn page(State(outbox): State<Arc<Outbox>>) -> Response {
    let letters: Vec<Shown> = outbox
        .list()
        .into_iter()
        .take(PAGE_LETTERS_MAX)
        .map(Shown::from)
        .collect();
    match render(&letters) {
        Ok(page) => Html(page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Renders the page. The template's name ends in `.html`, so minijinja escapes every value.
fn render(letters: &[Shown]) -> Result<String, minijinja::Error> {
    let letters: Vec<Value> = letters
        .iter()
        .map(|letter| {
            context! {
                channel => letter.channel,
                address => &*letter.address,
                subject => &*letter.subject,
                text => &*letter.text,
                code => &*letter.code,
                sent_at => &*letter.sent_at,
                verification_id => &*letter.verification_id,
            }
        })
        .collect();
    let own = |text: &str| Value::from_safe_string(text.to_owned());
    Environment::new().render_named_str(
        "page.html",
        PAGE,
        context! { letters, style => own(STYLE), script => own(SCRIPT) },
    )
}

/// A time such as `2026-11-24T09:30:00.5Z`; later times than the year 9999 are shown as its end.
fn rfc_3339(at: Timestamp) -> String {
    let micros = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros)
        .unwrap_or(jiff::Timestamp::MAX)
        .to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use tower::ServiceExt as _;

    use super::*;
    use crate::{
        domain::{
            code::guess::Digits,
            crypto::keyring::tests::ring,
            delivery::receipt::ReceiptToken,
            ids::{DeliveryId, SubjectKey, VerificationId},
            recipient::{Channel, Recipient},
        },
        ports::sender::{Content, Message},
    };

    fn letter(number: u8, text: &str) -> Letter {
        Letter {
            message: Message {
                delivery: DeliveryId([number; 16]),
                verification: VerificationId {
                    subject: SubjectKey([1; 16]),
                    random: [number; 16],
                },
                receipt: ReceiptToken::new(
                    &ring(1, &["a"]),
                    "mail",
                    &SubjectKey([1; 16]),
                    &DeliveryId([number; 16]),
                ),
                recipient: Recipient::parse(Channel::Email, "anna@example.org").unwrap(),
                content: Arc::new(Content {
                    subject: "Your <code>".to_owned(),
                    text: text.to_owned(),
                    html: None,
                    speech: None,
                    opened: None,
                    language: "en".into(),
                }),
                code: Digits::from_ascii(b"123456").unwrap(),
                expires_at: Timestamp::from_micros(1_795_512_900_000_000),
            },
            sent_at: Timestamp::from_micros(1_795_512_600_500_000),
        }
    }

    async fn get(outbox: &Arc<Outbox>, path: &str) -> Response {
        get_as(outbox, "127.0.0.1:8080", path).await
    }

    async fn get_as(outbox: &Arc<Outbox>, host: &str, path: &str) -> Response {
        let page = DevPage {
            outbox: Arc::clone(outbox),
            hosts: vec!["dev.bank.example".to_owned(), "192.0.2.1".to_owned()],
        };
        let request = Request::get(path).header(HOST, host);
        router(page)
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn net_15_a_page_of_another_site_cannot_read_the_outbox() {
        for host in [
            "localhost",
            "LocalHost:8080",
            "countersign.localhost:8080",
            "127.0.0.1",
            "127.1.2.3:80",
            "[::1]:8080",
            "dev.bank.example",
            "Dev.Bank.Example:443",
            "192.0.2.1:8080",
        ] {
            for path in ["/dev", "/dev/outbox"] {
                let status = get_as(&Arc::default(), host, path).await.status();
                assert_eq!(status, StatusCode::OK, "{host} {path}");
            }
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evillocalhost",
            "192.0.2.2",
            "0.0.0.0",
            "dev.bank.example.evil.example",
            "a b",
        ] {
            for path in ["/dev", "/dev/outbox"] {
                let refused = get_as(&Arc::default(), host, path).await;
                assert_eq!(
                    refused.status(),
                    StatusCode::MISDIRECTED_REQUEST,
                    "{host} {path}"
                );
            }
        }
    }

    #[tokio::test]
    async fn net_15_a_request_for_two_hosts_reads_no_outbox() {
        let page = DevPage {
            outbox: Arc::default(),
            hosts: Vec::new(),
        };
        let request = Request::get("/dev/outbox")
            .header(HOST, "localhost")
            .header(HOST, "evil.example");
        let refused = router(page).oneshot(request.body(Body::empty()).unwrap());
        assert_eq!(
            refused.await.unwrap().status(),
            StatusCode::MISDIRECTED_REQUEST
        );
    }

    async fn body(response: Response) -> String {
        String::from_utf8(
            to_bytes(response.into_body(), 1 << 20)
                .await
                .unwrap()
                .to_vec(),
        )
        .unwrap()
    }

    #[tokio::test]
    async fn the_list_has_the_newest_message_first() {
        let outbox = Arc::<Outbox>::default();
        outbox.put(letter(1, "first"));
        outbox.put(letter(2, "second"));
        let list: Vec<BTreeMap<String, String>> =
            serde_json::from_str(&body(get(&outbox, "/dev/outbox").await).await).unwrap();
        assert_eq!(
            list.iter()
                .map(|letter| letter["text"].as_str())
                .collect::<Vec<_>>(),
            ["second", "first"]
        );
        let expected = [
            ("address", "anna@example.org"),
            ("channel", "email"),
            ("code", "123456"),
            ("sent_at", "2026-11-24T09:30:00.5Z"),
            ("subject", "Your <code>"),
            ("text", "second"),
            (
                "verification_id",
                &letter(2, "").message.verification.to_string(),
            ),
        ];
        assert_eq!(
            list[0],
            expected
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        );
    }

    #[tokio::test]
    async fn an_empty_page_says_what_to_do_next() {
        let page = body(get(&Arc::default(), "/dev").await).await;
        assert!(
            page.contains("grpcurl") && page.contains("StartVerification"),
            "{page}"
        );
    }

    #[tokio::test]
    async fn hostile_text_is_escaped_on_the_page() {
        let outbox = Arc::<Outbox>::default();
        outbox.put(letter(1, "<script>alert(1)</script>{{7*7}}\"'&"));
        let page = body(get(&outbox, "/dev").await).await;
        assert!(
            page.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;{{7*7}}&quot;&#x27;&amp;"),
            "{page}"
        );
        assert!(
            page.contains("Your &lt;code&gt;") && page.contains(">123456<"),
            "{page}"
        );
        assert_eq!(page.matches("<script").count(), 1, "our own");
    }

    #[tokio::test]
    async fn nothing_is_kept_leaked_or_loaded() {
        for path in ["/dev", "/dev/outbox"] {
            let response = get(&Arc::default(), path).await;
            for (name, value) in HEADERS {
                assert_eq!(response.headers()[&name], value, "{path} {name}");
            }
        }
    }

    #[tokio::test]
    async fn the_policy_names_the_style_and_the_script_of_the_page() {
        let page = body(get(&Arc::default(), "/dev").await).await;
        for (tag, source) in [("style", STYLE), ("script", SCRIPT)] {
            assert!(page.contains(&format!("<{tag}>{source}</{tag}>")));
            let hash = STANDARD.encode(aws_lc_rs::digest::digest(
                &aws_lc_rs::digest::SHA256,
                source.as_bytes(),
            ));
            assert!(
                POLICY.contains(&format!("{tag}-src 'sha256-{hash}'")),
                "{tag}-src 'sha256-{hash}'"
            );
        }
    }
}

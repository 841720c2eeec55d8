//! The page that a link in a mail opens, as requested by mail readers, scanners and customers.

use std::collections::BTreeMap;

use countersign::{
    domain::code::link::{BrowserMark, LinkToken},
    pb::v1::{self, CheckCodeRequest, Verdict, VerificationStatus},
};

use crate::harness::{Harness, Setup, anonymous, check_request, login, unique, wrong};

const BROWSER: &str = "4f1c2a9be07d4f5b8f0d3a5c6e7b8a90";
const PUBLIC: &str = "https://otp.bank.example/verify";

fn setup() -> Setup {
    let modes = "[actions.login]\nentry_modes = [\"portal\", \"link\"]\n";
    Setup::default()
        .with("HTTP__PUBLIC_URL", PUBLIC)
        .file(modes)
}

fn with_browser(subject: &str) -> v1::StartVerificationRequest {
    let mark = BrowserMark::of(BROWSER).0;
    v1::StartVerificationRequest {
        browser_sha256: hex::encode(mark),
        ..login(subject)
    }
}

struct Page {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

/// A browser, or a program that pretends to be one.
struct Visitor<'a> {
    service: &'a Harness,
    client: reqwest::Client,
}

impl<'a> Visitor<'a> {
    fn of(service: &'a Harness) -> Self {
        // The client needs a TLS provider even without TLS; another test may have installed it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self {
            service,
            client: reqwest::Client::new(),
        }
    }

    async fn take(&self, request: reqwest::RequestBuilder) -> Page {
        let answer = request.send().await.unwrap();
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let (status, headers) = (answer.status().as_u16(), headers.collect());
        Page {
            status,
            headers,
            body: answer.text().await.unwrap(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.reach.http)
    }

    async fn look(&self, method: reqwest::Method) -> Page {
        self.take(self.client.request(method, self.url("/link")))
            .await
    }

    /// Looks up what a link confirms, as the page's script does.
    async fn details(&self, token: &str, headers: &[(&str, &str)]) -> (Page, serde_json::Value) {
        let request = self
            .client
            .post(self.url("/link/details"))
            .header("accept", "application/json")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("token={token}"));
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let page = self.take(request).await;
        let said = serde_json::from_str(&page.body).unwrap();
        (page, said)
    }

    /// Presses the button with these headers in addition to the cookie of the browser that asked.
    async fn press_with(&self, token: &str, headers: &[(&str, &str)]) -> Page {
        let request = self
            .client
            .post(self.url("/link"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("token={token}"));
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        self.take(request).await
    }

    async fn press(&self, token: &str, cookie: Option<&str>) -> Page {
        let form = self
            .client
            .post(self.url("/link"))
            .header("content-type", "application/x-www-form-urlencoded");
        let form = form.body(format!("token={token}"));
        let form = match cookie {
            Some(value) => form.header(
                "cookie",
                format!("theme=dark; countersign_browser={value}; other=1"),
            ),
            None => form,
        };
        self.take(form).await
    }
}

/// The fragment after the `#` of the link in a verification's mail, taken from both parts of the mail.
async fn token_of(service: &Harness, id: &str) -> String {
    service.code_of(id).await;
    let message = service
        .recorder
        .all()
        .into_iter()
        .find(|message| message.verification.to_string() == id)
        .unwrap();
    let begin = format!("{PUBLIC}/link#");
    let read = |text: &str| {
        let (_, rest) = text.split_once(&begin).expect("the mail has a link");
        rest.chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect::<String>()
    };
    let html = message.content.html.clone().unwrap();
    let escaped = html.replace("&#x2f;", "/");
    assert_eq!(read(&message.content.text), read(&escaped));
    read(&escaped)
}

async fn status(service: &Harness, id: &str) -> VerificationStatus {
    service.get(id).await.unwrap().status()
}

#[tokio::test]
async fn mail_03_looking_at_a_link_changes_nothing_and_a_press_in_the_browser_that_asked_approves()
{
    let service = setup().start().await;
    let visitor = Visitor::of(&service);
    let id = service
        .start(with_browser("s"))
        .await
        .unwrap()
        .verification_id;
    let token = token_of(&service, &id).await;
    for _ in 0..100 {
        assert_eq!(visitor.look(reqwest::Method::GET).await.status, 200);
        assert_eq!(visitor.look(reqwest::Method::HEAD).await.status, 200);
    }
    for cookie in [None, Some("another"), Some("")] {
        assert_eq!(visitor.press(&token, cookie).await.status, 403);
    }
    let seen = service.get(&id).await.unwrap();
    assert_eq!(
        (seen.status(), seen.attempts_left),
        (VerificationStatus::Pending, 5),
        "the code is alive, and all attempts are there"
    );
    let page = visitor.press(&token, Some(BROWSER)).await;
    assert!(
        page.status == 200 && page.body.contains("Confirmed"),
        "{}",
        page.body
    );
    assert_eq!(status(&service, &id).await, VerificationStatus::Approved);
    assert_eq!(
        visitor.press(&token, Some(BROWSER)).await.status,
        200,
        "pressed twice"
    );
}

const COOKIE: (&str, &str) = (
    "cookie",
    "countersign_browser=4f1c2a9be07d4f5b8f0d3a5c6e7b8a90",
);
const HOST_COOKIE: (&str, &str) = (
    "cookie",
    "countersign_browser=tossed; __Host-countersign_browser=4f1c2a9be07d4f5b8f0d3a5c6e7b8a90",
);

fn payment(subject: &str, locale: &str) -> v1::StartVerificationRequest {
    v1::StartVerificationRequest {
        action: "payment".to_owned(),
        locale: locale.to_owned(),
        binding: [("amount", "EUR 12.34"), ("payee", "<b>Jansen</b>")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..with_browser(subject)
    }
}

#[tokio::test]
async fn mail_03_the_page_says_what_is_confirmed_before_the_press_and_only_where_it_began() {
    let service = setup()
        .file(
            "[actions.payment]\nentry_modes = [\"portal\", \"link\"]\ntitle = { nl = \"de huur\" }\n\
             [labels]\namount = { nl = \"huursom\" }\n[tenants.default]\nbrand = \"Bank Zuid\"\n",
        )
        .start()
        .await;
    let visitor = Visitor::of(&service);
    let id = service
        .start(payment("s", "nl_BE"))
        .await
        .unwrap()
        .verification_id;
    let token = token_of(&service, &id).await;
    for _ in 0..20 {
        let (page, said) = visitor
            .details(&token, &[COOKIE, ("accept-language", "fr")])
            .await;
        assert_eq!(page.status, 200);
        assert_eq!(said["summary"]["title"], "de huur");
        assert_eq!(
            said["summary"]["details"],
            serde_json::json!([["huursom", "EUR 12.34"], ["begunstigde", "<b>Jansen</b>"]])
        );
        assert_eq!(
            (&said["brand"], &said["language"], &said["button"]),
            (&"Bank Zuid".into(), &"nl".into(), &"Bevestigen".into()),
            "the customer's own language comes before the browser's"
        );
        assert_eq!(page.headers["content-language"], "nl");
        assert_eq!(page.headers["cache-control"], "no-store");
        assert_eq!(page.headers["referrer-policy"], "no-referrer");
    }
    for elsewhere in [&[][..], &[("cookie", "countersign_browser=another")]] {
        let (page, said) = visitor.details(&token, elsewhere).await;
        assert_eq!(
            (page.status, &said["summary"]),
            (403, &serde_json::Value::Null)
        );
        assert_eq!(
            said["heading"],
            "Dit is niet de browser waarin u bent begonnen"
        );
        assert!(
            !page.body.contains("Jansen") && !page.body.contains("huur"),
            "{}",
            page.body
        );
    }
    let seen = service.get(&id).await.unwrap();
    assert_eq!(
        (seen.status(), seen.attempts_left),
        (VerificationStatus::Pending, 5),
        "to look changes nothing"
    );
    let page = visitor.press(&token, Some(BROWSER)).await;
    assert!(
        page.status == 200 && page.body.contains("Bevestigd"),
        "{}",
        page.body
    );
    assert!(page.body.contains("Bank Zuid"), "{}", page.body);
    assert_eq!(page.headers["content-language"], "nl");
    let (page, said) = visitor.details(&token, &[COOKIE]).await;
    assert_eq!(
        (page.status, &said["button"]),
        (410, &serde_json::Value::Null),
        "it is over"
    );
}

#[tokio::test]
async fn mail_03_a_press_that_another_site_made_is_refused() {
    let service = setup().start().await;
    let visitor = Visitor::of(&service);
    let id = service
        .start(with_browser("s"))
        .await
        .unwrap()
        .verification_id;
    let token = token_of(&service, &id).await;
    for foreign in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
        ("origin", "https://evil.example"),
        ("origin", "http://otp.bank.example"),
        ("origin", "null"),
    ] {
        let page = visitor.press_with(&token, &[COOKIE, foreign]).await;
        assert_eq!(page.status, 403, "{foreign:?}");
        let (page, said) = visitor.details(&token, &[COOKIE, foreign]).await;
        assert_eq!(
            (page.status, &said["summary"]),
            (403, &serde_json::Value::Null),
            "{foreign:?}"
        );
    }
    let seen = service.get(&id).await.unwrap();
    assert_eq!(
        (seen.status(), seen.attempts_left),
        (VerificationStatus::Pending, 5)
    );
    let own = [
        COOKIE,
        ("sec-fetch-site", "same-origin"),
        ("origin", "https://otp.bank.example"),
    ];
    assert_eq!(visitor.press_with(&token, &own).await.status, 200);
    assert_eq!(status(&service, &id).await, VerificationStatus::Approved);
}

#[tokio::test]
async fn mail_03_a_cookie_that_no_other_host_can_set_comes_first_and_can_be_demanded() {
    for (only, plain_status) in [("false", 200), ("true", 403)] {
        let service = setup().with("HTTP__HOST_COOKIE_ONLY", only).start().await;
        let visitor = Visitor::of(&service);
        let mut tokens = Vec::new();
        for subject in ["s", "t", "u"] {
            let id = service
                .start(with_browser(subject))
                .await
                .unwrap()
                .verification_id;
            tokens.push(token_of(&service, &id).await);
        }
        assert_eq!(
            visitor.press_with(&tokens[0], &[HOST_COOKIE]).await.status,
            200
        );
        assert_eq!(
            visitor.press_with(&tokens[1], &[COOKIE]).await.status,
            plain_status
        );
        let tossed = format!("__Host-countersign_browser=own; countersign_browser={BROWSER}");
        let page = visitor.press_with(&tokens[2], &[("cookie", &tossed)]).await;
        assert_eq!(page.status, 403, "the one that cannot be tossed counts");
    }
}

#[tokio::test]
async fn bind_12_the_page_speaks_the_language_that_the_browser_weighs_highest() {
    let service = setup().start().await;
    let visitor = Visitor::of(&service);
    for (accepted, language) in [
        ("en;q=0.1, de-AT;q=0.9, nl;q=0.5", "de"),
        ("sv, es-419;q=0.3", "es"),
        ("fr;q=0, *;q=0.1", "en"),
    ] {
        let request = visitor.client.get(visitor.url("/link"));
        let page = visitor
            .take(request.header("accept-language", accepted))
            .await;
        assert_eq!(page.headers["content-language"], language, "{accepted}");
        assert!(
            page.body
                .contains(&format!("<html lang=\"{language}\" dir=\"ltr\">")),
            "{}",
            page.body
        );
    }
}

#[tokio::test]
async fn mail_04_no_secret_is_in_a_path_or_a_query() {
    let service = setup().start().await;
    let visitor = Visitor::of(&service);
    let id = service
        .start(with_browser("s"))
        .await
        .unwrap()
        .verification_id;
    let token = token_of(&service, &id).await;
    let page = visitor.look(reqwest::Method::GET).await;
    let press = visitor.press(&token, Some(BROWSER)).await;
    for page in [&page, &press] {
        assert!(!page.body.contains(&token), "no page tells it");
        assert!(page.headers.values().all(|value| !value.contains(&token)));
    }
    // The path that a browser requests: without the fragment.
    let asked = reqwest::Url::parse(&format!("{PUBLIC}/link#{token}")).unwrap();
    assert_eq!((asked.path(), asked.query()), ("/verify/link", None));
    let other = service
        .start(with_browser("t"))
        .await
        .unwrap()
        .verification_id;
    let token = token_of(&service, &other).await;
    let by_query = visitor
        .take(
            visitor
                .client
                .post(visitor.url(&format!("/link?token={token}"))),
        )
        .await;
    assert_ne!(by_query.status, 200);
    assert_eq!(
        status(&service, &other).await,
        VerificationStatus::Pending,
        "a query is not read"
    );
}

#[tokio::test]
async fn mail_05_the_host_of_a_link_is_that_of_the_settings_and_the_page_stays_private() {
    let service = setup().start().await;
    let visitor = Visitor::of(&service);
    let id = service
        .start(with_browser("s"))
        .await
        .unwrap()
        .verification_id;
    // The link is found in the mail by the host of the settings.
    token_of(&service, &id).await;
    let forged = visitor
        .client
        .get(visitor.url("/link"))
        .header("host", "evil.example");
    let forged = visitor
        .take(forged.header("x-forwarded-host", "evil.example"))
        .await;
    assert!(
        !forged.body.contains("evil.example")
            && forged
                .headers
                .values()
                .all(|value| !value.contains("evil.example"))
    );
    for page in [forged, visitor.press("x", None).await] {
        assert_eq!(page.headers["referrer-policy"], "no-referrer");
        assert_eq!(page.headers["cache-control"], "no-store");
        assert!(page.headers["content-security-policy"].contains("frame-ancestors 'none'"));
    }
}

#[tokio::test]
async fn bad_input_never_approves_and_is_told_the_same() {
    let service = setup().start().await;
    let visitor = Visitor::of(&service);
    let id = service
        .start(with_browser("s"))
        .await
        .unwrap()
        .verification_id;
    let token = token_of(&service, &id).await;
    let unknown = LinkToken::parse(&token).unwrap();
    let mut other = unknown.verification;
    other.random[0] ^= 1;
    let unknown = LinkToken {
        verification: other,
        secret: unknown.secret,
    }
    .expose();
    let mut bodies = Vec::new();
    for bad in [
        "",
        "x",
        &token[1..],
        &format!("{token}2"),
        &unknown,
        "%00",
        "{{7*7}}",
    ] {
        let page = visitor.press(bad, Some(BROWSER)).await;
        assert_eq!(page.status, 410, "{bad}");
        bodies.push(page.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "an unknown link and no link look the same");
    let long = visitor.press(&"2".repeat(4096), Some(BROWSER)).await;
    assert_eq!(long.status, 410);
    assert_eq!(service.get(&id).await.unwrap().attempts_left, 5);
}

#[tokio::test]
async fn net_17_a_press_has_the_content_type_of_the_form() {
    let service = setup().start().await;
    let visitor = Visitor::of(&service);
    let id = service
        .start(with_browser("s"))
        .await
        .unwrap()
        .verification_id;
    let token = token_of(&service, &id).await;
    for (path, other) in [
        ("/link", "text/plain"),
        ("/link", "multipart/form-data; boundary=x"),
        ("/link", ""),
        ("/link/details", "application/json"),
    ] {
        let request = visitor.client.post(visitor.url(path));
        let request = request
            .header("content-type", other)
            .header("cookie", format!("countersign_browser={BROWSER}"));
        let page = visitor.take(request.body(format!("token={token}"))).await;
        assert_eq!(page.status, 415, "{path} {other}");
    }
    assert_eq!(status(&service, &id).await, VerificationStatus::Pending);
}

#[tokio::test]
async fn a_link_is_in_mails_alone_and_the_caller_cannot_claim_a_press() {
    let service = setup().start().await;
    let mut by_sms = with_browser("s");
    by_sms.recipients[0] = v1::Recipient {
        channel: v1::Channel::Sms.into(),
        address: "+31612345678".to_owned(),
        ..Default::default()
    };
    let (sms, code) = service.start_and_read(by_sms).await;
    let text = service.recorder.all()[0].content.text.clone();
    assert!(
        text.contains(&code[..3]) && !text.contains("link"),
        "{text}"
    );
    let claimed = CheckCodeRequest {
        entry_mode: v1::EntryMode::Link.into(),
        ..check_request(&sms.verification_id, &code, &unique("a"))
    };
    let refused = service
        .client
        .clone()
        .check_code(service.request(claimed))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    // There is no link without a browser, and none for an action that does not permit links.
    let plain = service.start(login("t")).await.unwrap();
    service.code_of(&plain.verification_id).await;
    let mail = service.recorder.all().pop().unwrap();
    assert!(
        !mail.content.text.contains(PUBLIC)
            && !mail.content.html.as_ref().unwrap().contains("href")
    );
    let malformed = service
        .start(v1::StartVerificationRequest {
            browser_sha256: "abc".to_owned(),
            ..login("u")
        })
        .await
        .unwrap_err();
    assert!(
        malformed.code() == tonic::Code::InvalidArgument
            && crate::harness::fields(&malformed).contains(&"browser_sha256".to_owned())
    );
}

#[tokio::test]
async fn mail_07_a_decoy_looks_like_a_start_and_sends_nothing() {
    let service = setup().start().await;
    let real = service.start(anonymous("real")).await.unwrap();
    service.code_of(&real.verification_id).await;
    let sent = service.recorder.all().len();
    let decoy = service
        .start(v1::StartVerificationRequest {
            decoy: true,
            ..anonymous("nobody")
        })
        .await
        .unwrap();
    let uniform = |v: &v1::Verification| v1::Verification {
        verification_id: String::new(),
        created_at: None,
        deliveries: vec![],
        ..v.clone()
    };
    assert_eq!(
        uniform(&real),
        uniform(&decoy),
        "the answers differ in nothing but the ids"
    );
    let settled = |v: &v1::Verification| {
        v.deliveries
            .first()
            .is_some_and(|delivery| delivery.status() == v1::DeliveryStatus::Sent)
    };
    let (real, decoy) = (
        service.until(&real.verification_id, settled).await,
        service.until(&decoy.verification_id, settled).await,
    );
    let shape = |v: &v1::Verification| v1::Delivery {
        delivery_id: String::new(),
        ..v.deliveries[0].clone()
    };
    assert_eq!(shape(&real), shape(&decoy), "so do the deliveries");
    assert_eq!(service.recorder.all().len(), sent, "nobody got a message");
    let mut verdicts = Vec::new();
    for v in [&real, &decoy] {
        let code = service.recorder.find_code(&real.verification_id).unwrap();
        verdicts.push(
            service
                .try_check(&v.verification_id, &wrong(&code), &unique("a"))
                .await
                .unwrap(),
        );
    }
    assert_eq!(
        (verdicts[0].verdict(), verdicts[0].attempts_left),
        (Verdict::Wrong, 4)
    );
    assert_eq!(
        (verdicts[0].verdict, verdicts[0].attempts_left),
        (verdicts[1].verdict, verdicts[1].attempts_left)
    );
}

#[tokio::test]
async fn seal_06_a_link_that_is_on_its_way_works_after_another_key_became_current() {
    let setup = setup().durable();
    let old = setup.start().await;
    let v = old.start(with_browser("s")).await.unwrap();
    let token = token_of(&old, &v.verification_id).await;
    old.stop().await;

    let keys = setup.dir.path().join("data/keys");
    let entry = |kid: &str| {
        format!(
            "{{ kid = {kid:?}, file = {:?} }}",
            keys.join(format!("{kid}.key")).display().to_string()
        )
    };
    let setup = setup.file(&format!(
        "[keys]\nring = [{}, {}]\n",
        entry("new"),
        entry("dev")
    ));
    let service = setup.start().await;
    let page = Visitor::of(&service).press(&token, Some(BROWSER)).await;
    assert_eq!(page.status, 200);
    assert_eq!(
        status(&service, &v.verification_id).await,
        VerificationStatus::Approved
    );
}

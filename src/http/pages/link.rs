//! The page that a link in an e-mail opens. Opening it changes nothing; pressing its button, in the browser that
//! asked, answers the verification.
//!
//! The link's secret is in the fragment of the URL, behind `#`, which browsers do not send. The page's script sends it
//! in the body of two requests: one looks up what is confirmed and changes nothing, the other is the press. So no
//! server log or referrer contains it, and a scanner that opens all links of an e-mail approves nothing.

mod origin;

use std::sync::Arc;

use axum::{
    Form, Json, Router,
    extract::{DefaultBodyLimit, State, rejection::FormRejection},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            ACCEPT, ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY,
            COOKIE, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::map_response,
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use minijinja::{Environment, context, value::Value};
use serde::{Deserialize, Serialize};

use self::origin::is_cross_site;
pub use self::origin::origin;
use super::harden::harden;
use crate::{
    domain::code::link::{BrowserMark, LinkToken},
    service::{
        Service,
        verification::link::{Page, PageSentence, Press, Summary, Visit, VisitState},
    },
};

const STYLE: &str = include_str!("link/style.css");
const SCRIPT: &str = include_str!("link/page.js");
const PAGE: &str = include_str!("link/page.html");
/// The cookies in which the caller keeps a random value in the browser that asked. No other host can set the
/// first (RFC 6265bis §4.1.3.2), so it comes first.
const BROWSER_COOKIES: [&str; 2] = ["__Host-countersign_browser", "countersign_browser"];
/// The largest form body, in bytes; a token has 66 characters.
const BODY_BYTES_MAX: usize = 1024;

/// Content security policy: allows only the page's own style and script, by their SHA-256, and requests to this
/// server. Changing either file changes its hash.
const POLICY: &str = "default-src 'none'; style-src 'sha256-6AZ3upAHfEWy5OR3dbPE1Cm+MD+8kFIdZ8eh2sTy1B4='; script-src 'sha256-5yXvvPcT53erRiyjSjUvuMUrzJQSCcuORcId48uZXmQ='; \
    connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, POLICY),
    (REFERRER_POLICY, "no-referrer"),
    (VARY, "accept, accept-language, cookie"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// The parts from which the page is built.
pub struct LinkPage {
    /// The use cases that look at a link and judge a press.
    pub service: Arc<Service>,
    /// The origin of the page's own address, such as `https://otp.bank.example`.
    pub origin: String,
    /// Whether only the cookie that no other host can set is taken.
    pub host_cookie_only: bool,
}

/// The routes `GET /link`, `POST /link` and `POST /link/details`.
pub fn router(page: LinkPage) -> Router {
    let limited = DefaultBodyLimit::max(BODY_BYTES_MAX);
    Router::new()
        .route("/link", get(show).post(press))
        .route("/link/details", post(details))
        .layer(limited)
        .layer(map_response(|response| async {
            harden(response, &HEADERS)
        }))
        .with_state(Arc::new(page))
}

/// The fields of the form. They contain the secret, so there is no `Debug`.
#[derive(Deserialize)]
struct Sent {
    token: String,
}

type FormOf = Result<Form<Sent>, FormRejection>;

/// Whether a request has another content type than that of the form, which is the only one that is read.
const fn is_no_form(form: &FormOf) -> bool {
    matches!(form, Err(FormRejection::InvalidFormContentType(_)))
}

/// What a request to the page carries.
struct Visitor {
    token: Option<LinkToken>,
    browser: Option<BrowserMark>,
    is_cross_site: bool,
}

/// The content of one page: heading, text, what is confirmed, and the button.
#[derive(Serialize)]
struct Said<'a> {
    language: &'a str,
    /// `ltr` or `rtl`, as in HTML.
    direction: &'a str,
    brand: &'a str,
    heading: &'a str,
    more: &'a str,
    summary: Option<Confirmed<'a>>,
    button: Option<&'a str>,
}

#[derive(Serialize)]
struct Confirmed<'a> {
    what: &'a str,
    title: &'a str,
    details: &'a [(String, String)],
}

/// The page before its script runs. It knows nothing of the link.
async fn show(State(page): State<Arc<LinkPage>>, headers: HeaderMap) -> Response {
    let texts = page.service.page(None, accepted(&headers));
    let values = context! {
        language => &**texts.language(),
        direction => direction(&texts),
        brand => texts.brand(),
        heading => texts.say(PageSentence::Wait),
        more => texts.say(PageSentence::WaitMore),
        button => texts.say(PageSentence::Button),
        incomplete => texts.say(PageSentence::Incomplete),
        later => format!("{}. {}", texts.say(PageSentence::Later), texts.say(PageSentence::LaterMore)),
        style => markup(STYLE),
        script => markup(SCRIPT),
    };
    in_language(rendered(StatusCode::OK, values), texts.language())
}

/// Looks up what the link confirms. Changes nothing.
async fn details(State(page): State<Arc<LinkPage>>, headers: HeaderMap, form: FormOf) -> Response {
    if is_no_form(&form) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let visitor = page.visitor(&headers, form);
    let accepted = accepted(&headers);
    let visit = match &visitor.token {
        _ if visitor.is_cross_site => return page.answer(&headers, None, Outcome::CrossSite),
        Some(token) => page.service.visit(token, visitor.browser, accepted).await,
        None => return page.answer(&headers, None, Outcome::Over),
    };
    match visit {
        Ok(visit) => page.answer(&headers, Some(&visit), Outcome::of(&visit.state)),
        Err(_counted) => page.answer(&headers, None, Outcome::Later),
    }
}

/// Judges a press of the button.
async fn press(State(page): State<Arc<LinkPage>>, headers: HeaderMap, form: FormOf) -> Response {
    if is_no_form(&form) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let visitor = page.visitor(&headers, form);
    let token = match visitor.token {
        _ if visitor.is_cross_site => return page.answer(&headers, None, Outcome::CrossSite),
        Some(token) => token,
        None => return page.answer(&headers, None, Outcome::Over),
    };
    // Only for the language and the brand of the answer.
    let visit = page
        .service
        .visit(&token, visitor.browser, accepted(&headers));
    let visit = visit.await.ok();
    let outcome = match page.service.follow(token, visitor.browser).await {
        Ok(Press::Approved) => Outcome::Approved,
        Ok(Press::OtherBrowser) => Outcome::OtherBrowser,
        Ok(Press::Unknown | Press::Over) => Outcome::Over,
        Err(_counted) => Outcome::Later,
    };
    page.answer(&headers, visit.as_ref(), outcome)
}

/// The outcome of a request, as the page tells it.
#[derive(Clone, Copy)]
enum Outcome<'a> {
    Ready(&'a Summary),
    Approved,
    OtherBrowser,
    CrossSite,
    /// Closed and unknown links get the same answer, so that guessing tokens reveals nothing.
    Over,
    Later,
}

impl<'a> Outcome<'a> {
    fn of(state: &'a VisitState) -> Self {
        match state {
            VisitState::Ready(summary) => Self::Ready(summary),
            VisitState::OtherBrowser => Self::OtherBrowser,
            VisitState::Unknown | VisitState::Over => Self::Over,
        }
    }

    const fn texts(&self) -> (StatusCode, PageSentence, PageSentence) {
        match self {
            Self::Ready(_) => (StatusCode::OK, PageSentence::Ask, PageSentence::AskMore),
            Self::Approved => (
                StatusCode::OK,
                PageSentence::Approved,
                PageSentence::ApprovedMore,
            ),
            Self::OtherBrowser => (
                StatusCode::FORBIDDEN,
                PageSentence::OtherBrowser,
                PageSentence::OtherBrowserMore,
            ),
            Self::CrossSite => (
                StatusCode::FORBIDDEN,
                PageSentence::Elsewhere,
                PageSentence::ElsewhereMore,
            ),
            Self::Over => (StatusCode::GONE, PageSentence::Over, PageSentence::OverMore),
            Self::Later => (
                StatusCode::SERVICE_UNAVAILABLE,
                PageSentence::Later,
                PageSentence::LaterMore,
            ),
        }
    }
}

impl LinkPage {
    fn visitor(&self, headers: &HeaderMap, form: FormOf) -> Visitor {
        let token = form.ok().map(|Form(sent)| LinkToken::parse(&sent.token));
        Visitor {
            token: token.and_then(Result::ok),
            browser: browser(headers, self.host_cookie_only),
            is_cross_site: is_cross_site(headers, &self.origin),
        }
    }

    /// Tells the outcome: as JSON to the page's script, as a page to a browser that sent the form itself.
    fn answer(&self, headers: &HeaderMap, visit: Option<&Visit>, outcome: Outcome<'_>) -> Response {
        let texts = self.service.page(visit, accepted(headers));
        let (status, heading, more) = outcome.texts();
        let summary = match &outcome {
            Outcome::Ready(summary) => Some(Confirmed {
                what: texts.say(PageSentence::What),
                title: &summary.title,
                details: &summary.details,
            }),
            _ => None,
        };
        let said = Said {
            language: texts.language(),
            direction: direction(&texts),
            brand: texts.brand(),
            heading: texts.say(heading),
            more: texts.say(more),
            button: summary.as_ref().map(|_| texts.say(PageSentence::Button)),
            summary,
        };
        let response = if wants_json(headers) {
            (status, Json(&said)).into_response()
        } else {
            let values = context! {
                language => said.language,
                direction => said.direction,
                brand => said.brand,
                heading => said.heading,
                more => said.more,
                style => markup(STYLE),
            };
            rendered(status, values)
        };
        in_language(response, texts.language())
    }
}

/// The mark of the browser, from the caller's cookie.
fn browser(headers: &HeaderMap, host_cookie_only: bool) -> Option<BrowserMark> {
    let cookies = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok());
    let pairs: Vec<_> = cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let names = if host_cookie_only {
        &BROWSER_COOKIES[..1]
    } else {
        &BROWSER_COOKIES[..]
    };
    names
        .iter()
        .find_map(|cookie| pairs.iter().find(|(name, _)| name == cookie))
        .map(|(_, value)| BrowserMark::of(value))
}

fn direction(texts: &Page<'_>) -> &'static str {
    if texts.is_right_to_left() {
        "rtl"
    } else {
        "ltr"
    }
}

fn accepted(headers: &HeaderMap) -> &str {
    headers
        .get(ACCEPT_LANGUAGE)
        .and_then(|accepted| accepted.to_str().ok())
        .unwrap_or_default()
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept == Some("application/json")
}

fn markup(text: &str) -> Value {
    Value::from_safe_string(text.to_owned())
}

/// Renders the page. The template's name ends in `.html`, so minijinja escapes every value.
fn rendered(status: StatusCode, values: Value) -> Response {
    match Environment::new().render_named_str("page.html", PAGE, values) {
        Ok(page) => (status, Html(page)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn in_language(mut response: Response, language: &str) -> Response {
    if let Ok(language) = HeaderValue::from_str(language) {
        response.headers_mut().insert(CONTENT_LANGUAGE, language);
    }
    response
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    #[test]
    fn the_policy_names_the_style_and_the_script_of_the_page() {
        for (tag, source) in [("style", STYLE), ("script", SCRIPT)] {
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

    #[test]
    fn mail_03_a_browser_is_known_by_its_cookie_alone_and_by_that_of_its_host_first() {
        let of = |cookies: &[&'static str], host_only| {
            let cookies = cookies
                .iter()
                .map(|cookie| (COOKIE, HeaderValue::from_static(cookie)));
            browser(&cookies.collect(), host_only)
        };
        let known = Some(BrowserMark::of("abc"));
        for cookies in [
            &["countersign_browser=abc"][..],
            &["a=b; countersign_browser=abc; c=d"],
            &["a=b", "countersign_browser=abc"],
            &["countersign_browser=tossed; __Host-countersign_browser=abc"],
            &[
                "countersign_browser=tossed",
                "__Host-countersign_browser=abc",
            ],
        ] {
            assert_eq!(of(cookies, false), known, "{cookies:?}");
            let has_own = cookies.iter().any(|cookies| cookies.contains("__Host-"));
            assert_eq!(of(cookies, true), known.filter(|_| has_own), "{cookies:?}");
        }
        for none in [
            "",
            "countersign_browser=",
            "countersign_browser",
            "xcountersign_browser=abc",
            "a=countersign_browser=abc",
            "__host-countersign_browser=abc",
        ] {
            assert_eq!(of(&[none], false), None, "{none}");
        }
    }
}

//! The page that a link in an e-mail opens. Opening it changes nothing; pressing its button, in the browser that
//! asked, answers the verification.
//!
//! The link's secret is in the fragment of the URL, behind `#`, which browsers do not send; it is sent only in the
//! form, when the button is pressed. So no server log or referrer contains it, and a scanner that opens all links of
//! an e-mail approves nothing.

mod words;

use std::sync::Arc;

use axum::{
    Form, Router,
    extract::{DefaultBodyLimit, State, rejection::FormRejection},
    http::{
        HeaderMap, HeaderName, StatusCode,
        header::{
            ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, REFERRER_POLICY, VARY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::map_response,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use minijinja::{Environment, context, value::Value};
use serde::Deserialize;

use self::words::{Words, words};
use super::harden::harden;
use crate::{
    domain::code::link::{BrowserMark, LinkToken},
    service::{Service, verification::link::Press},
};

const STYLE: &str = include_str!("link/style.css");
const SCRIPT: &str = include_str!("link/page.js");
const PAGE: &str = include_str!("link/page.html");
/// The cookie in which the caller keeps a random value in the browser that asked.
const BROWSER_COOKIE: &str = "countersign_browser";
/// The largest form body, in bytes; a token has 66 characters.
const BODY_BYTES_MAX: usize = 1024;

/// Content security policy: allows only the page's own style and script, by their SHA-256, and sending the form to
/// this server. Changing either file changes its hash.
const POLICY: &str = "default-src 'none'; style-src 'sha256-5mQb2lNMefg0C1l1jQyy45WrggXzo/YDnQY8yx37dhY='; script-src 'sha256-+Ks++NvhryNYHHTKSBdHKWUrJQ9wxTXSShJUxCnVtRI='; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, POLICY),
    (REFERRER_POLICY, "no-referrer"),
    (VARY, "accept-language"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// The parts from which the page is built.
pub struct LinkPage {
    /// The use cases that judge a button press.
    pub service: Arc<Service>,
    /// The name under which customers know the organisation.
    pub brand: String,
    /// The language for browsers that accept none of ours.
    pub default_language: String,
}

/// The routes `GET /link` and `POST /link`.
pub fn router(page: LinkPage) -> Router {
    let limited = DefaultBodyLimit::max(BODY_BYTES_MAX);
    Router::new()
        .route("/link", get(show).post(press))
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

async fn show(State(page): State<Arc<LinkPage>>, headers: HeaderMap) -> Response {
    let words = page.words(&headers);
    page.render(
        StatusCode::OK,
        words,
        &Said {
            heading: words.ask,
            more: words.ask_more,
            button: Some(words.button),
        },
    )
}

async fn press(
    State(page): State<Arc<LinkPage>>,
    headers: HeaderMap,
    form: Result<Form<Sent>, FormRejection>,
) -> Response {
    let words = page.words(&headers);
    let token = form
        .ok()
        .and_then(|Form(sent)| LinkToken::parse(&sent.token).ok());
    let press = match token {
        Some(token) => page.service.follow(token, browser(&headers)).await,
        None => Ok(Press::Unknown),
    };
    let (status, heading, more) = match press {
        Ok(Press::Approved) => (StatusCode::OK, words.approved, words.approved_more),
        Ok(Press::OtherBrowser) => (
            StatusCode::FORBIDDEN,
            words.other_browser,
            words.other_browser_more,
        ),
        // Both get the same answer, so that guessing tokens reveals nothing.
        Ok(Press::Unknown | Press::Over) => (StatusCode::GONE, words.over, words.over_more),
        Err(_counted) => (
            StatusCode::SERVICE_UNAVAILABLE,
            words.later,
            words.later_more,
        ),
    };
    page.render(
        status,
        words,
        &Said {
            heading,
            more,
            button: None,
        },
    )
}

/// The mark of the browser, from the caller's cookie.
fn browser(headers: &HeaderMap) -> Option<BrowserMark> {
    let cookies = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, value)| *name == BROWSER_COOKIE && !value.is_empty())
        .map(|(_, value)| BrowserMark::of(value))
}

/// The texts of one page.
struct Said {
    heading: &'static str,
    more: &'static str,
    button: Option<&'static str>,
}

impl LinkPage {
    fn words(&self, headers: &HeaderMap) -> &'static Words {
        let accepted = headers
            .get(ACCEPT_LANGUAGE)
            .and_then(|accepted| accepted.to_str().ok())
            .unwrap_or_default();
        words(accepted, &self.default_language)
    }

    /// Renders the page. The template's name ends in `.html`, so minijinja escapes every value.
    fn render(&self, status: StatusCode, words: &Words, said: &Said) -> Response {
        let own = |text: &str| Value::from_safe_string(text.to_owned());
        let values = context! {
            tag => words.tag,
            brand => &*self.brand,
            heading => said.heading,
            more => said.more,
            button => said.button,
            incomplete => words.incomplete,
            style => own(STYLE),
            script => own(SCRIPT),
        };
        match Environment::new().render_named_str("page.html", PAGE, values) {
            Ok(page) => (status, Html(page)).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
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
    fn a_browser_is_known_by_its_cookie_alone() {
        let of = |cookies: &[&'static str]| {
            let cookies = cookies
                .iter()
                .map(|cookie| (COOKIE, HeaderValue::from_static(cookie)));
            browser(&cookies.collect())
        };
        let known = Some(BrowserMark::of("abc"));
        assert_eq!(of(&["countersign_browser=abc"]), known);
        assert_eq!(of(&["a=b; countersign_browser=abc; c=d"]), known);
        assert_eq!(of(&["a=b", "countersign_browser=abc"]), known);
        for none in [
            "",
            "countersign_browser=",
            "countersign_browser",
            "xcountersign_browser=abc",
            "a=countersign_browser=abc",
        ] {
            assert_eq!(of(&[none]), None, "{none}");
        }
    }
}

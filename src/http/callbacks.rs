//! Callbacks of providers: receipts for messages, and key presses in voice calls.
//!
//! Each callback is authenticated by the provider's signature before it is parsed. It can change a delivery, but
//! never a verdict. A sender without a signature scheme has no address here; a request to it gets the same answer as
//! one to an unknown address.

mod calls;
mod read;
mod verify;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;

pub use self::{
    calls::Dialect,
    verify::{TOLERANCE, Verifier},
};
use self::{
    read::{Item, read},
    verify::{Call, NotGenuine},
};
use crate::{
    domain::{
        delivery::callback::{CallbackFormat, Place},
        ids::{ProviderReference, SenderName},
    },
    format::mac::SharedText,
    ports::sender::receipts::UnreadableReceipt,
    service::{Service, failure::Failure},
};

/// How the callbacks of one sender are authenticated and parsed.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// The signature scheme of the provider, with its secrets.
    pub verifier: Verifier,
    /// The place and the names of the receipt's fields in a callback.
    pub format: CallbackFormat,
    /// The token that the provider sends to verify this address (Meta); `None`: such a request is
    /// treated as a receipt.
    pub challenge: Option<SharedText>,
    /// The format of the provider's instructions for a voice call; `None` if the sender makes no calls.
    pub dialect: Option<Dialect>,
    /// The largest body, in bytes: small unless the provider sends receipts in batches.
    pub body_bytes_max: usize,
}

/// The parts from which the callback routes are built.
pub struct Callbacks {
    /// The use cases that record receipts.
    pub service: Arc<Service>,
    /// The base of every URL that providers are given.
    pub public_url: String,
    /// The receivers, by the name of the sender.
    pub receivers: BTreeMap<SenderName, Receiver>,
}

/// The routes `/callbacks/{sender}/{token}`, `/callbacks/{sender}` and `/calls/{sender}/{token}`.
pub fn router(callbacks: Callbacks) -> Router {
    let largest = callbacks.receivers.values();
    let largest = largest.map(|receiver| receiver.body_bytes_max).max();
    Router::new()
        .route(
            "/callbacks/{sender}",
            get(without_token).post(without_token),
        )
        .route(
            "/callbacks/{sender}/{token}",
            get(with_token).post(with_token),
        )
        .route("/calls/{sender}/{token}", post(calls::pressed))
        .layer(DefaultBodyLimit::max(largest.unwrap_or_default()))
        .with_state(Arc::new(callbacks))
}

/// A request with nothing parsed yet, because signatures cover the raw bytes.
struct Incoming {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl<S: Send + Sync> axum::extract::FromRequest<S> for Incoming {
    type Rejection = Response;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Response> {
        let (method, uri, headers) = (
            request.method().clone(),
            request.uri().clone(),
            request.headers().clone(),
        );
        let body = Bytes::from_request(request, state)
            .await
            .map_err(IntoResponse::into_response)?;
        Ok(Self {
            method,
            uri,
            headers,
            body,
        })
    }
}

async fn with_token(
    State(callbacks): State<Arc<Callbacks>>,
    Path((sender, token)): Path<(String, String)>,
    incoming: Incoming,
) -> StatusCode {
    match SenderName::parse(&sender) {
        Ok(sender) => callbacks.receipts(&sender, Some(&token), &incoming).await,
        Err(_) => Outcome::Absent.status(),
    }
}

async fn without_token(
    State(callbacks): State<Arc<Callbacks>>,
    Path(sender): Path<String>,
    incoming: Incoming,
) -> Response {
    let Ok(sender) = SenderName::parse(&sender) else {
        return Outcome::Absent.status().into_response();
    };
    let expected = callbacks
        .receivers
        .get(&sender)
        .and_then(|receiver| receiver.challenge.as_ref());
    match (expected, Query::try_from_uri(&incoming.uri)) {
        (Some(expected), Ok(Query(challenge))) if incoming.method == Method::GET => {
            Challenge::answer(challenge, expected)
        }
        _ => callbacks
            .receipts(&sender, None, &incoming)
            .await
            .into_response(),
    }
}

/// The query by which Meta verifies an address.
#[derive(Deserialize)]
struct Challenge {
    #[serde(rename = "hub.mode")]
    mode: String,
    #[serde(rename = "hub.verify_token")]
    token: String,
    #[serde(rename = "hub.challenge")]
    number: String,
}

impl Challenge {
    /// Returns the challenge if the token is right. Only digits are ever returned, so that nothing
    /// else can be reflected.
    fn answer(self, expected: &SharedText) -> Response {
        let is_number =
            !self.number.is_empty() && self.number.bytes().all(|byte| byte.is_ascii_digit());
        if self.mode == "subscribe" && is_number && expected.is(&self.token) {
            self.number.into_response()
        } else {
            StatusCode::FORBIDDEN.into_response()
        }
    }
}

/// The outcome of a callback: a label of the metric, and a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Accepted, whether or not it changed anything.
    Taken,
    /// There is no such address.
    Absent,
    /// Not from the provider, or too old or too early.
    Refused(NotGenuine),
    /// A callback with this id was accepted before; the provider did not get our answer.
    Repeated,
    /// Larger than the provider's callbacks are.
    TooLarge,
    /// Not in the format that the rules expect.
    Unreadable,
    /// The store did not answer, so the provider should retry.
    Unavailable,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Absent => "absent",
            Self::Refused(why) => why.as_str(),
            Self::Repeated => "repeated",
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
            Self::Unavailable => "unavailable",
        }
    }

    /// The HTTP status. It is the same for all refusals, so that it does not reveal why.
    const fn status(self) -> StatusCode {
        match self {
            Self::Taken | Self::Repeated => StatusCode::NO_CONTENT,
            Self::Absent => StatusCode::NOT_FOUND,
            Self::Refused(_) => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        tracing::warn!(%failure, "callback not recorded; provider asked to retry");
        Self::Unavailable
    }
}

impl Callbacks {
    async fn receipts(
        &self,
        sender: &SenderName,
        token: Option<&str>,
        incoming: &Incoming,
    ) -> StatusCode {
        let Some(receiver) = self.receivers.get(sender) else {
            return Outcome::Absent.status();
        };
        let outcome = self
            .take(sender, receiver, token, incoming)
            .await
            .map_or_else(|outcome| outcome, |()| Outcome::Taken);
        count(sender, outcome.word());
        outcome.status()
    }

    /// Records the receipts of a callback, and only then its id, so that a callback that could not be recorded may be
    /// repeated with the same id. Recording a receipt twice changes nothing.
    async fn take(
        &self,
        sender: &SenderName,
        receiver: &Receiver,
        token: Option<&str>,
        incoming: &Incoming,
    ) -> Result<(), Outcome> {
        if token.is_some_and(|token| !self.service.knows_token(sender, token)) {
            return Err(Outcome::Absent);
        }
        let is_get = incoming.method == Method::GET;
        if is_get != (receiver.format.place == Place::Query) {
            return Err(Outcome::Unreadable);
        }
        let id = self.verify(receiver, incoming)?;
        let query = incoming.uri.query().unwrap_or_default();
        let items = read(&receiver.format, query, &incoming.body).map_err(|_| {
            let why = UnreadableReceipt::Malformed;
            self.service.unreadable_receipt(sender, why);
            Outcome::Unreadable
        })?;
        for item in items {
            self.note(sender, token, item).await?;
        }
        self.take_once(sender, id).await
    }

    /// Authenticates a callback; returns its id, if the scheme has ids.
    fn verify(&self, receiver: &Receiver, incoming: &Incoming) -> Result<Option<String>, Outcome> {
        if incoming.body.len() > receiver.body_bytes_max {
            return Err(Outcome::TooLarge);
        }
        let path = incoming
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let call = Call {
            urls: urls(&self.public_url, path),
            headers: &incoming.headers,
            body: &incoming.body,
        };
        receiver
            .verifier
            .verify(&call, self.service.clock().now())
            .map_err(Outcome::Refused)
    }

    async fn note(
        &self,
        sender: &SenderName,
        token: Option<&str>,
        item: Item,
    ) -> Result<(), Outcome> {
        let Some(receipt) = item.receipt else {
            if item.is_unknown {
                let why = UnreadableReceipt::UnknownState;
                self.service.unreadable_receipt(sender, why);
            }
            return Ok(());
        };
        match (
            token,
            item.reference
                .and_then(|reference| ProviderReference::parse(&reference).ok()),
        ) {
            (Some(token), _) => drop(self.service.receipt(sender, token, receipt).await?),
            (None, Some(reference)) => drop(
                self.service
                    .receipt_by_reference(sender, &[reference], receipt)
                    .await?,
            ),
            (None, None) => {
                let why = UnreadableReceipt::NoReference;
                self.service.unreadable_receipt(sender, why);
            }
        }
        Ok(())
    }

    async fn take_once(&self, sender: &SenderName, id: Option<String>) -> Result<(), Outcome> {
        match id {
            Some(id) if !self.service.take_once(sender, &id, 2 * TOLERANCE).await? => {
                Err(Outcome::Repeated)
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// The URL that the provider was given. If it has a port, also the URL without it, because some
/// providers sign that one.
fn urls(public_url: &str, path: &str) -> Vec<String> {
    let mut urls = vec![format!("{public_url}{path}")];
    let (scheme, rest) = public_url.split_once("://").unwrap_or(("", public_url));
    let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let port = authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    urls.extend(port.map(|(host, _)| format!("{scheme}://{host}{prefix}{path}")));
    urls
}

fn count(sender: &SenderName, outcome: &'static str) {
    metrics::counter!("countersign_callbacks_total", "sender" => sender.as_str().to_owned(), "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests;

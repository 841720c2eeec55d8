//! Callbacks of providers: receipts for messages, and key presses in voice calls.
//!
//! Each callback is authenticated by the provider's signature before it is parsed. It can change a delivery, but
//! never a verdict. A sender without a signature scheme has no address here; a request to it gets the same answer as
//! one to an unknown address.
//!
//! A signature covers the body, so anybody could make us read one. What can be judged without it is judged first: the
//! sender, the token of the address, the method, the signature's header and the content type.

mod calls;
mod read;
mod verify;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::{Bytes, HttpBody as _, to_bytes},
    extract::{Path, Query, Request, State},
    http::{
        HeaderMap, Method, StatusCode, Uri,
        header::{ALLOW, CONTENT_TYPE},
        request::Parts,
    },
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
    verify::{Call, Head, NotGenuine},
};
use crate::{
    domain::{
        delivery::callback::{CallbackFormat, Place},
        ids::{ProviderReference, SenderName},
    },
    format::mac::SharedText,
    listener::inbound::Inbound,
    service::{Service, failure::Failure},
};

/// The largest body of one receipt, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// The largest body with a batch of receipts, in bytes: Meta sends batches of up to 3 MB.
const BATCH_BYTES_MAX: usize = 3 * 1024 * 1024;

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
}

impl Receiver {
    /// The largest body that is read, in bytes.
    const fn body_bytes_max(&self) -> usize {
        if self.format.items.is_some() {
            BATCH_BYTES_MAX
        } else {
            BODY_BYTES_MAX
        }
    }

    /// The method by which the provider reports receipts.
    fn method(&self) -> Method {
        match self.format.place {
            Place::Query => Method::GET,
            Place::Json | Place::Form => Method::POST,
        }
    }
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
        .with_state(Arc::new(callbacks))
}

/// A request with nothing parsed yet, because signatures cover the raw bytes.
struct Incoming {
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Incoming {
    /// Reads the body of a request whose head was judged, up to so many bytes.
    async fn read(request: Request, bytes_max: usize) -> Result<Self, Outcome> {
        let (parts, body) = request.into_parts();
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(Outcome::BodyRefused);
        }
        let body = to_bytes(body, bytes_max)
            .await
            .map_err(|_| Outcome::BodyRefused)?;
        let Parts { uri, headers, .. } = parts;
        Ok(Self { uri, headers, body })
    }
}

async fn with_token(
    State(callbacks): State<Arc<Callbacks>>,
    Path((sender, token)): Path<(String, String)>,
    request: Request,
) -> Response {
    match SenderName::parse(&sender) {
        Ok(sender) => callbacks.receipts(&sender, Some(&token), request).await,
        Err(_) => Outcome::Absent.status().into_response(),
    }
}

async fn without_token(
    State(callbacks): State<Arc<Callbacks>>,
    Path(sender): Path<String>,
    request: Request,
) -> Response {
    let Ok(sender) = SenderName::parse(&sender) else {
        return Outcome::Absent.status().into_response();
    };
    let expected = callbacks
        .receivers
        .get(&sender)
        .and_then(|receiver| receiver.challenge.as_ref());
    match (expected, Query::try_from_uri(request.uri())) {
        (Some(expected), Ok(Query(challenge))) if request.method() == Method::GET => {
            Challenge::answer(challenge, expected)
        }
        _ => callbacks.receipts(&sender, None, request).await,
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
    /// A callback with this id was accepted before.
    Repeated,
    /// The provider reports receipts by another method.
    WrongMethod,
    /// The body has a content type in which the provider sends no receipts.
    WrongType,
    /// The body was too large, or did not arrive.
    BodyRefused,
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
            Self::WrongMethod | Self::WrongType | Self::BodyRefused | Self::Unreadable => {
                "unreadable"
            }
            Self::Unavailable => "unavailable",
        }
    }

    /// The HTTP status. It is the same for all refusals, so that it does not reveal why.
    const fn status(self) -> StatusCode {
        match self {
            Self::Taken => StatusCode::NO_CONTENT,
            Self::Absent => StatusCode::NOT_FOUND,
            Self::Refused(_) => StatusCode::UNAUTHORIZED,
            Self::Repeated => StatusCode::CONFLICT,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::WrongType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyRefused => StatusCode::PAYLOAD_TOO_LARGE,
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
        request: Request,
    ) -> Response {
        let Some(receiver) = self.receivers.get(sender) else {
            return Outcome::Absent.status().into_response();
        };
        let outcome = self
            .take(sender, receiver, token, request)
            .await
            .map_or_else(|outcome| outcome, |()| Outcome::Taken);
        count(sender, outcome.word());
        let status = outcome.status();
        if outcome == Outcome::WrongMethod {
            return (status, [(ALLOW, receiver.method().to_string())]).into_response();
        }
        status.into_response()
    }

    /// Records the receipts of a callback, and only then its id, so that a callback that could not be recorded may be
    /// repeated with the same id. Recording a receipt twice changes nothing.
    async fn take(
        &self,
        sender: &SenderName,
        receiver: &Receiver,
        token: Option<&str>,
        request: Request,
    ) -> Result<(), Outcome> {
        self.judge_sender(sender, token, &request)?;
        if *request.method() != receiver.method() {
            return Err(Outcome::WrongMethod);
        }
        self.judge_head(receiver, &request)?;
        if !has_type_of(receiver.format.place, request.headers()) {
            return Err(Outcome::WrongType);
        }
        let incoming = Incoming::read(request, receiver.body_bytes_max()).await?;
        let id = self.verify(receiver, &incoming)?;
        let query = incoming.uri.query().unwrap_or_default();
        let items =
            read(&receiver.format, query, &incoming.body).map_err(|_| Outcome::Unreadable)?;
        for item in items {
            self.note(sender, token, item).await?;
        }
        self.take_once(sender, id).await
    }

    /// Judges the token of the address. Only the provider knows one that we made, so a body sent to it is no
    /// stranger's.
    fn judge_sender(
        &self,
        sender: &SenderName,
        token: Option<&str>,
        request: &Request,
    ) -> Result<(), Outcome> {
        let Some(token) = token else {
            return Ok(());
        };
        if !self.service.knows_token(sender, token) {
            return Err(Outcome::Absent);
        }
        prove_body(request);
        Ok(())
    }

    /// Judges what a signature says without the body.
    fn judge_head(&self, receiver: &Receiver, request: &Request) -> Result<(), Outcome> {
        match receiver.verifier.judge_head(request.headers()) {
            Ok(Head::Genuine) => prove_body(request),
            Ok(Head::Signed) => {}
            Err(why) => return Err(Outcome::Refused(why)),
        }
        Ok(())
    }

    /// Authenticates a callback; returns its id, if the scheme has ids.
    fn verify(&self, receiver: &Receiver, incoming: &Incoming) -> Result<Option<String>, Outcome> {
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
                    .receipt_by_reference(sender, &reference, receipt)
                    .await?,
            ),
            (None, None) => {}
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

/// The body of this request counts as that of a proved sender.
fn prove_body(request: &Request) {
    if let Some(inbound) = request.extensions().get::<Inbound>() {
        inbound.prove_body();
    }
}

/// Whether the content type may be that of receipts in this place. One that is absent is no reason to refuse: some
/// providers send none. JSON is also sent as text.
fn has_type_of(place: Place, headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let essence = text.split(';').next().unwrap_or_default().trim();
    match place {
        Place::Query => true,
        Place::Form => essence == "application/x-www-form-urlencoded",
        Place::Json => {
            matches!(essence, "application/json" | "text/json" | "text/plain")
                || (essence.starts_with("application/") && essence.ends_with("+json"))
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

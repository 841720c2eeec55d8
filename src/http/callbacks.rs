//! Callbacks of providers: receipts for messages, and key presses in voice calls.
//!
//! Each callback is authenticated by the provider's signature before it is parsed. It can change a delivery, but
//! never a verdict. A sender without a signature scheme has no address here; a request to it gets the same answer as
//! one to an unknown address.
//!
//! A signature covers the body, so anybody could make us read one. What can be judged without it is judged first: the
//! sender, the token of the address, the method, the signature's header and the content type.

mod calls;
mod head;
mod outcome;
mod read;
mod verify;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    extract::{Path, Query, Request, State},
    http::{Method, StatusCode, header::ALLOW},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;

pub use self::{
    calls::Dialect,
    verify::{TOLERANCE, Verifier},
};
use self::{
    head::{Incoming, has_type_of, judge_head},
    outcome::Outcome,
    read::{Item, StatusWord, read},
    verify::Call,
};
use crate::{
    domain::{
        delivery::{callback::CallbackFormat, receipt::Receipt},
        ids::{ProviderReference, SenderName},
    },
    format::mac::SharedText,
    ports::sender::receipts::{About, Arrival, ProviderReceipt, Receipts, UnreadableReceipt},
    service::{Service, delivery::receipt::Noted},
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
    /// The queue for receipts that are looked at again, because they may have overtaken the provider's answer.
    pub receipts: Receipts,
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
        judge_head(receiver, &request)?;
        if !has_type_of(receiver.format.place, request.headers()) {
            return Err(Outcome::WrongType);
        }
        let incoming = Incoming::read(request, receiver.body_bytes_max).await?;
        let id = self.verify(receiver, &incoming)?;
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
            let is_lost = match item.word {
                StatusWord::Known => false,
                StatusWord::Unknown => true,
                // Without a status it may be about something else, but not at the address of a message.
                StatusWord::Absent => token.is_some(),
            };
            if is_lost {
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
            (None, Some(reference)) => {
                let references = vec![reference];
                let noting =
                    self.service
                        .receipt_by_reference(sender, &references, receipt.clone());
                if noting.await? == Noted::Unknown {
                    self.look_again(sender, references, receipt);
                }
            }
            (None, None) => {
                let why = UnreadableReceipt::NoReference;
                self.service.unreadable_receipt(sender, why);
            }
        }
        Ok(())
    }

    /// Gives a receipt with an unknown id to the worker, which looks for its message again: providers may report before
    /// they answer. One half of the queue is left to receipts that come over the senders' own connections.
    fn look_again(
        &self,
        sender: &SenderName,
        references: Vec<ProviderReference>,
        receipt: Receipt,
    ) {
        if self.receipts.capacity() * 2 > self.receipts.max_capacity() {
            let arrival = Arrival::Receipt(ProviderReceipt {
                sender: sender.clone(),
                about: About::References(references),
                receipt,
            });
            // Without room it stays unknown, as it was counted.
            let _ = self.receipts.try_send(arrival);
        }
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

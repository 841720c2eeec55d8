//! Judges a callback by its head, and reads its body only then.

use axum::{
    body::{Bytes, HttpBody as _, to_bytes},
    extract::Request,
    http::{HeaderMap, Method, Uri, header::CONTENT_TYPE, request::Parts},
};

use super::{Callbacks, Receiver, outcome::Outcome, verify::Head};
use crate::{
    domain::{delivery::callback::Place, ids::SenderName},
    listener::inbound::Inbound,
};

/// The largest body of an answer in a voice call, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

impl Receiver {
    /// The method by which the provider reports receipts.
    pub(super) fn method(&self) -> Method {
        match self.format.place {
            Place::Query => Method::GET,
            Place::Json | Place::Form => Method::POST,
        }
    }
}

/// A request with nothing parsed yet, because signatures cover the raw bytes.
pub(super) struct Incoming {
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Incoming {
    /// Reads the body of a request whose head was judged, up to so many bytes.
    pub(super) async fn read(request: Request, bytes_max: usize) -> Result<Self, Outcome> {
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

impl Callbacks {
    /// Judges the token of the address. Only the provider knows one that we made, so a body sent to it is no
    /// stranger's.
    pub(super) fn judge_sender(
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
}

/// Judges what a signature says without the body.
pub(super) fn judge_head(receiver: &Receiver, request: &Request) -> Result<(), Outcome> {
    match receiver.verifier.judge_head(request.headers()) {
        Ok(Head::Genuine) => prove_body(request),
        Ok(Head::Signed) => {}
        Err(why) => return Err(Outcome::Refused(why)),
    }
    Ok(())
}

/// The body of this request counts as that of a proved sender.
fn prove_body(request: &Request) {
    if let Some(inbound) = request.extensions().get::<Inbound>() {
        inbound.prove_body();
    }
}

/// Whether the content type may be that of receipts in this place. One that is absent is no reason to refuse: some
/// providers send none. JSON is also sent as text.
pub(super) fn has_type_of(place: Place, headers: &HeaderMap) -> bool {
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

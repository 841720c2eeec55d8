//! What all push services get: the alert for a locked screen, and apart from it what the opened app shows.

pub mod apns;
pub mod fcm;
pub mod webpush;

use std::time::Duration;

use serde_json::{Map, Value};

use super::transport::http::unfit;
use crate::{
    domain::{
        recipient::{Recipient, app::PushKind},
        time::Timestamp,
    },
    ports::sender::{Message, SendError},
};

/// What the service calls the installation.
///
/// # Errors
/// Another service reaches it: the next sender of the route may be that one.
pub(super) fn installation(message: &Message, kind: PushKind) -> Result<&str, SendError> {
    match message.recipient.installation() {
        Some((found, name)) if found == kind => Ok(name),
        Some(_) | None => Err(unfit("wrong_address_kind")),
    }
}

/// Whether an address is one of this service.
pub(super) fn is_installed_by(recipient: &Recipient, kind: PushKind) -> bool {
    recipient
        .installation()
        .is_some_and(|(found, _)| found == kind)
}

/// How long a service should keep the message for a device that is off: as long as the code lives.
pub(super) fn time_left(message: &Message, now: Timestamp) -> Duration {
    message.expires_at.since(now)
}

/// When the code ends, in seconds since 1970.
pub(super) fn expires_at(message: &Message) -> u64 {
    message.expires_at.as_micros() / 1_000_000
}

/// For the app alone: the code, and the whole text with what is approved. All values are texts, as FCM wants them.
pub(super) fn data(message: &Message) -> Map<String, Value> {
    let fields = [
        ("code", message.code.expose().to_owned()),
        ("text", message.content.opened.clone().unwrap_or_default()),
        ("verification_id", message.verification.to_string()),
        ("delivery_id", message.delivery.to_string()),
        ("language", message.content.language.to_owned()),
        ("expires_at", expires_at(message).to_string()),
    ];
    fields
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .into_iter()
        .collect()
}

//! What all push messages contain: an alert for the locked screen and, separately, the data for the
//! opened app.

pub mod apns;
pub mod fcm;
pub mod webpush;

use std::time::Duration;

use serde_json::{Map, Value};

use super::transport::http::unfit;
use crate::{
    domain::{
        delivery::reason::Reason,
        recipient::{Recipient, app::PushKind},
        time::Timestamp,
    },
    ports::sender::{Message, SendError},
};

/// The push service's address of the installation.
///
/// # Errors
/// The address belongs to another push service; the next sender of the route may carry it.
pub(super) fn installation(message: &Message, kind: PushKind) -> Result<&str, SendError> {
    match message.recipient.installation() {
        Some((found, name)) if found == kind => Ok(name),
        Some(_) | None => Err(unfit(Reason::WrongAddressKind)),
    }
}

/// Whether an address belongs to this push service.
pub(super) fn is_installed_by(recipient: &Recipient, kind: PushKind) -> bool {
    recipient
        .installation()
        .is_some_and(|(found, _)| found == kind)
}

/// How long a push service should keep the message for a device that is off: as long as the code is valid.
pub(super) fn time_left(message: &Message, now: Timestamp) -> Duration {
    message.expires_at.since(now)
}

/// When the code expires, in seconds since 1970.
pub(super) fn expires_at(message: &Message) -> u64 {
    message.expires_at.as_micros() / 1_000_000
}

/// The data for the opened app only: the code, and the whole text with the details that are
/// approved. All values are strings, as FCM requires.
pub(super) fn data(message: &Message) -> Map<String, Value> {
    let fields = [
        ("code", message.code.expose().to_owned()),
        ("text", message.content.opened.clone().unwrap_or_default()),
        ("verification_id", message.verification.to_string()),
        ("delivery_id", message.delivery.to_string()),
        ("language", message.content.language.to_string()),
        ("expires_at", expires_at(message).to_string()),
    ];
    fields
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .into_iter()
        .collect()
}

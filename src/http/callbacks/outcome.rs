//! What became of a callback: a word for the metric, and a status for the provider.

use axum::http::StatusCode;

use super::verify::NotGenuine;
use crate::service::failure::Failure;

/// The outcome of a callback: a label of the metric, and a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Accepted, whether or not it changed anything.
    Taken,
    /// There is no such address.
    Absent,
    /// Not from the provider, or too old or too early.
    Refused(NotGenuine),
    /// A callback with this id was accepted before; the provider did not get our answer.
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
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Absent => "absent",
            Self::Refused(why) => why.as_str(),
            Self::Repeated => "repeated",
            Self::BodyRefused => "too_large",
            Self::WrongMethod | Self::WrongType | Self::Unreadable => "unreadable",
            Self::Unavailable => "unavailable",
        }
    }

    /// The HTTP status. It is the same for all refusals, so that it does not reveal why.
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Taken | Self::Repeated => StatusCode::NO_CONTENT,
            Self::Absent => StatusCode::NOT_FOUND,
            Self::Refused(_) => StatusCode::UNAUTHORIZED,
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

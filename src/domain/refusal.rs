//! Why a command was not carried out.

use std::time::Duration;

/// Why a command was not carried out. Nothing was changed but what the reason says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such verification for this tenant.
    #[error("there is no such verification")]
    NotFound,
    /// It ended before.
    #[error("the verification is closed")]
    Closed,
    /// No recipient is on a permitted channel.
    #[error("no recipient is on a channel that may be used for this action")]
    ChannelNotPermitted,
    /// Too many failures in a row.
    #[error("codes are disabled for this subject until it is unlocked")]
    MethodDisabled,
    /// Another generation of the store made it.
    #[error("the verification was lost with a change of the store: start again")]
    StartAgain,
    /// The request id was used with another body.
    #[error("the request_id was used with another body")]
    RequestIdReused,
    /// The attempt id was used with another guess.
    #[error("the attempt_id was used with another guess")]
    AttemptIdReused,
    /// Guesses come too fast.
    #[error("the next guess may come later")]
    AttemptTooEarly {
        /// How much later.
        retry_after: Duration,
    },
    /// The guess has not the form of this verification's codes.
    #[error("the guess does not have the form of the code")]
    CodeMalformed,
    /// The answer may not be given there.
    #[error("the action does not permit this entry mode")]
    EntryModeNotPermitted,
    /// The cool-down is not over.
    #[error("the code may be sent again later")]
    ResendTooEarly {
        /// How much later.
        retry_after: Duration,
    },
    /// No send is left.
    #[error("the verification has no send left")]
    SendsExhausted {
        /// When its life is over, and a new one may start.
        retry_after: Duration,
    },
    /// As many live verifications as allowed.
    #[error("the subject has as many live verifications as are allowed")]
    TooManyLive {
        /// When the first of them ends.
        retry_after: Duration,
    },
    /// As many remembered verifications as allowed.
    #[error("the subject has as many recent verifications as are remembered")]
    TooManyRecent {
        /// When the first of them may be forgotten.
        retry_after: Duration,
    },
}

impl Refusal {
    /// The reason as in the API's `ErrorReason`, for events.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "VERIFICATION_NOT_FOUND",
            Self::Closed => "VERIFICATION_CLOSED",
            Self::ChannelNotPermitted => "CHANNEL_NOT_PERMITTED",
            Self::MethodDisabled => "METHOD_DISABLED",
            Self::StartAgain => "START_AGAIN",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::AttemptIdReused => "ATTEMPT_ID_REUSED",
            Self::AttemptTooEarly { .. } => "ATTEMPT_TOO_EARLY",
            Self::CodeMalformed => "CODE_MALFORMED",
            Self::EntryModeNotPermitted => "INVALID_FIELDS",
            Self::ResendTooEarly { .. } => "RESEND_TOO_EARLY",
            Self::SendsExhausted { .. } => "SENDS_EXHAUSTED",
            Self::TooManyLive { .. } => "TOO_MANY_LIVE",
            Self::TooManyRecent { .. } => "TOO_MANY_RECENT",
        }
    }
}

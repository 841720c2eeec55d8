//! Why a command was not carried out, in words for the caller: the limit that was hit, its number,
//! and what to do.

use std::{fmt, time::Duration};

use super::{
    recipient::Channel,
    verification::rules::{
        EntryMode, FAILURES_CAP, Origin, REMEMBERED_ANONYMOUS_MAX, REMEMBERED_MAX,
    },
};

/// Why a command was not carried out. A refused command changes nothing, except what a change of
/// the store's generation does by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The verification does not exist, is another tenant's, or was forgotten.
    #[error("there is no such verification; start a new one")]
    NotFound,
    /// The verification ended before the command.
    #[error("the verification has ended; start a new one")]
    Closed,
    /// No recipient is on a permitted channel.
    #[error("no recipient is on a permitted channel; the channels are {}", channels(.permitted))]
    ChannelNotPermitted {
        /// The channels that would do, best first.
        permitted: Vec<Channel>,
    },
    /// The subject has too many failures in a row.
    #[error(
        "codes are disabled for this subject: it reached {limit} failures in a row (subject.failure_limit); identify the customer in another way"
    )]
    MethodDisabled {
        /// The failure limit of the settings.
        limit: u32,
    },
    /// There is no record of the subject.
    #[error(
        "nothing is known of this subject: it never started a verification, or its record was forgotten; check the spelling and the tenant"
    )]
    SubjectNotFound,
    /// The subject has as many failures since its last success as no unlock lifts.
    #[error(
        "the subject has {FAILURES_CAP} failures since its last approval, which no unlock lifts; enrol the customer anew, under a new subject"
    )]
    FailureCapReached,
    /// Another generation of the store made the verification.
    #[error(
        "the store failed over or was restored after the verification started, so its code is not accepted; start a new one"
    )]
    StartAgain,
    /// The request id was used with another body.
    #[error(
        "request_id was used before with a different request; use a new one for each new request"
    )]
    RequestIdReused,
    /// The attempt id was used with another guess.
    #[error("attempt_id was used before with a different guess; use a new one for each new guess")]
    AttemptIdReused,
    /// Guesses come too fast.
    #[error("guesses come too fast; the next may come in {}", Wait(*.retry_after))]
    AttemptTooEarly {
        /// The time until the next guess may come.
        retry_after: Duration,
    },
    /// The guess does not have the form of this verification's codes.
    #[error("code does not have the form of this verification's code; ask for it again")]
    CodeMalformed,
    /// The action does not permit answers in this entry mode.
    #[error("entry_mode must be one that the action permits: {}", entry_modes(.permitted))]
    EntryModeNotPermitted {
        /// The entry modes of the action.
        permitted: Vec<EntryMode>,
    },
    /// The pause between two messages is not over.
    #[error("the pause between two messages is {}; resend in {}", Wait(*.cooldown), Wait(*.retry_after))]
    ResendTooEarly {
        /// The whole pause between two messages.
        cooldown: Duration,
        /// What is left of it.
        retry_after: Duration,
    },
    /// The verification has used all its messages.
    #[error(
        "the verification has used its {sends} messages; its code is accepted for {} more, or start a new one",
        Wait(*.retry_after)
    )]
    SendsExhausted {
        /// The messages of a verification of this action.
        sends: u8,
        /// The time until the verification expires and a new one may start.
        retry_after: Duration,
    },
    /// The subject has as many live verifications as allowed.
    #[error(
        "subject has {limit} live {} verification{}{} (limit {limit}); cancel or resend it, or wait {}",
        origin_word(*.origin), if *.limit == 1 { "" } else { "s" },
        if *.of_network { " from this network" } else { "" }, Wait(*.retry_after)
    )]
    TooManyLive {
        /// The origin that the limit is counted for.
        origin: Origin,
        /// Whether only those of the same network count.
        of_network: bool,
        /// The most live verifications that are counted together, all in use.
        limit: usize,
        /// The time until the first of them ends.
        retry_after: Duration,
    },
    /// The subject's record cannot hold another verification yet.
    #[error(
        "subject has had too many verifications lately (limit {REMEMBERED_MAX}, of which {REMEMBERED_ANONYMOUS_MAX} anonymous); start again in {}",
        Wait(*.retry_after)
    )]
    TooManyRecent {
        /// The time until the first of them may be forgotten.
        retry_after: Duration,
    },
}

impl Refusal {
    /// The reason as in the API's `ErrorReason`, for events.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "VERIFICATION_NOT_FOUND",
            Self::Closed => "VERIFICATION_CLOSED",
            Self::ChannelNotPermitted { .. } => "CHANNEL_NOT_PERMITTED",
            Self::MethodDisabled { .. } => "METHOD_DISABLED",
            Self::SubjectNotFound => "SUBJECT_NOT_FOUND",
            Self::FailureCapReached => "FAILURE_CAP_REACHED",
            Self::StartAgain => "START_AGAIN",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::AttemptIdReused => "ATTEMPT_ID_REUSED",
            Self::AttemptTooEarly { .. } => "ATTEMPT_TOO_EARLY",
            Self::CodeMalformed => "CODE_MALFORMED",
            Self::EntryModeNotPermitted { .. } => "INVALID_FIELDS",
            Self::ResendTooEarly { .. } => "RESEND_TOO_EARLY",
            Self::SendsExhausted { .. } => "SENDS_EXHAUSTED",
            Self::TooManyLive { .. } => "TOO_MANY_LIVE",
            Self::TooManyRecent { .. } => "TOO_MANY_RECENT",
        }
    }
}

/// A time as text, rounded up, so that a caller who waits this long is not too early again.
pub struct Wait(pub Duration);

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_micros().div_ceil(1000);
        if millis < 1000 {
            write!(f, "{millis} ms")
        } else {
            write!(f, "{} s", millis.div_ceil(1000))
        }
    }
}

/// Channels as the API spells them.
fn channels(channels: &[Channel]) -> String {
    let names: Vec<&str> = channels.iter().map(|channel| channel.api_name()).collect();
    names.join(", ")
}

/// Entry modes as the API spells them.
fn entry_modes(modes: &[EntryMode]) -> String {
    let names: Vec<&str> = modes.iter().map(|mode| mode.api_name()).collect();
    names.join(", ")
}

fn origin_word(origin: Origin) -> &'static str {
    match origin {
        Origin::Anonymous => "anonymous",
        Origin::Vouched => "vouched",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_the_number_that_was_hit_and_the_cure() {
        let second = Duration::from_secs(1);
        let live = |origin, limit| Refusal::TooManyLive {
            origin,
            of_network: limit == 1,
            limit,
            retry_after: 90 * second,
        };
        for (refusal, text) in [
            (
                live(Origin::Anonymous, 1),
                "subject has 1 live anonymous verification from this network (limit 1); cancel or resend it, or wait 90 s",
            ),
            (
                live(Origin::Vouched, 3),
                "subject has 3 live vouched verifications (limit 3); cancel or resend it, or wait 90 s",
            ),
            (
                Refusal::ResendTooEarly {
                    cooldown: 30 * second,
                    retry_after: Duration::from_millis(11_001),
                },
                "the pause between two messages is 30 s; resend in 12 s",
            ),
            (
                Refusal::AttemptTooEarly {
                    retry_after: Duration::from_micros(400_001),
                },
                "guesses come too fast; the next may come in 401 ms",
            ),
            (
                Refusal::EntryModeNotPermitted {
                    permitted: vec![EntryMode::Portal, EntryMode::IvrKeypad],
                },
                "entry_mode must be one that the action permits: ENTRY_MODE_PORTAL, ENTRY_MODE_IVR_KEYPAD",
            ),
            (
                Refusal::ChannelNotPermitted {
                    permitted: vec![Channel::Push, Channel::Sms],
                },
                "no recipient is on a permitted channel; the channels are CHANNEL_PUSH, CHANNEL_SMS",
            ),
        ] {
            assert_eq!(refusal.to_string(), text);
        }
    }
}

//! Converts failures to gRPC statuses; no other file creates a status.

use std::{collections::HashMap, error::Error, fmt, sync::Arc, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    domain::{
        ids::VerificationId, limit::quota::Dimension, recipient::rules::Unfit, refusal::Refusal,
    },
    pb::v1::ErrorReason,
    ports::store::StoreError,
    service::failure::{Failure, FieldViolation},
};

const DOMAIN: &str = "countersign";
const REASON_PREFIX: &str = "ERROR_REASON_";

/// The parts of the status for a failure.
struct Shape {
    code: Code,
    reason: ErrorReason,
    retry_after: Option<Duration>,
    quota: Option<Dimension>,
    fields: Vec<FieldViolation>,
}

impl Shape {
    fn new(code: Code, reason: ErrorReason) -> Self {
        Self {
            code,
            reason,
            retry_after: None,
            quota: None,
            fields: Vec::new(),
        }
    }

    fn after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    fn field(mut self, field: &str, description: &str) -> Self {
        self.fields.push(FieldViolation {
            field: field.to_owned(),
            description: description.to_owned(),
        });
        self
    }
}

/// The origin of a status, for the log of this process only; it is not sent.
#[derive(Debug)]
pub(super) struct Cause {
    /// Why the call failed, including what callers must not see.
    pub(super) failure: Failure,
    /// The verification that the call was about; `None` if it named none.
    pub(super) verification: Option<VerificationId>,
}

impl Cause {
    /// The cause of a status made here; `None` for one that the library made.
    pub(super) fn of(status: &Status) -> Option<&Self> {
        status.source()?.downcast_ref()
    }

    /// The reason as sent to callers.
    pub(super) fn reason(&self) -> &'static str {
        name(shape(&self.failure).reason)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl Error for Cause {}

/// The status for a failed call. Callers learn no details of a defect or of the store.
pub(super) fn status(failure: Failure, verification: Option<VerificationId>) -> Status {
    let shape = shape(&failure);
    let text = match &failure {
        Failure::Store(
            StoreError::Unavailable(_) | StoreError::Full | StoreError::NotReplicated,
        ) => "the store is unavailable; repeat the call with the same id".to_owned(),
        other => other.to_string(),
    };
    let reason = name(shape.reason);
    let metadata: HashMap<_, _> = shape
        .quota
        .map(|quota| ("quota".to_owned(), quota.as_str().to_owned()))
        .into_iter()
        .collect();
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
    if let Some(retry_after) = shape.retry_after {
        details.set_retry_info(Some(retry_after));
    }
    for violation in shape.fields {
        details.add_bad_request_violation(violation.field, violation.description);
    }
    let mut status = Status::with_error_details(shape.code, format!("{reason}: {text}"), details);
    status.set_source(Arc::new(Cause {
        failure,
        verification,
    }));
    status
}

/// The name of a reason without the prefix of its enum, as `ErrorInfo` requires.
fn name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix(REASON_PREFIX).unwrap_or(name)
}

fn shape(failure: &Failure) -> Shape {
    use ErrorReason as Reason;
    match failure {
        Failure::Fields(fields) => Shape {
            fields: fields.clone(),
            ..Shape::new(Code::InvalidArgument, Reason::InvalidFields)
        },
        Failure::ActionUnknown { .. } => Shape::new(Code::InvalidArgument, Reason::ActionUnknown)
            .field(
                "action",
                "must be the NAME of one of the settings' [actions.NAME]",
            ),
        Failure::Unfit { why, fields } => Shape {
            fields: fields.clone(),
            ..Shape::new(Code::FailedPrecondition, unfit(*why))
        },
        Failure::CodeMalformed => malformed(),
        Failure::MalformedTooOften { retry_after } => {
            Shape::new(Code::ResourceExhausted, Reason::MalformedTooOften).after(*retry_after)
        }
        Failure::LateTooOften { retry_after } => {
            Shape::new(Code::ResourceExhausted, Reason::LateTooOften).after(*retry_after)
        }
        Failure::GuessesSlowed { retry_after, .. } => {
            Shape::new(Code::ResourceExhausted, Reason::GuessesSlowed).after(*retry_after)
        }
        Failure::Refused(refusal) => refused(refusal),
        Failure::QuotaExceeded {
            quota, retry_after, ..
        } => {
            let reason = if quota.is_guard() {
                Reason::GuardRefused
            } else {
                Reason::QuotaExceeded
            };
            let shape = Shape::new(Code::ResourceExhausted, reason).after(*retry_after);
            Shape {
                quota: Some(*quota),
                ..shape
            }
        }
        Failure::Contention => Shape::new(Code::Aborted, Reason::Contention),
        // The quarantine logs it, once a minute for all records.
        Failure::RecordUnreadable(_) | Failure::Store(StoreError::Foreign) => {
            Shape::new(Code::FailedPrecondition, Reason::RecordUnreadable)
        }
        Failure::Store(_) => Shape::new(Code::Unavailable, Reason::StoreUnavailable),
        Failure::StoreFull => Shape::new(Code::ResourceExhausted, Reason::StoreFull),
        Failure::Internal => Shape::new(Code::Internal, Reason::Internal),
        Failure::CallerUnknown(_) => Shape::new(Code::Unauthenticated, Reason::CallerUnknown),
        Failure::RoleMissing(_) => Shape::new(Code::PermissionDenied, Reason::RoleMissing),
        Failure::CallerTooFast { retry_after, .. } => {
            Shape::new(Code::ResourceExhausted, Reason::CallerTooFast).after(*retry_after)
        }
        Failure::Overloaded(_) => Shape::new(Code::ResourceExhausted, Reason::Overloaded),
        Failure::DeadlineExceeded { .. } => {
            Shape::new(Code::DeadlineExceeded, Reason::DeadlineExceeded)
        }
        Failure::ShuttingDown => Shape::new(Code::Unavailable, Reason::ShuttingDown),
    }
}

fn unfit(why: Unfit) -> ErrorReason {
    match why {
        Unfit::Country => ErrorReason::CountryNotAllowed,
        Unfit::NumberType => ErrorReason::NumberTypeNotAllowed,
        Unfit::AgentsOwn => ErrorReason::AgentIsRecipient,
    }
}

fn malformed() -> Shape {
    Shape::new(Code::InvalidArgument, ErrorReason::CodeMalformed).field(
        "code",
        "must be the digits of the code, with at most one space or hyphen between two digits",
    )
}

fn refused(refusal: &Refusal) -> Shape {
    use ErrorReason as Reason;
    match refusal {
        Refusal::NotFound => Shape::new(Code::NotFound, Reason::VerificationNotFound),
        Refusal::Closed => Shape::new(Code::FailedPrecondition, Reason::VerificationClosed),
        Refusal::ChannelNotPermitted { .. } => {
            Shape::new(Code::FailedPrecondition, Reason::ChannelNotPermitted)
        }
        Refusal::MethodDisabled { .. } => {
            Shape::new(Code::FailedPrecondition, Reason::MethodDisabled)
        }
        Refusal::SubjectNotFound => Shape::new(Code::NotFound, Reason::SubjectNotFound),
        Refusal::FailureCapReached => {
            Shape::new(Code::FailedPrecondition, Reason::FailureCapReached)
        }
        Refusal::StartAgain => Shape::new(Code::FailedPrecondition, Reason::StartAgain),
        Refusal::RequestIdReused => Shape::new(Code::AlreadyExists, Reason::RequestIdReused),
        Refusal::AttemptIdReused => Shape::new(Code::AlreadyExists, Reason::AttemptIdReused),
        Refusal::AttemptTooEarly { retry_after } => {
            Shape::new(Code::ResourceExhausted, Reason::AttemptTooEarly).after(*retry_after)
        }
        Refusal::CodeMalformed => malformed(),
        Refusal::EntryModeNotPermitted { .. } => {
            let text = refusal.to_string();
            let description = text.strip_prefix("entry_mode ").unwrap_or(&text);
            Shape::new(Code::InvalidArgument, Reason::InvalidFields)
                .field("entry_mode", description)
        }
        Refusal::ResendTooEarly { retry_after, .. } => {
            Shape::new(Code::ResourceExhausted, Reason::ResendTooEarly).after(*retry_after)
        }
        Refusal::SendsExhausted { retry_after, .. } => {
            Shape::new(Code::ResourceExhausted, Reason::SendsExhausted).after(*retry_after)
        }
        Refusal::TooManyLive { retry_after, .. } => {
            Shape::new(Code::ResourceExhausted, Reason::TooManyLive).after(*retry_after)
        }
        Refusal::TooManyRecent { retry_after } => {
            Shape::new(Code::ResourceExhausted, Reason::TooManyRecent).after(*retry_after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            recipient::Channel,
            verification::rules::{EntryMode, Origin},
        },
        pb::v1,
    };

    #[test]
    fn the_reason_in_events_is_the_reason_in_errors() {
        let second = Duration::from_secs(1);
        for refusal in [
            Refusal::NotFound,
            Refusal::Closed,
            Refusal::ChannelNotPermitted { permitted: vec![] },
            Refusal::MethodDisabled { limit: 25 },
            Refusal::SubjectNotFound,
            Refusal::FailureCapReached,
            Refusal::StartAgain,
            Refusal::RequestIdReused,
            Refusal::AttemptIdReused,
            Refusal::AttemptTooEarly {
                retry_after: second,
            },
            Refusal::CodeMalformed,
            Refusal::EntryModeNotPermitted { permitted: vec![] },
            Refusal::ResendTooEarly {
                cooldown: second,
                retry_after: second,
            },
            Refusal::SendsExhausted {
                sends: 4,
                retry_after: second,
            },
            Refusal::TooManyLive {
                origin: Origin::Anonymous,
                of_network: true,
                limit: 1,
                retry_after: second,
            },
            Refusal::TooManyRecent {
                retry_after: second,
            },
        ] {
            assert_eq!(name(refused(&refusal).reason), refusal.reason());
        }
        for why in Unfit::ALL {
            assert_eq!(name(unfit(why)), why.reason());
        }
    }

    #[test]
    fn net_12_a_store_error_tells_nothing_of_the_store() {
        let failure = Failure::Store(StoreError::Unavailable(
            "/var/lib/countersign: no such file".to_owned(),
        ));
        assert_eq!(
            status(failure, None).message(),
            "STORE_UNAVAILABLE: the store is unavailable; repeat the call with the same id"
        );
    }

    #[test]
    fn a_status_tells_its_cause_to_this_process() {
        let made = status(Failure::Internal, None);
        assert_eq!(Cause::of(&made).map(Cause::reason), Some("INTERNAL"));
        assert!(Cause::of(&Status::internal("made by the library")).is_none());
    }

    #[test]
    fn messages_spell_enums_as_the_proto_does() {
        let modes: Vec<_> = EntryMode::ALL
            .into_iter()
            .map(EntryMode::api_name)
            .collect();
        for name in modes {
            assert!(v1::EntryMode::from_str_name(name).is_some(), "{name}");
        }
        for channel in Channel::ALL {
            let name = channel.api_name();
            assert!(v1::Channel::from_str_name(name).is_some(), "{name}");
        }
    }
}

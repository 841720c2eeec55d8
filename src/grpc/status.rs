//! Turns failures into gRPC statuses; no other file makes one.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    domain::{limit::quota::Dimension, recipient::rules::Unfit, refusal::Refusal},
    pb::v1::ErrorReason,
    ports::store::StoreError,
    service::failure::{Failure, FieldViolation},
};

const DOMAIN: &str = "countersign";
const REASON_PREFIX: &str = "ERROR_REASON_";

/// What a failure becomes.
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

/// The status of a failure. A defect of ours is logged here, once, and told to nobody.
pub(super) fn status(failure: &Failure) -> Status {
    let shape = shape(failure);
    let text = match failure {
        Failure::Store(
            error @ (StoreError::Unavailable(_) | StoreError::Full | StoreError::NotReplicated),
        ) => {
            tracing::warn!(%error, "The store did not do it.");
            "the store is unavailable".to_owned()
        }
        other => other.to_string(),
    };
    let name = shape.reason.as_str_name();
    let reason = name.strip_prefix(REASON_PREFIX).unwrap_or(name);
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
    Status::with_error_details(shape.code, text, details)
}

fn shape(failure: &Failure) -> Shape {
    use ErrorReason as Reason;
    match failure {
        Failure::Fields(fields) => Shape {
            fields: fields.clone(),
            ..Shape::new(Code::InvalidArgument, Reason::InvalidFields)
        },
        Failure::ActionUnknown => Shape::new(Code::InvalidArgument, Reason::ActionUnknown)
            .field("action", "must be one of the settings' actions"),
        Failure::Unfit { why, fields } => Shape {
            fields: fields.clone(),
            ..Shape::new(Code::FailedPrecondition, unfit(*why))
        },
        Failure::CodeMalformed => malformed(),
        Failure::MalformedTooOften { retry_after } => {
            Shape::new(Code::ResourceExhausted, Reason::MalformedTooOften).after(*retry_after)
        }
        Failure::Refused(refusal) => refused(*refusal),
        Failure::QuotaExceeded { quota, retry_after } => {
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
        // The service logs it, once a minute for all records.
        Failure::RecordUnreadable(_) | Failure::Store(StoreError::Foreign) => {
            Shape::new(Code::FailedPrecondition, Reason::RecordUnreadable)
        }
        Failure::Store(_) => Shape::new(Code::Unavailable, Reason::StoreUnavailable),
        Failure::StoreFull => Shape::new(Code::ResourceExhausted, Reason::StoreFull),
        Failure::Internal => Shape::new(Code::Internal, Reason::Internal),
        Failure::CallerUnknown => Shape::new(Code::Unauthenticated, Reason::CallerUnknown),
        Failure::RoleMissing => Shape::new(Code::PermissionDenied, Reason::RoleMissing),
        Failure::CallerTooFast { retry_after } => {
            Shape::new(Code::ResourceExhausted, Reason::CallerTooFast).after(*retry_after)
        }
        Failure::Overloaded => Shape::new(Code::ResourceExhausted, Reason::Overloaded),
        Failure::DeadlineExceeded => Shape::new(Code::DeadlineExceeded, Reason::DeadlineExceeded),
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

fn refused(refusal: Refusal) -> Shape {
    use ErrorReason as Reason;
    match refusal {
        Refusal::NotFound => Shape::new(Code::NotFound, Reason::VerificationNotFound),
        Refusal::Closed => Shape::new(Code::FailedPrecondition, Reason::VerificationClosed),
        Refusal::ChannelNotPermitted => {
            Shape::new(Code::FailedPrecondition, Reason::ChannelNotPermitted)
        }
        Refusal::MethodDisabled => Shape::new(Code::FailedPrecondition, Reason::MethodDisabled),
        Refusal::StartAgain => Shape::new(Code::FailedPrecondition, Reason::StartAgain),
        Refusal::RequestIdReused => Shape::new(Code::AlreadyExists, Reason::RequestIdReused),
        Refusal::AttemptIdReused => Shape::new(Code::AlreadyExists, Reason::AttemptIdReused),
        Refusal::AttemptTooEarly { retry_after } => {
            Shape::new(Code::ResourceExhausted, Reason::AttemptTooEarly).after(retry_after)
        }
        Refusal::CodeMalformed => malformed(),
        Refusal::EntryModeNotPermitted => Shape::new(Code::InvalidArgument, Reason::InvalidFields)
            .field("entry_mode", "must be one that the action permits"),
        Refusal::ResendTooEarly { retry_after } => {
            Shape::new(Code::ResourceExhausted, Reason::ResendTooEarly).after(retry_after)
        }
        Refusal::SendsExhausted { retry_after } => {
            Shape::new(Code::ResourceExhausted, Reason::SendsExhausted).after(retry_after)
        }
        Refusal::TooManyLive { retry_after } => {
            Shape::new(Code::ResourceExhausted, Reason::TooManyLive).after(retry_after)
        }
        Refusal::TooManyRecent { retry_after } => {
            Shape::new(Code::ResourceExhausted, Reason::TooManyRecent).after(retry_after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_in_events_is_the_reason_in_errors() {
        let second = Duration::from_secs(1);
        for refusal in [
            Refusal::NotFound,
            Refusal::Closed,
            Refusal::ChannelNotPermitted,
            Refusal::MethodDisabled,
            Refusal::StartAgain,
            Refusal::RequestIdReused,
            Refusal::AttemptIdReused,
            Refusal::AttemptTooEarly {
                retry_after: second,
            },
            Refusal::CodeMalformed,
            Refusal::EntryModeNotPermitted,
            Refusal::ResendTooEarly {
                retry_after: second,
            },
            Refusal::SendsExhausted {
                retry_after: second,
            },
            Refusal::TooManyLive {
                retry_after: second,
            },
            Refusal::TooManyRecent {
                retry_after: second,
            },
        ] {
            let name = refused(refusal).reason.as_str_name();
            assert_eq!(name.strip_prefix(REASON_PREFIX), Some(refusal.reason()));
        }
        for why in Unfit::ALL {
            assert_eq!(
                unfit(why).as_str_name().strip_prefix(REASON_PREFIX),
                Some(why.reason())
            );
        }
    }

    #[test]
    fn net_12_a_store_error_tells_nothing_of_the_store() {
        let failure = Failure::Store(StoreError::Unavailable(
            "/var/lib/countersign: no such file".to_owned(),
        ));
        assert_eq!(status(&failure).message(), "the store is unavailable");
    }
}

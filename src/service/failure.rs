//! Why a call failed, whatever the transport that carries it.

use std::time::Duration;

use super::record::vault::Unreadable;
use crate::{
    domain::{limit::quota::Dimension, recipient::rules::Unfit, refusal::Refusal},
    ports::store::StoreError,
};

/// A field that breaks its grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path of the field, as in the proto: `recipients[0].address`.
    pub field: String,
    /// What it must be.
    pub description: String,
}

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// Fields break their grammar; all of them are named.
    #[error("{}", listed(.0))]
    Fields(Vec<FieldViolation>),
    /// The settings have no such action.
    #[error("the action is unknown")]
    ActionUnknown,
    /// No recipient may get a message, or one is the agent's own.
    #[error("{}", listed(.fields))]
    Unfit {
        /// Why the first of them may not.
        why: Unfit,
        /// All of them.
        fields: Vec<FieldViolation>,
    },
    /// The guess is no code.
    #[error("the guess does not have the form of a code")]
    CodeMalformed,
    /// Too many malformed guesses.
    #[error("too many malformed guesses")]
    MalformedTooOften {
        /// When the next one may come.
        retry_after: Duration,
    },
    /// The domain refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A quota of the fleet has none left.
    #[error("{}", used_up(*.quota))]
    QuotaExceeded {
        /// Which.
        quota: Dimension,
        /// When it will have one.
        retry_after: Duration,
    },
    /// Others changed the record again and again.
    #[error("the record was changed by others at the same time")]
    Contention,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store has no room for what is new.
    #[error("the store has no room for another verification")]
    StoreFull,
    /// The stored record of the subject cannot be opened; it stays as it is.
    #[error("the stored record of this subject cannot be opened; tell the operator")]
    RecordUnreadable(Unreadable),
    /// No key, or not one of ours.
    #[error("the caller is unknown")]
    CallerUnknown,
    /// The caller's roles do not include this call.
    #[error("the caller's roles do not include this call")]
    RoleMissing,
    /// The caller calls faster than admitted.
    #[error("the caller calls too fast")]
    CallerTooFast {
        /// When the next call may come.
        retry_after: Duration,
    },
    /// As many calls or streams in flight as admitted.
    #[error("the service has as many calls in flight as it admits")]
    Overloaded,
    /// The call's time was over.
    #[error("the call took longer than its deadline")]
    DeadlineExceeded,
    /// The process is going down.
    #[error("the service is shutting down")]
    ShuttingDown,
    /// A defect of ours.
    #[error("internal error")]
    Internal,
}

impl Failure {
    /// The failure of a call that asks for something new: no room for that is the caller's business.
    pub(super) fn of_new(self) -> Self {
        match self {
            Self::Store(StoreError::Full) => Self::StoreFull,
            other => other,
        }
    }
}

fn used_up(quota: Dimension) -> String {
    let name = quota.as_str();
    if quota.is_guard() {
        format!("too few codes come back of messages to numbers like this one ({name})")
    } else {
        format!("the quota {name} is used up for now")
    }
}

/// All violations in one sentence each; `BadRequest` has them for machines.
fn listed(fields: &[FieldViolation]) -> String {
    let all: Vec<String> = fields
        .iter()
        .map(|violation| format!("{} {}", violation.field, violation.description))
        .collect();
    all.join("; ")
}

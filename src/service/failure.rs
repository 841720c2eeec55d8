//! Why a call failed, whatever the transport that carries it: what was hit, its number, and the cure.

use std::time::Duration;

use super::unreadable::Unreadable;
use crate::{
    domain::{
        caller::Role,
        ids::ActionName,
        limit::{failures::MALFORMED_RATE, quota::Dimension, rate::Rate},
        recipient::rules::Unfit,
        refusal::{Refusal, Wait},
    },
    ports::store::StoreError,
};

/// Actions that a message lists.
const ACTIONS_LISTED_MAX: usize = 8;

/// A field that breaks its grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path of the field, as in the proto: `recipients[0].address`.
    pub field: String,
    /// What it must be, or what was found there.
    pub description: String,
}

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// Fields break their grammar; all of them are named.
    #[error("{}", listed(.0))]
    Fields(Vec<FieldViolation>),
    /// The settings have no such action.
    #[error("action {} is not in the settings, which have {}", .action.as_str(), actions(.known))]
    ActionUnknown {
        /// The action of the request.
        action: ActionName,
        /// The actions of the settings.
        known: Vec<ActionName>,
    },
    /// No recipient may get a message, or one is the agent's own.
    #[error("{}", listed(.fields))]
    Unfit {
        /// Why the first of them may not.
        why: Unfit,
        /// All of them.
        fields: Vec<FieldViolation>,
    },
    /// The guess does not have the form of a code.
    #[error("code must be 6 to 8 digits, as the customer got them; ask for it again")]
    CodeMalformed,
    /// Too many malformed guesses.
    #[error(
        "too many malformed guesses ({} at once, then one in {}); the next may come in {}",
        MALFORMED_RATE.burst + 1, Wait(MALFORMED_RATE.interval), Wait(*.retry_after)
    )]
    MalformedTooOften {
        /// When the next one may come.
        retry_after: Duration,
    },
    /// The domain refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A quota of the fleet has none left.
    #[error("{}", used_up(*.quota, *.rate, *.retry_after))]
    QuotaExceeded {
        /// The quota that has none left.
        quota: Dimension,
        /// How much it is.
        rate: Rate,
        /// When it will have one.
        retry_after: Duration,
    },
    /// Others changed the record again and again.
    #[error("other calls changed the subject's record at the same time; repeat the call at once")]
    Contention,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store has no room for what is new.
    #[error(
        "the store has no room for another verification or message; tell the operator, repeat later"
    )]
    StoreFull,
    /// The stored record of the subject cannot be opened; it stays as it is.
    #[error("the stored record of this subject cannot be opened; tell the operator")]
    RecordUnreadable(Unreadable),
    /// No key, or not one of ours.
    #[error("{}", .0.text())]
    CallerUnknown(NoCaller),
    /// The caller's roles do not allow this call.
    #[error("{}", .0.text())]
    RoleMissing(Denied),
    /// The caller calls faster than admitted.
    #[error(
        "the caller exceeds {calls_per_s} calls a second ({burst} at once) on this process ([shield]); repeat in {}",
        Wait(*.retry_after)
    )]
    CallerTooFast {
        /// Calls per second, sustained.
        calls_per_s: u32,
        /// Calls at once, after a pause.
        burst: u32,
        /// When the next call may come.
        retry_after: Duration,
    },
    /// As many calls or streams are in flight as admitted.
    #[error("{}", .0.text())]
    Overloaded(Busy),
    /// The call's time was over.
    #[error("the call took longer than its deadline of {}; repeat it with the same id", Wait(*.limit))]
    DeadlineExceeded {
        /// The deadline that held.
        limit: Duration,
    },
    /// The process is going down.
    #[error("this process is shutting down; call again, and another process answers")]
    ShuttingDown,
    /// A defect of ours.
    #[error("internal error")]
    Internal,
}

/// Why nobody is known to have called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCaller {
    /// The call carries no key, or not in the form that is asked for.
    NoKey,
    /// No caller of the settings has this key.
    UnknownKey,
}

impl NoCaller {
    const fn text(self) -> &'static str {
        match self {
            Self::NoKey => {
                "the call has no credential; send the metadata authorization: Bearer KEY"
            }
            Self::UnknownKey => {
                "no caller has this API key; check the key and the service's settings"
            }
        }
    }
}

/// What a caller's roles do not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The method: it takes one of these roles, and without one it is not served at all.
    Method(&'static [Role]),
    /// To cancel with another reason than that the customer did not ask.
    CancelReason,
}

impl Denied {
    fn text(self) -> String {
        match self {
            Self::Method([]) => "this service has no such method that a caller may call".to_owned(),
            Self::Method(roles) => {
                let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
                format!(
                    "the caller's roles do not allow this call; it takes one of {}",
                    names.join(", ")
                )
            }
            Self::CancelReason => {
                "the role customer may cancel with CANCEL_REASON_NOT_ME only".to_owned()
            }
        }
    }
}

/// What a process has as many of as it admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Calls, over all callers.
    Calls(usize),
    /// `WatchVerification` streams of the caller.
    Watches(usize),
}

impl Busy {
    fn text(self) -> String {
        match self {
            Self::Calls(limit) => format!(
                "this process answers {limit} calls, the most that it admits (grpc.max_in_flight); repeat with growing pauses"
            ),
            Self::Watches(limit) => format!(
                "the caller has {limit} open WatchVerification streams on this process, the most that it admits (grpc.max_watches_per_caller); end some"
            ),
        }
    }
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

/// All store work of a command has one deadline; past it the answer is that the store is unavailable.
pub(super) async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let late = |_| StoreError::Unavailable("no answer within the deadline".to_owned());
    tokio::time::timeout(deadline, work).await.map_err(late)?
}

fn used_up(quota: Dimension, rate: Rate, retry_after: Duration) -> String {
    let (name, wait) = (quota.as_str(), Wait(retry_after));
    let count = u64::from(rate.burst) + 1;
    if quota.is_guard() {
        format!(
            "too few of the codes sent to numbers like this one were entered: the budget {name} is used up ([guard]); use e-mail or push, or wait {wait}"
        )
    } else if quota.is_money() {
        format!("the budget {name} is used up ([spend]); wait {wait}")
    } else {
        let period = Wait(rate.interval * u32::try_from(count).unwrap_or(u32::MAX));
        format!("the quota {name} of {count} in {period} is used up ([quotas]); wait {wait}")
    }
}

fn actions(known: &[ActionName]) -> String {
    let mut names: Vec<&str> = known.iter().map(ActionName::as_str).collect();
    if names.len() > ACTIONS_LISTED_MAX {
        names.truncate(ACTIONS_LISTED_MAX);
        names.push("others");
    }
    names.join(", ")
}

/// All violations in one sentence each; `BadRequest` has them for machines.
fn listed(fields: &[FieldViolation]) -> String {
    let all: Vec<String> = fields
        .iter()
        .map(|violation| format!("{} {}", violation.field, violation.description))
        .collect();
    all.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_the_number_that_was_hit_and_the_cure() {
        let quota = |quota, count, period| Failure::QuotaExceeded {
            quota,
            rate: Rate::per(count, Duration::from_secs(period)),
            retry_after: Duration::from_millis(719_500),
        };
        for (failure, text) in [
            (
                quota(Dimension::Recipient, 5, 3600),
                "the quota recipient of 5 in 3600 s is used up ([quotas]); wait 720 s",
            ),
            (
                quota(Dimension::GuardPrefix, 50, 86_400),
                "too few of the codes sent to numbers like this one were entered: the budget guard_prefix is used up ([guard]); use e-mail or push, or wait 720 s",
            ),
            (
                quota(Dimension::SpendHour, 50, 3600),
                "the budget spend_hour is used up ([spend]); wait 720 s",
            ),
            (
                Failure::RoleMissing(Denied::Method(&[Role::Frontend, Role::Customer])),
                "the caller's roles do not allow this call; it takes one of frontend, customer",
            ),
            (
                Failure::RoleMissing(Denied::Method(&[])),
                "this service has no such method that a caller may call",
            ),
        ] {
            assert_eq!(failure.to_string(), text);
        }
    }
}

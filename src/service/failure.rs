//! Why a call failed, independent of the transport: which limit or rule it met, the numbers, and what the caller can
//! do.

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

/// The largest number of actions that an error message lists.
const ACTIONS_LISTED_MAX: usize = 8;

/// A request field with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path of the field, as in the proto: `recipients[0].address`.
    pub field: String,
    /// What the value must be, or what was found.
    pub description: String,
}

/// Why a call failed. The message tells the caller what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// Fields have invalid values; all of them are listed.
    #[error("{}", listed(.0))]
    Fields(Vec<FieldViolation>),
    /// The settings have no action of this name.
    #[error("action {} is not in the settings, which have {}", .action.as_str(), actions(.known))]
    ActionUnknown {
        /// The action in the request.
        action: ActionName,
        /// The actions in the settings.
        known: Vec<ActionName>,
    },
    /// No recipient can get a message, or one of them is the agent's own.
    #[error("{}", listed(.fields))]
    Unfit {
        /// The problem of the first recipient, which decides the error reason.
        why: Unfit,
        /// The problems of all recipients.
        fields: Vec<FieldViolation>,
    },
    /// The guess is not in the form of a code; it does not count as an attempt.
    #[error("code must be 6 to 8 digits, as the customer got them; ask for it again")]
    CodeMalformed,
    /// Too many malformed guesses in a short time.
    #[error(
        "too many malformed guesses ({} at once, then one in {}); the next may come in {}",
        MALFORMED_RATE.burst + 1, Wait(MALFORMED_RATE.interval), Wait(*.retry_after)
    )]
    MalformedTooOften {
        /// How long until the next one is accepted.
        retry_after: Duration,
    },
    /// Too many guesses in a short time at a verification that has ended, or at verifications that do not exist.
    #[error(
        "too many guesses at a verification that has ended or does not exist ({} at once, then one in {}); start a new one, or wait {}",
        MALFORMED_RATE.burst + 1, Wait(MALFORMED_RATE.interval), Wait(*.retry_after)
    )]
    LateTooOften {
        /// How long until the next one is answered.
        retry_after: Duration,
    },
    /// Unusually many guesses of the caller fail, over all subjects, so its anonymous guesses are slowed down.
    #[error(
        "unusually many guesses of this caller fail, over all subjects, so it may give one anonymous guess in {} ([guesses]); the next may come in {}",
        Wait(*.interval), Wait(*.retry_after)
    )]
    GuessesSlowed {
        /// The time between two guesses.
        interval: Duration,
        /// How long until the next one is accepted.
        retry_after: Duration,
    },
    /// The domain refused the command.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A fleet-wide quota is used up.
    #[error("{}", used_up(*.quota, *.rate, *.retry_after))]
    QuotaExceeded {
        /// The quota that is used up; the first one if several are.
        quota: Dimension,
        /// The rate of that quota.
        rate: Rate,
        /// How long until it holds enough again.
        retry_after: Duration,
    },
    /// Other calls changed the record during every attempt.
    #[error("other calls changed the subject's record at the same time; repeat the call at once")]
    Contention,
    /// The store failed or did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store has no room for new records.
    #[error(
        "the store has no room for another verification or message; tell the operator, repeat later"
    )]
    StoreFull,
    /// The stored record of the subject cannot be opened; it is left unchanged.
    #[error("the stored record of this subject cannot be opened; tell the operator")]
    RecordUnreadable(Unreadable),
    /// The call has no API key, or an unknown one.
    #[error("{}", .0.text())]
    CallerUnknown(NoCaller),
    /// The caller's roles do not allow this call.
    #[error("{}", .0.text())]
    RoleMissing(Denied),
    /// The caller exceeds its rate on this process.
    #[error(
        "the caller exceeds {calls_per_s} calls a second ({burst} at once) on this process ([shield]); repeat in {}",
        Wait(*.retry_after)
    )]
    CallerTooFast {
        /// Sustained rate, in calls per second.
        calls_per_s: u32,
        /// Calls accepted at once after a pause.
        burst: u32,
        /// How long until the next call is accepted.
        retry_after: Duration,
    },
    /// The process has reached its limit of concurrent calls or streams.
    #[error("{}", .0.text())]
    Overloaded(Busy),
    /// The call did not finish before its deadline.
    #[error("the call took longer than its deadline of {}; repeat it with the same id", Wait(*.limit))]
    DeadlineExceeded {
        /// The deadline that applied.
        limit: Duration,
    },
    /// The process is shutting down.
    #[error("this process is shutting down; call again, and another process answers")]
    ShuttingDown,
    /// A defect of the service; details are in its log.
    #[error("internal error")]
    Internal,
}

/// Why the caller could not be identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCaller {
    /// The call has no key, or not in the expected form.
    NoKey,
    /// No caller in the settings has this key.
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

/// What the caller's roles do not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The method. It needs one of these roles; an empty list means that it is not served at all.
    Method(&'static [Role]),
    /// Canceling with a reason other than `CANCEL_REASON_NOT_ME`.
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

/// The limit of concurrent work that a process has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// The limit of calls, over all callers.
    Calls(usize),
    /// The limit of `WatchVerification` streams of one caller.
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
    /// Adapts the failure of a call that creates something: a full store is then something the caller must handle.
    pub(super) fn of_new(self) -> Self {
        match self {
            Self::Store(StoreError::Full) => Self::StoreFull,
            other => other,
        }
    }
}

/// Limits the store work of a command to one deadline; after it the store is reported as unavailable.
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

/// All violations in one line; `BadRequest` details list them for machines.
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

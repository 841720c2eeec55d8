//! Events, and their stored form.

use std::collections::BTreeMap;

use crate::{
    domain::{
        audit::event::{Event, RefusedCall, What},
        ids::{ActionName, CallerName, Reference, UnlockReason},
        limit::bucket::{BucketKind, Scope},
        time::Timestamp,
        verification::{CancelCause, Judgement, Outcome, rules::Origin},
    },
    pb::store as pb,
};

/// The detail that says how many refusals an event stands for; absent for one.
const COUNT: &str = "count";

/// An event for readers of the audit trail; an absent value is an empty text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it happened, by the service's clock.
    pub at: Timestamp,
    /// The tenant that it belongs to; version 0.1 did not store it.
    pub tenant: String,
    /// The name of the caller.
    pub caller: String,
    /// The agent's id, as the caller gave it.
    pub agent: String,
    /// The contact's id, as the caller gave it.
    pub contact: String,
    /// The id of the verification.
    pub verification: String,
    /// The action of the verification.
    pub action: String,
    /// What happened, as one machine-readable word.
    pub what: String,
    /// Further values by name, such as `channel` or `reason`.
    pub details: BTreeMap<String, String>,
}

impl Line {
    /// How many times it happened: more than once if repeated refusals were counted together.
    #[must_use]
    pub fn count(&self) -> u64 {
        let count = self.details.get(COUNT);
        count.and_then(|count| count.parse().ok()).unwrap_or(1)
    }
}

pub(super) fn line(stored: pb::Event) -> Line {
    Line {
        at: Timestamp::from_micros(stored.at),
        tenant: stored.tenant,
        caller: stored.caller,
        agent: stored.agent,
        contact: stored.contact,
        verification: stored.verification,
        action: stored.action,
        what: stored.what,
        details: stored.details,
    }
}

pub(super) fn encode(event: &Event) -> pb::Event {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    pb::Event {
        at: event.at.as_micros(),
        tenant: event.tenant.as_str().to_owned(),
        caller: text(event.caller.as_ref().map(CallerName::as_str)),
        agent: text(event.agent.as_ref().map(Reference::as_str)),
        contact: text(event.contact.as_ref().map(Reference::as_str)),
        verification: event
            .verification
            .map_or_else(String::new, |id| id.to_string()),
        action: text(event.action.as_ref().map(ActionName::as_str)),
        what: word(&event.what).to_owned(),
        details: details(&event.what),
    }
}

/// The stored word for a kind of event.
fn word(what: &What) -> &'static str {
    match what {
        What::Started { .. } => "started",
        What::PassedOver { .. } => "passed_over",
        What::Resent { .. } => "resent",
        What::MovedOn { .. } => "moved_on",
        What::Checked { .. } => "checked",
        What::Refused(_) | What::RefusedAgain { .. } => "refused",
        What::WouldRefuse { .. } => "would_refuse",
        What::Closed { .. } => "closed",
        What::Sent { .. } => "sent",
        What::SendFailed { .. } => "send_failed",
        What::Delivered { .. } => "delivered",
        What::Undelivered { .. } => "undelivered",
        What::ApprovedAfterFailures { .. } => "approved_after_failures",
        What::ManyFailures { .. } => "many_failures",
        What::Unlocked { .. } => "unlocked",
        What::Disabled { .. } => "disabled",
    }
}

/// The stored details of an event, by name.
fn details(what: &What) -> BTreeMap<String, String> {
    match what {
        What::Started { channel } | What::Resent { channel } | What::MovedOn { channel } => {
            named([("channel", channel.as_str())])
        }
        What::PassedOver { channel, why } => {
            named([("channel", channel.as_str()), ("reason", why.reason())])
        }
        What::Checked {
            judgement: Judgement::Approved,
        } => named([("verdict", "approved")]),
        What::Checked {
            judgement: Judgement::Wrong { left },
        } => named([("verdict", "wrong"), ("left", &left.to_string())]),
        What::Refused(call) => refused(call),
        What::RefusedAgain { counts } => refused_again(counts),
        What::WouldRefuse { quota } => of_quota(*quota),
        What::Closed { outcome } => named([("outcome", outcome_word(*outcome))]),
        What::Sent { channel, sender } | What::Delivered { channel, sender } => {
            named([("channel", channel.as_str()), ("sender", sender.as_str())])
        }
        What::SendFailed { channel, reason } => {
            named([("channel", channel.as_str()), ("reason", reason.as_str())])
        }
        What::Undelivered {
            channel,
            sender,
            reason,
        } => named([
            ("channel", channel.as_str()),
            ("sender", sender.as_str()),
            ("reason", reason.as_str()),
        ]),
        What::ApprovedAfterFailures { failures } => named([("failures", &failures.to_string())]),
        What::ManyFailures {
            of_caller,
            failures,
            mean,
        } => many_failures(*of_caller, *failures, *mean),
        What::Unlocked {
            reason,
            operator,
            anonymous,
            vouched,
        } => unlocked(reason, operator.as_ref(), *anonymous, *vouched),
        What::Disabled { origin } => named([("origin", origin_word(*origin))]),
    }
}

fn refused(refused: &RefusedCall) -> BTreeMap<String, String> {
    let RefusedCall {
        call,
        reason,
        quota,
    } = *refused;
    let mut details = named([("call", call), ("reason", reason)]);
    details.extend(quota.map(of_quota).unwrap_or_default());
    details
}

/// The details of the most frequent of them, and the count of all; with several, also the count of each.
fn refused_again(counts: &BTreeMap<RefusedCall, u64>) -> BTreeMap<String, String> {
    let most = counts.iter().max_by_key(|(_, count)| **count);
    let mut details = most.map_or_else(BTreeMap::new, |(call, _)| refused(call));
    let all: u64 = counts.values().sum();
    details.insert(COUNT.to_owned(), all.to_string());
    if counts.len() > 1 {
        let each = counts.iter().map(|(refused, count)| {
            let quota = refused.quota.map(quota_suffix).unwrap_or_default();
            format!("{} {}{quota} {count}", refused.call, refused.reason)
        });
        let each: Vec<String> = each.collect();
        details.insert("counts".to_owned(), each.join(", "));
    }
    details
}

/// A quota behind the reason of refusals that were counted, with the origin of an anonymous count as in [`of_quota`].
fn quota_suffix(quota: BucketKind) -> String {
    let origin = match quota.scope {
        Scope::Anonymous => ".anonymous",
        Scope::Vouched | Scope::All => "",
    };
    format!(".{}{origin}", quota.dimension.as_str())
}

/// The quota of an event. Events of version 0.1 have no origin, so only that of an anonymous count is named.
fn of_quota(quota: BucketKind) -> BTreeMap<String, String> {
    let mut details = named([("quota", quota.dimension.as_str())]);
    if quota.scope == Scope::Anonymous {
        details.extend(named([("origin", quota.scope.as_str())]));
    }
    details
}

fn many_failures(of_caller: bool, failures: u32, mean: u32) -> BTreeMap<String, String> {
    named([
        ("scope", if of_caller { "caller" } else { "tenant" }),
        ("failures", &failures.to_string()),
        ("mean", &mean.to_string()),
    ])
}

fn unlocked(
    reason: &UnlockReason,
    operator: Option<&Reference>,
    anonymous: u32,
    vouched: u32,
) -> BTreeMap<String, String> {
    let mut details = named([
        ("reason", reason.as_str()),
        ("anonymous", &anonymous.to_string()),
        ("vouched", &vouched.to_string()),
    ]);
    let operator = operator.map(|name| name.as_str().to_owned());
    details.extend(operator.map(|name| ("operator".to_owned(), name)));
    details
}

fn named<const N: usize>(details: [(&str, &str); N]) -> BTreeMap<String, String> {
    details
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Approved => "approved",
        Outcome::Rejected => "rejected",
        Outcome::Denied => "denied",
        Outcome::Canceled(CancelCause::Requested) => "canceled",
        Outcome::Canceled(CancelCause::Superseded) => "superseded",
        Outcome::Canceled(CancelCause::Generation) => "lost",
        Outcome::Expired => "expired",
    }
}

fn origin_word(origin: Origin) -> &'static str {
    match origin {
        Origin::Anonymous => "anonymous",
        Origin::Vouched => "vouched",
    }
}

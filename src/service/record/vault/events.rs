//! Events and their stored form.

use std::collections::BTreeMap;

use crate::{
    domain::{
        audit::event::{Event, What},
        time::Timestamp,
        verification::{CancelCause, Judgement, Outcome, rules::Origin},
    },
    pb::store as pb,
};

/// An event as a reader of the audit trail sees it; what is absent is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// The caller.
    pub caller: String,
    /// The agent.
    pub agent: String,
    /// The contact.
    pub contact: String,
    /// The verification's id.
    pub verification: String,
    /// Its action.
    pub action: String,
    /// What happened, as one word.
    pub what: String,
    /// More about it, by name.
    pub details: BTreeMap<String, String>,
}

pub(super) fn line(stored: pb::Event) -> Line {
    Line {
        at: Timestamp::from_micros(stored.at),
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
    let (what, details) = what(&event.what);
    pb::Event {
        at: event.at.as_micros(),
        caller: text(event.caller.as_ref().map(|caller| caller.as_str())),
        agent: text(event.agent.as_ref().map(|agent| agent.as_str())),
        contact: text(event.contact.as_ref().map(|contact| contact.as_str())),
        verification: event
            .verification
            .map_or_else(String::new, |id| id.to_string()),
        action: text(event.action.as_ref().map(|action| action.as_str())),
        what: what.to_owned(),
        details: details
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

#[expect(clippy::too_many_lines, reason = "a table: one row for each event")]
fn what(what: &What) -> (&'static str, Vec<(&'static str, String)>) {
    match what {
        What::Started { channel } => ("started", vec![("channel", channel.as_str().to_owned())]),
        What::PassedOver { channel, why } => (
            "passed_over",
            vec![
                ("channel", channel.as_str().to_owned()),
                ("reason", why.reason().to_owned()),
            ],
        ),
        What::Resent { channel } => ("resent", vec![("channel", channel.as_str().to_owned())]),
        What::MovedOn { channel } => ("moved_on", vec![("channel", channel.as_str().to_owned())]),
        What::Checked {
            judgement: Judgement::Approved,
        } => ("checked", vec![("verdict", "approved".to_owned())]),
        What::Checked {
            judgement: Judgement::Wrong { left },
        } => (
            "checked",
            vec![("verdict", "wrong".to_owned()), ("left", left.to_string())],
        ),
        What::Refused {
            call,
            reason,
            quota,
        } => {
            let quota = quota.map(|quota| ("quota", quota.as_str().to_owned()));
            let details = [
                ("call", (*call).to_owned()),
                ("reason", (*reason).to_owned()),
            ];
            ("refused", details.into_iter().chain(quota).collect())
        }
        What::WouldRefuse { quota } => ("would_refuse", vec![("quota", quota.as_str().to_owned())]),
        What::Closed { outcome } => (
            "closed",
            vec![("outcome", outcome_word(*outcome).to_owned())],
        ),
        What::Sent { channel, sender } => (
            "sent",
            vec![
                ("channel", channel.as_str().to_owned()),
                ("sender", sender.as_str().to_owned()),
            ],
        ),
        What::SendFailed { channel, reason } => (
            "send_failed",
            vec![
                ("channel", channel.as_str().to_owned()),
                ("reason", reason.clone()),
            ],
        ),
        What::Delivered { channel, sender } => (
            "delivered",
            vec![
                ("channel", channel.as_str().to_owned()),
                ("sender", sender.as_str().to_owned()),
            ],
        ),
        What::Undelivered {
            channel,
            sender,
            reason,
        } => {
            let details = [
                ("channel", channel.as_str()),
                ("sender", sender.as_str()),
                ("reason", reason),
            ];
            (
                "undelivered",
                details
                    .map(|(name, value)| (name, value.to_owned()))
                    .to_vec(),
            )
        }
        What::ApprovedAfterFailures { failures } => (
            "approved_after_failures",
            vec![("failures", failures.to_string())],
        ),
        What::Disabled { origin } => (
            "disabled",
            vec![("origin", origin_word(*origin).to_owned())],
        ),
    }
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

//! Writes log lines and metrics about verifications: one line for each start, verdict and end that was committed.

use crate::domain::{
    audit::event::{Event, What},
    caller::Caller,
    record::subject::SubjectRecord,
    time::micros,
    verification::{CancelCause, Judgement, Outcome, Verification},
};

/// Logs what a commit did, from its events and the record after it.
pub(super) fn tell(events: &[Event], record: &SubjectRecord) {
    for event in events {
        let id = event.verification;
        let Some(verification) = id.and_then(|id| record.find(&id)) else {
            continue;
        };
        match event.what {
            What::Started { .. } => started(event, verification),
            What::Checked { judgement } => {
                let (verdict, left) = match judgement {
                    Judgement::Approved => ("approved", 0),
                    Judgement::Wrong { left: 0 } => ("attempts_exhausted", 0),
                    Judgement::Wrong { left } => ("wrong", left),
                };
                judged(caller(event), verification, verdict, left);
            }
            What::Closed { outcome } => ended(event, verification, outcome),
            What::PassedOver { .. }
            | What::Resent { .. }
            | What::MovedOn { .. }
            | What::Refused { .. }
            | What::WouldRefuse { .. }
            | What::Sent { .. }
            | What::SendFailed { .. }
            | What::Delivered { .. }
            | What::Undelivered { .. }
            | What::ApprovedAfterFailures { .. }
            | What::Disabled { .. } => {}
        }
    }
}

/// Logs the verdict on a guess that came after the end of its verification and changed nothing.
pub(in crate::service) fn late(by: &Caller, verification: &Verification, verdict: &'static str) {
    judged(by.name.as_str(), verification, verdict, 0);
}

/// The caller's name; `none` if the service acted on its own.
fn caller(event: &Event) -> &str {
    event.caller.as_ref().map_or("none", |name| name.as_str())
}

fn started(event: &Event, verification: &Verification) {
    let (action, caller) = (verification.action.as_str(), caller(event));
    metrics::counter!("countersign_starts_total", "action" => action.to_owned(), "caller" => caller.to_owned(), "outcome" => "started")
        .increment(1);
    let (channel, _) = carrier(verification);
    tracing::info!(
        verification_id = %verification.id, caller, action, channel,
        "verification started"
    );
}

fn judged(caller: &str, verification: &Verification, verdict: &'static str, left: u8) {
    let action = verification.action.as_str();
    metrics::counter!("countersign_verdicts_total", "action" => action.to_owned(), "caller" => caller.to_owned(), "verdict" => verdict)
        .increment(1);
    tracing::info!(
        verification_id = %verification.id, caller, action, verdict, attempts_left = left,
        "code checked"
    );
}

fn ended(event: &Event, verification: &Verification, outcome: Outcome) {
    let (action, (channel, sender)) = (verification.action.as_str(), carrier(verification));
    let (word, cause) = match outcome {
        Outcome::Approved => ("approved", None),
        Outcome::Rejected => ("rejected", None),
        Outcome::Denied => ("denied", None),
        Outcome::Canceled(CancelCause::Requested) => ("canceled", Some("requested")),
        Outcome::Canceled(CancelCause::Superseded) => ("canceled", Some("superseded")),
        Outcome::Canceled(CancelCause::Generation) => ("canceled", Some("generation")),
        Outcome::Expired => ("expired", None),
    };
    let labels = [
        ("action", action.to_owned()),
        ("channel", channel.to_owned()),
        ("sender", sender.to_owned()),
    ];
    let took = event.at.since(verification.created_at);
    if outcome == Outcome::Approved {
        metrics::histogram!("countersign_time_to_approve_seconds", &labels)
            .record(took.as_secs_f64());
    }
    let [one, two, three] = labels;
    let labels = [one, two, three, ("outcome", word.to_owned())];
    metrics::counter!("countersign_verifications_ended_total", &labels).increment(1);
    let (verification_id, caller, duration_ms) =
        (&verification.id, caller(event), micros(took) / 1000);
    // The customer says that somebody else started it: an operator should look into it.
    if outcome == Outcome::Denied {
        tracing::warn!(
            %verification_id, caller, action, outcome = word, channel, sender, duration_ms,
            "verification ended"
        );
    } else {
        tracing::info!(
            %verification_id, caller, action, outcome = word, cause, channel, sender, duration_ms,
            "verification ended"
        );
    }
}

/// Channel and sender of the latest delivery; the sender is `none` until one accepts the message.
fn carrier(verification: &Verification) -> (&'static str, &str) {
    let last = verification.latest_delivery();
    let sender = last.and_then(|delivery| delivery.sender.as_ref());
    (
        last.map_or("none", |delivery| delivery.channel.as_str()),
        sender.map_or("none", |name| name.as_str()),
    )
}

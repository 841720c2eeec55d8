//! Writes log lines and metrics about verifications: one line for each start, verdict and end that was committed, and for
//! each delivery that a commit gave up.

use crate::domain::{
    audit::event::{Event, What},
    caller::Caller,
    delivery::{Delivery, DeliveryStatus, reason::Reason},
    ids::SenderName,
    record::subject::SubjectRecord,
    time::{Timestamp, micros},
    verification::{CancelCause, Judgement, Outcome, Phase, Verification},
};

/// Logs what a commit did, from its events and the record after it.
pub(super) fn log_commit(events: &[Event], record: &SubjectRecord) {
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
            | What::ManyFailures { .. }
            | What::Unlocked { .. }
            | What::Disabled { .. } => {}
        }
    }
    for verification in &record.verifications {
        given_up(events, verification);
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
    let took = event.at.since(verification.created_at);
    if outcome == Outcome::Approved {
        let seconds = took.as_secs_f64();
        metrics::histogram!("countersign_time_to_approve_seconds", "action" => action.to_owned(), "channel" => channel)
            .record(seconds);
        metrics::histogram!("countersign_sender_time_to_approve_seconds", "channel" => channel, "sender" => sender.to_owned())
            .record(seconds);
    }
    metrics::counter!("countersign_verifications_ended_total", "action" => action.to_owned(), "channel" => channel, "outcome" => word)
        .increment(1);
    metrics::counter!("countersign_sender_verifications_ended_total", "channel" => channel, "sender" => sender.to_owned(), "outcome" => word)
        .increment(1);
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

/// Logs the deliveries of a verification that the commit gave up.
fn given_up(events: &[Event], verification: &Verification) {
    let given_up_at = |event: &Event| match (&event.what, &verification.phase) {
        (What::SendFailed { .. }, _) => Some(event.at),
        // The end gives up what still waits, without an event for each.
        (What::Closed { .. }, Phase::Closed { at, .. }) => Some(*at),
        _ => None,
    };
    let moments: Vec<Timestamp> = events
        .iter()
        .filter(|event| event.verification == Some(verification.id))
        .filter_map(given_up_at)
        .collect();
    for delivery in &verification.deliveries {
        let DeliveryStatus::Failed { reason } = &delivery.status else {
            continue;
        };
        if moments.contains(&delivery.updated_at) && is_told_here(reason) {
            not_handed_over(verification, delivery, reason);
        }
    }
}

/// Whether the commit that gives a delivery up for this reason logs it. The courier logs every other reason at once.
const fn is_told_here(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::VerificationClosed
            | Reason::TooManyTries
            | Reason::NoRecipient
            | Reason::KeyNotInRing
            | Reason::MethodDisabled
            | Reason::QuotaExceeded
            | Reason::GuardRefused
    )
}

fn not_handed_over(verification: &Verification, delivery: &Delivery, reason: &Reason) {
    let reason = reason.as_str();
    let (verification_id, delivery_id) = (&verification.id, &delivery.id);
    let channel = delivery.channel.as_str();
    let sender = delivery.sender.as_ref().map(SenderName::as_str);
    let is_waited_for = match verification.phase {
        Phase::Pending(_) => true,
        Phase::Closed { outcome, .. } => outcome == Outcome::Expired,
    };
    // After any end but expiry nobody misses the message.
    if is_waited_for {
        tracing::warn!(
            %verification_id, %delivery_id, channel, sender, outcome = "failed", reason,
            "message given up before hand-over"
        );
    } else {
        tracing::info!(
            %verification_id, %delivery_id, channel, sender, outcome = "failed", reason,
            "message given up before hand-over"
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

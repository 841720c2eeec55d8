//! Converts domain types to responses: what callers may see of a verification.

use crate::{
    domain::{
        decide::Verdict,
        delivery::{Delivery, DeliveryStatus},
        recipient::Channel,
        time::Timestamp,
        verification::{Outcome, Pending, Status},
    },
    pb::v1,
    service::verification::Reading,
};

/// A verification as it was when it was read.
pub(super) fn verification(reading: &Reading, explanation: String) -> v1::Verification {
    let Reading { snapshot, now } = reading;
    let v = &snapshot.verification;
    let last = v.latest_delivery();
    let live = v.live(*now);
    let next_step = live.and(v.next_step());
    let sends_left = live.map_or(0, |pending| v.sends_left(pending));
    v1::Verification {
        verification_id: v.id.to_string(),
        status: status(v.status(*now)).into(),
        action: v.action.as_str().to_owned(),
        channel: last
            .map_or(v1::Channel::Unspecified, |delivery| {
                channel(delivery.channel)
            })
            .into(),
        masked_recipient: last
            .map(|delivery| delivery.masked.clone())
            .unwrap_or_default(),
        expires_at: Some(instant(v.expires_at)),
        attempts_left: live.map_or(0, |pending| v.attempts_left(pending)).into(),
        sends_left: sends_left.into(),
        next_resend_at: live
            .filter(|_| sends_left > 0)
            .map(|pending| instant(pending.next_resend_at)),
        methods: live.map(methods).unwrap_or_default(),
        deliveries: v.deliveries.iter().map(delivery).collect(),
        explanation,
        created_at: Some(instant(v.created_at)),
        next_attempt_at: live
            .filter(|_| !now.has_reached(snapshot.next_attempt_at))
            .map(|_| instant(snapshot.next_attempt_at)),
        closed_at: v.closed_at(*now).map(instant),
        next_channel: next_step
            .map_or(v1::Channel::Unspecified, |step| channel(step.channel))
            .into(),
        next_step_at: next_step.map(|step| instant(step.at)),
    }
}

/// The verdict, and the number of guesses left.
pub(super) fn verdict(verdict: Verdict) -> (v1::Verdict, u32) {
    match verdict {
        Verdict::Approved => (v1::Verdict::Approved, 0),
        Verdict::Wrong { left } => (v1::Verdict::Wrong, left.into()),
        Verdict::AttemptsExhausted => (v1::Verdict::AttemptsExhausted, 0),
        Verdict::Expired => (v1::Verdict::Expired, 0),
        Verdict::Closed => (v1::Verdict::Closed, 0),
    }
}

pub(in crate::grpc) fn status(status: Status) -> v1::VerificationStatus {
    match status {
        Status::Pending => v1::VerificationStatus::Pending,
        Status::Closed(Outcome::Approved) => v1::VerificationStatus::Approved,
        Status::Closed(Outcome::Rejected) => v1::VerificationStatus::Rejected,
        Status::Closed(Outcome::Denied) => v1::VerificationStatus::Denied,
        Status::Closed(Outcome::Canceled(_)) => v1::VerificationStatus::Canceled,
        Status::Closed(Outcome::Expired) => v1::VerificationStatus::Expired,
    }
}

pub(in crate::grpc) fn channel(channel: Channel) -> v1::Channel {
    match channel {
        Channel::Sms => v1::Channel::Sms,
        Channel::Email => v1::Channel::Email,
        Channel::Voice => v1::Channel::Voice,
        Channel::Whatsapp => v1::Channel::Whatsapp,
        Channel::Push => v1::Channel::Push,
    }
}

/// The methods for permitted channels that have a recipient, best first.
fn methods(pending: &Pending) -> Vec<i32> {
    let reachable = |channel: &&Channel| pending.recipient_on(**channel).is_some();
    pending
        .limits
        .channels
        .iter()
        .filter(reachable)
        .map(|channel| method(*channel).into())
        .collect()
}

/// The method that sends a code over a channel.
pub(in crate::grpc) fn method(channel: Channel) -> v1::Method {
    match channel {
        Channel::Sms => v1::Method::SmsCode,
        Channel::Email => v1::Method::EmailCode,
        Channel::Voice => v1::Method::VoiceCode,
        Channel::Whatsapp => v1::Method::WhatsappCode,
        Channel::Push => v1::Method::Push,
    }
}

fn delivery(delivery: &Delivery) -> v1::Delivery {
    let (status, failure) = match &delivery.status {
        DeliveryStatus::Queued { .. } | DeliveryStatus::Leased(_) => {
            (v1::DeliveryStatus::Queued, "")
        }
        DeliveryStatus::Sent => (v1::DeliveryStatus::Sent, ""),
        DeliveryStatus::Delivered => (v1::DeliveryStatus::Delivered, ""),
        DeliveryStatus::Undelivered { reason } => {
            (v1::DeliveryStatus::Undelivered, reason.as_str())
        }
        DeliveryStatus::Failed { reason } => (v1::DeliveryStatus::Failed, reason.as_str()),
    };
    v1::Delivery {
        delivery_id: delivery.id.to_string(),
        channel: channel(delivery.channel).into(),
        masked_recipient: delivery.masked.clone(),
        status: status.into(),
        updated_at: Some(instant(delivery.updated_at)),
        sender: delivery
            .sender
            .as_ref()
            .map_or_else(String::new, |sender| sender.as_str().to_owned()),
        tries: delivery.tries.into(),
        failure: failure.to_owned(),
    }
}

pub(in crate::grpc) fn instant(at: Timestamp) -> prost_types::Timestamp {
    let micros = at.as_micros();
    prost_types::Timestamp {
        seconds: i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(micros % 1_000_000).unwrap_or_default() * 1000,
    }
}

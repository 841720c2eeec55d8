//! Converts domain types to the stored form.

use crate::{
    domain::{
        code::guess::Separators,
        delivery::{Delivery, DeliveryStatus, plan::Step},
        limit::failures::Tally,
        recipient::{Channel, MethodLevel, Recipient, known::Known},
        record::subject::SubjectRecord,
        time::micros,
        verification::{
            Answer, CancelCause, Contact, Judgement, Outcome, Pending, Phase, RequestMark,
            Verification,
            rules::{EntryMode, Limits, Origin},
        },
    },
    pb::store as pb,
};

pub(super) fn record(record: &SubjectRecord) -> pb::SubjectRecord {
    pb::SubjectRecord {
        generation: record.generation.0.to_vec(),
        event_salt: record.event_salt.to_vec(),
        last_event_at: record.last_event_at.as_micros(),
        anonymous: tally(&record.failures.anonymous),
        vouched: tally(&record.failures.vouched),
        verifications: record.verifications.iter().map(verification).collect(),
        reached: record.reached.as_slice().iter().map(known).collect(),
    }
}

fn known(known: &Known) -> pb::KnownRecipient {
    pb::KnownRecipient {
        mark: known.mark.to_vec(),
        since: known.since.as_micros(),
    }
}

fn tally(tally: &Tally) -> Option<pb::Tally> {
    (*tally != Tally::default()).then(|| pb::Tally {
        since_unlock: tally.since_unlock,
        since_success: tally.since_success,
        verifications: tally.verifications,
        waits: tally.waits,
        next_attempt_at: tally.next_attempt_at.as_micros(),
        rate: tally.rate.as_micros(),
        level: match tally.level {
            None => pb::Level::Unspecified,
            Some(MethodLevel::Basic) => pb::Level::Basic,
            Some(MethodLevel::Standard) => pb::Level::Standard,
        }
        .into(),
    })
}

fn verification(v: &Verification) -> pb::Verification {
    pb::Verification {
        random: v.id.random.to_vec(),
        tenant: v.tenant.as_str().to_owned(),
        caller: v.caller.as_str().to_owned(),
        action: v.action.as_str().to_owned(),
        vouched: v.origin == Origin::Vouched,
        contact: v.contact.as_ref().map(contact),
        locale: v
            .locale
            .as_ref()
            .map_or_else(String::new, |locale| locale.as_str().to_owned()),
        kid: v.kid.as_str().to_owned(),
        generation: v.generation.0.to_vec(),
        created_at: v.created_at.as_micros(),
        expires_at: v.expires_at.as_micros(),
        requests: v.requests.iter().map(request).collect(),
        answers: v.answers.iter().map(answer).collect(),
        deliveries: v.deliveries.iter().map(delivery).collect(),
        phase: Some(match &v.phase {
            Phase::Pending(p) => pb::verification::Phase::Pending(pending(p)),
            Phase::Closed { outcome: o, at } => pb::verification::Phase::Closed(pb::Closed {
                outcome: outcome(*o).into(),
                at: at.as_micros(),
            }),
        }),
    }
}

fn contact(contact: &Contact) -> pb::Contact {
    let text = |reference: &Option<crate::domain::ids::Reference>| {
        reference
            .as_ref()
            .map_or_else(String::new, |reference| reference.as_str().to_owned())
    };
    pb::Contact {
        id: contact.id.as_str().to_owned(),
        case_id: text(&contact.case),
        channel: contact.channel.clone().unwrap_or_default(),
        agent: text(&contact.agent),
    }
}

fn request(mark: &RequestMark) -> pb::RequestMark {
    pb::RequestMark {
        id: mark.id.to_vec(),
        body: mark.body.to_vec(),
    }
}

fn answer(answer: &Answer) -> pb::Answer {
    let (approved, left) = match answer.judgement {
        Judgement::Approved => (true, 0),
        Judgement::Wrong { left } => (false, left.into()),
    };
    pb::Answer {
        id: answer.id.to_vec(),
        fingerprint: answer.fingerprint.to_vec(),
        approved,
        left,
    }
}

fn delivery(delivery: &Delivery) -> pb::Delivery {
    use pb::delivery::Status;
    let undelivered_reason = match &delivery.status {
        DeliveryStatus::Undelivered { reason } => reason.to_string(),
        DeliveryStatus::Queued { .. }
        | DeliveryStatus::Leased(_)
        | DeliveryStatus::Sent
        | DeliveryStatus::Delivered
        | DeliveryStatus::Failed { .. } => String::new(),
    };
    pb::Delivery {
        id: delivery.id.0.to_vec(),
        channel: delivery.channel.as_str().to_owned(),
        recipient: u32::try_from(delivery.recipient).unwrap_or(u32::MAX),
        masked: delivery.masked.clone(),
        updated_at: delivery.updated_at.as_micros(),
        tries: delivery.tries.into(),
        position: u32::try_from(delivery.position).unwrap_or(u32::MAX),
        refusals: delivery.refusals.bits().into(),
        sender: delivery
            .sender
            .as_ref()
            .map_or_else(String::new, |sender| sender.as_str().to_owned()),
        reference: delivery
            .reference
            .as_ref()
            .map_or_else(String::new, |reference| reference.as_str().to_owned()),
        undelivered_reason,
        made_at: delivery.made_at.as_micros(),
        status: Some(match &delivery.status {
            DeliveryStatus::Queued { not_before } => Status::Queued(not_before.as_micros()),
            DeliveryStatus::Leased(lease) => Status::Leased(pb::Lease {
                token: lease.token.to_vec(),
                until: lease.until.as_micros(),
            }),
            DeliveryStatus::Sent => Status::Sent(true),
            DeliveryStatus::Delivered => Status::Delivered(true),
            DeliveryStatus::Undelivered { .. } => Status::Undelivered(true),
            DeliveryStatus::Failed { reason } => Status::Failed(reason.to_string()),
        }),
    }
}

fn pending(pending: &Pending) -> pb::Pending {
    let recipient = |recipient: &Recipient| pb::Recipient {
        channel: recipient.channel().as_str().to_owned(),
        address: recipient.expose().to_owned(),
    };
    pb::Pending {
        subject: pending.subject.as_str().to_owned(),
        nonce: pending.nonce.to_vec(),
        recipients: pending.recipients.iter().map(recipient).collect(),
        binding: pending
            .binding
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        limits: Some(limits(&pending.limits)),
        next_resend_at: pending.next_resend_at.as_micros(),
        browser: pending
            .browser
            .map_or_else(Vec::new, |browser| browser.0.to_vec()),
        decoy: pending.decoy,
        network: pending
            .network
            .map_or_else(Vec::new, |network| network.to_vec()),
    }
}

fn limits(limits: &Limits) -> pb::Limits {
    let Separators { space, hyphen } = limits.separators;
    pb::Limits {
        digits: limits.code_length.get().into(),
        code_lifetime: micros(limits.code_lifetime),
        attempts: limits.attempts.into(),
        sends: limits.sends.into(),
        resend_cooldown: micros(limits.resend_cooldown),
        space,
        hyphen,
        entry_modes: limits
            .entry_modes
            .iter()
            .copied()
            .map(EntryMode::as_str)
            .map(str::to_owned)
            .collect(),
        channels: limits
            .channels
            .iter()
            .copied()
            .map(Channel::as_str)
            .map(str::to_owned)
            .collect(),
        plan: limits.plan.iter().map(step).collect(),
    }
}

fn step(step: &Step) -> pb::PlanStep {
    pb::PlanStep {
        channel: step.channel.as_str().to_owned(),
        wait: step.wait.map(micros).unwrap_or_default(),
    }
}

fn outcome(outcome: Outcome) -> pb::Outcome {
    match outcome {
        Outcome::Approved => pb::Outcome::Approved,
        Outcome::Rejected => pb::Outcome::Rejected,
        Outcome::Denied => pb::Outcome::Denied,
        Outcome::Canceled(CancelCause::Requested) => pb::Outcome::Canceled,
        Outcome::Canceled(CancelCause::Superseded) => pb::Outcome::Superseded,
        Outcome::Canceled(CancelCause::Generation) => pb::Outcome::Generation,
        Outcome::Expired => pb::Outcome::Expired,
    }
}

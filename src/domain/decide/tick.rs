//! Does what is due on a record, and takes the reports of what was handed over.

use super::{Context, Decision, Durability, Next, plan::take_step};
use crate::domain::{
    audit::event::{Event, What},
    delivery::{Delivery, DeliveryStatus, HandOver, Lease},
    ids::{DeliveryId, VerificationId},
    record::subject::SubjectRecord,
    verification::{Outcome, Phase, Verification, rules::EXPIRY_GRACE},
};

/// Do what is due.
#[derive(Clone, Debug)]
pub struct Tick {
    /// The right to hand over what is due.
    pub lease: Lease,
    /// How many deliveries this process has free hands for.
    pub hands: usize,
    /// The id of the delivery that the next step of a plan makes, of fresh random bits.
    pub delivery: DeliveryId,
}

/// A delivery to hand over now, under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Of which verification.
    pub verification: VerificationId,
    /// Which delivery.
    pub delivery: DeliveryId,
    /// The lease's token.
    pub token: [u8; 16],
}

/// Decides [`Tick`].
#[must_use]
pub fn tick(record: Option<SubjectRecord>, command: &Tick, cx: &Context<'_>) -> Decision<Vec<Work>> {
    // A due entry without a record: the store dropped the record, and the entry goes too.
    let Some(before) = record else { return Decision { next: Next::Delete, ..Decision::same(Ok(Vec::new())) } };
    let mut events = Vec::new();
    let at = cx.now.stamp();
    let changed = before.generation != cx.generation;
    let mut record = before
        .adopt(cx.generation, cx.rules, cx.now, &mut events)
        .close_where(at, &mut events, |v| cx.now.has_reached(v.expires_at.plus(EXPIRY_GRACE)).then_some(Outcome::Expired))
        .forget(cx.now, cx.rules);
    let mut work = lease_due(&mut record, command, cx, &mut events);
    let is_idle = |v: &Verification| !v.deliveries.iter().any(|delivery| delivery.is_due(cx.now));
    let mut outgoing = None;
    // A step of a plan is drawn from the quotas, which may not answer: what is due beside it does not wait for that.
    if events.is_empty() && work.is_empty() && record.verifications.iter().all(is_idle) {
        outgoing = take_step(&mut record, command, cx, &mut events);
        if outgoing.is_some() {
            work = lease_due(&mut record, command, cx, &mut events);
        }
    }
    let quiet_until = record.last_event_at.plus(cx.rules.event_retention);
    if record.verifications.is_empty() && cx.now.has_reached(quiet_until) {
        record = record.settle(cx.now);
    }
    let next = if events.is_empty() && record.is_spent(cx.now, cx.rules) {
        Next::Delete
    } else {
        // Even if nothing changed: the commit brings the due index up to date, else the record would be due for ever.
        let durability = Durability::of_penalty(changed);
        Next::Write(Box::new(record), durability)
    };
    Decision { next, events, outgoing, reply: Ok(work) }
}

/// Leases what is due, as much as there are hands for, and gives up what is due after the end.
fn lease_due(record: &mut SubjectRecord, command: &Tick, cx: &Context<'_>, events: &mut Vec<Event>) -> Vec<Work> {
    let (mut work, at) = (Vec::new(), cx.now.stamp());
    for verification in &mut record.verifications {
        let due = verification.deliveries.iter_mut().filter(|delivery| delivery.is_due(cx.now));
        let is_live = matches!(verification.phase, Phase::Pending(_)) && !cx.now.is_past(verification.expires_at);
        let mut gave_up = Vec::new();
        for delivery in due {
            if is_live && work.len() >= command.hands {
                continue;
            }
            *delivery = if is_live {
                delivery.clone().lease(command.lease, at)
            } else {
                delivery.clone().fail("verification_closed", at)
            };
            match &delivery.status {
                DeliveryStatus::Leased(lease) => {
                    work.push(Work { verification: verification.id, delivery: delivery.id, token: lease.token });
                }
                DeliveryStatus::Failed { reason } => gave_up.push((delivery.channel, reason.clone())),
                DeliveryStatus::Queued { .. }
                | DeliveryStatus::Sent
                | DeliveryStatus::Delivered
                | DeliveryStatus::Undelivered { .. } => {}
            }
        }
        events.extend(
            gave_up.into_iter().map(|(channel, reason)| Event::of(verification, at, What::SendFailed { channel, reason })),
        );
    }
    work
}

/// Say how a hand-over ended.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was to be handed over.
    pub work: Work,
    /// The sender of the settings.
    pub sender: String,
    /// How it ended.
    pub outcome: HandOver,
}

/// Decides [`Report`]. Under another token it only records that the message went out; without the record it does nothing.
#[must_use]
pub fn report(record: Option<SubjectRecord>, command: &Report, cx: &Context<'_>) -> Decision<()> {
    let Some(record) = record else { return Decision::same(Ok(())) };
    let at = cx.now.stamp();
    let mut events = Vec::new();
    let mut changed = false;
    let record = record.step(&command.work.verification, |mut verification| {
        let place = verification.deliveries.iter().position(|delivery| delivery.id == command.work.delivery);
        let reported = place.and_then(|place| {
            let delivery = verification.deliveries[place].clone();
            Some((place, delivery.report(&command.work.token, &command.sender, command.outcome.clone(), at)?))
        });
        if let Some((place, delivery)) = reported {
            let delivery = after_the_end(&verification, delivery, cx);
            // What a receipt told before is not told again.
            let is_news = delivery.status != verification.deliveries[place].status;
            let what = event_of(&delivery, &command.sender).filter(|_| is_news);
            events.extend(what.map(|what| Event::of(&verification, at, what)));
            verification.deliveries[place] = delivery;
            changed = true;
        }
        verification
    });
    let next = if changed { Next::Write(Box::new(record), Durability::Plain) } else { Next::Same };
    Decision { next, events, outgoing: None, reply: Ok(()) }
}

/// Nothing waits for another try once the verification is over.
fn after_the_end(verification: &Verification, delivery: Delivery, cx: &Context<'_>) -> Delivery {
    let waits = matches!(delivery.status, DeliveryStatus::Queued { .. });
    if waits && verification.live(cx.now).is_none() { delivery.fail("verification_closed", cx.now.stamp()) } else { delivery }
}

/// What is written down of a delivery that has a new status.
pub(super) fn event_of(delivery: &Delivery, sender: &str) -> Option<What> {
    let channel = delivery.channel;
    match &delivery.status {
        DeliveryStatus::Delivered => Some(What::Delivered { channel, sender: sender.to_owned() }),
        DeliveryStatus::Undelivered { reason } => {
            Some(What::Undelivered { channel, sender: sender.to_owned(), reason: reason.clone() })
        }
        DeliveryStatus::Sent => Some(What::Sent { channel, sender: sender.to_owned() }),
        DeliveryStatus::Failed { reason } => Some(What::SendFailed { channel, reason: reason.clone() }),
        DeliveryStatus::Queued { .. } | DeliveryStatus::Leased(_) => None,
    }
}

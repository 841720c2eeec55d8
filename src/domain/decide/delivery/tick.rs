//! Does what is due on a record.

use super::plan::take_step;
use crate::domain::{
    audit::event::{Event, What},
    decide::{Context, Decision, Durability, Next},
    delivery::{DeliveryStatus, Lease},
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
pub fn tick(
    record: Option<SubjectRecord>,
    command: &Tick,
    cx: &Context<'_>,
) -> Decision<Vec<Work>> {
    // A due entry without a record: the store dropped the record, and the entry goes too.
    let Some(before) = record else {
        return Decision {
            next: Next::Delete,
            ..Decision::same(Ok(Vec::new()))
        };
    };
    let mut events = Vec::new();
    let at = cx.now.stamp();
    let changed = before.generation != cx.generation;
    let mut record = before
        .adopt(cx.generation, cx.rules, cx.now, &mut events)
        .close_where(at, &mut events, |v| {
            cx.now
                .has_reached(v.expires_at.plus(EXPIRY_GRACE))
                .then_some(Outcome::Expired)
        })
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
    Decision {
        next,
        events,
        outgoing,
        reply: Ok(work),
    }
}

/// Leases what is due, as much as there are hands for, and gives up what is due after the end.
fn lease_due(
    record: &mut SubjectRecord,
    command: &Tick,
    cx: &Context<'_>,
    events: &mut Vec<Event>,
) -> Vec<Work> {
    let (mut work, at) = (Vec::new(), cx.now.stamp());
    for verification in &mut record.verifications {
        let due = verification
            .deliveries
            .iter_mut()
            .filter(|delivery| delivery.is_due(cx.now));
        let is_live = matches!(verification.phase, Phase::Pending(_))
            && !cx.now.is_past(verification.expires_at);
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
                    work.push(Work {
                        verification: verification.id,
                        delivery: delivery.id,
                        token: lease.token,
                    });
                }
                DeliveryStatus::Failed { reason } => {
                    gave_up.push((delivery.channel, reason.clone()));
                }
                DeliveryStatus::Queued { .. }
                | DeliveryStatus::Sent
                | DeliveryStatus::Delivered
                | DeliveryStatus::Undelivered { .. } => {}
            }
        }
        events.extend(gave_up.into_iter().map(|(channel, reason)| {
            Event::of(verification, at, What::SendFailed { channel, reason })
        }));
    }
    work
}

//! Does what is due on a record.

use super::{lease::lease, plan::take_step};
use crate::domain::{
    audit::event::{Event, What},
    decide::{Context, Decision, Durability, Next},
    delivery::{Delivery, DeliveryStatus, hands::FreeHands, reason::Reason},
    ids::{DeliveryId, VerificationId},
    record::subject::SubjectRecord,
    time::{Now, Timestamp},
    verification::{Outcome, Verification, rules::EXPIRY_GRACE},
};

/// The command to do what is due on a record.
#[derive(Clone, Debug)]
pub struct Tick {
    /// The id of the delivery that the next step of a plan makes, of fresh random bits.
    pub delivery: DeliveryId,
    /// A delivery that waited for a hand, now that one is free: it is due, though its wait is not over.
    pub freed: Option<DeliveryId>,
}

/// A delivery to hand over now, under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The verification.
    pub verification: VerificationId,
    /// Its delivery.
    pub delivery: DeliveryId,
    /// The token of the lease.
    pub token: [u8; 16],
}

/// Decides [`Tick`] for a record that is in the due index.
#[must_use]
pub fn tick(
    record: Option<SubjectRecord>,
    command: &Tick,
    hands: &dyn FreeHands,
    cx: &Context<'_>,
) -> Decision<()> {
    // A due entry without a record: the store dropped the record, and the entry goes too.
    let Some(before) = record else {
        return Decision {
            next: Next::Delete,
            ..Decision::same(Ok(()))
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
    let is_busy = lease_due(&mut record, command, hands, cx, &mut events);
    let is_idle = |v: &Verification| !v.deliveries.iter().any(|delivery| delivery.is_due(cx.now));
    let mut outgoing = None;
    // A step of a plan is drawn from the quotas, which may not answer: what is due beside it does not wait for that.
    if events.is_empty() && !is_busy && record.verifications.iter().all(is_idle) {
        outgoing = take_step(&mut record, command, cx, &mut events);
        if outgoing.is_some() {
            lease_due(&mut record, command, hands, cx, &mut events);
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
        reply: Ok(()),
    }
}

/// Decides [`Tick`] for a record of which this process knows that something is to be sent. If nothing is, because somebody
/// else was faster or it is too early, nothing is written, and the reply says when the next is to be sent.
#[must_use]
pub fn wake(
    record: Option<SubjectRecord>,
    command: &Tick,
    hands: &dyn FreeHands,
    cx: &Context<'_>,
) -> Decision<Option<Timestamp>> {
    let Some(record) = record else {
        return Decision::same(Ok(None));
    };
    let next = record.next_send(cx.now, |_| false);
    let is_freed = |delivery: &Delivery| command.is_freed(delivery, cx.now);
    let is_due = next.is_some_and(|at| cx.now.has_reached(at))
        || record.pending().flat_map(|v| &v.deliveries).any(is_freed);
    if !is_due {
        return Decision::same(Ok(next));
    }
    let Decision {
        next,
        events,
        outgoing,
        reply,
    } = tick(Some(record), command, hands, cx);
    Decision {
        next,
        events,
        outgoing,
        reply: reply.map(|()| None),
    }
}

impl Tick {
    fn is_freed(&self, delivery: &Delivery, now: Now) -> bool {
        self.freed == Some(delivery.id) && delivery.may_take_freed_hand(now)
    }
}

/// Leases what is due, as far as there are hands for it, and gives up what is due after the end. Says whether anything was due.
fn lease_due(
    record: &mut SubjectRecord,
    command: &Tick,
    hands: &dyn FreeHands,
    cx: &Context<'_>,
    events: &mut Vec<Event>,
) -> bool {
    let (mut was_due, at) = (false, cx.now.stamp());
    for verification in &mut record.verifications {
        let is_live = verification.live(cx.now).is_some();
        for place in 0..verification.deliveries.len() {
            let delivery = &verification.deliveries[place];
            if !delivery.is_due(cx.now) && !command.is_freed(delivery, cx.now) {
                continue;
            }
            was_due = true;
            if is_live {
                lease(verification, place, hands, at);
            } else {
                verification.deliveries[place] =
                    delivery.clone().fail(Reason::VerificationClosed, at);
            }
            let delivery = &verification.deliveries[place];
            if let DeliveryStatus::Failed { reason } = &delivery.status {
                let (channel, reason) = (delivery.channel, reason.clone());
                let what = What::SendFailed { channel, reason };
                events.push(Event::of(verification, at, what));
            }
        }
    }
    was_due
}

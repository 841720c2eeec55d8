//! Does what is due on a record: expiries, deliveries, steps of channel plans.

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
    /// The id for the delivery that the next step of a plan may add: fresh random bits.
    pub delivery: DeliveryId,
    /// A delivery that waited for a free hand and may now have one: it is due before
    /// its wait is over.
    pub freed: Option<DeliveryId>,
}

/// A delivery to hand over now, under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The verification that the delivery belongs to.
    pub verification: VerificationId,
    /// The delivery that was leased.
    pub delivery: DeliveryId,
    /// The token of the lease, which the report must repeat.
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
    // The store dropped the record, so its entry in the due index goes too.
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
    // A step of a plan needs a draw from the quotas, and the quotas may be unavailable. Everything
    // else that is due is committed first, so it does not wait for that.
    if events.is_empty() && !is_busy && record.verifications.iter().all(is_idle) {
        outgoing = take_step(&mut record, command, cx, &mut events);
        if outgoing.is_some() {
            lease_due(&mut record, command, hands, cx, &mut events);
        }
    }
    let quiet_until = record.last_event_at.plus(cx.rules.event_retention);
    if record.verifications.is_empty() && cx.now.has_reached(quiet_until) {
        record = record.keep_only_counts(cx.now);
    }
    let next = if events.is_empty() && record.is_spent(cx.now, cx.rules) {
        Next::Delete
    } else {
        // Written even if nothing changed: the commit updates the due index, or else the record
        // would stay due for ever.
        let durability = Durability::for_change_of_generation(changed);
        Next::Write(Box::new(record), durability)
    };
    Decision {
        next,
        events,
        outgoing,
        reply: Ok(()),
    }
}

/// Decides [`Tick`] for a record that this process expects to be due. If nothing is due, because
/// another process was faster or it is too early, nothing is written, and the reply says when the
/// next message is due.
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

/// Leases what is due, as long as there are free hands, and fails what is due after the end of its
/// verification. Returns whether anything was due.
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

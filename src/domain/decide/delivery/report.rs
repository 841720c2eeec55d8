//! Notes how a hand-over to a sender ended.

use super::{lease::lease, tick::Work};
use crate::domain::{
    audit::event::{Event, What},
    decide::{Context, Decision, Durability, Next},
    delivery::{Delivery, DeliveryStatus, HandOver, hands::FreeHands, reason::Reason},
    ids::SenderName,
    record::subject::SubjectRecord,
    time::Timestamp,
    verification::Verification,
};

/// The command to note how a hand-over ended.
#[derive(Clone, Debug)]
pub struct Report {
    /// The delivery that was to be handed over, and its lease.
    pub work: Work,
    /// The sender that was asked; `None` if none was.
    pub sender: Option<SenderName>,
    /// What the sender said, or why none was asked.
    pub outcome: HandOver,
}

/// Decides [`Report`]. If the message goes on to the next sender at once, the same commit leases it
/// again, provided that sender has a free hand. A report with another lease token only records that
/// the message went out; without a record nothing happens.
#[must_use]
pub fn report(
    record: Option<SubjectRecord>,
    command: &Report,
    hands: &dyn FreeHands,
    cx: &Context<'_>,
) -> Decision<()> {
    let Some(record) = record else {
        return Decision::same(Ok(()));
    };
    let mut reported = Reported::default();
    let record = record.step(&command.work.verification, |verification| {
        reported.by(verification, command, hands, cx)
    });
    let next = if reported.changed {
        Next::Write(Box::new(record), Durability::Plain)
    } else {
        Next::Same
    };
    Decision {
        next,
        events: reported.events,
        outgoing: None,
        reply: Ok(()),
    }
}

/// The effect of a report on the record.
#[derive(Default)]
struct Reported {
    changed: bool,
    events: Vec<Event>,
}

impl Reported {
    fn by(
        &mut self,
        mut verification: Verification,
        command: &Report,
        hands: &dyn FreeHands,
        cx: &Context<'_>,
    ) -> Verification {
        let (at, sender) = (cx.now.stamp(), command.sender.as_ref());
        let Some((place, delivery)) = reported(&verification, command, cx) else {
            return verification;
        };
        let before = std::mem::replace(&mut verification.deliveries[place], delivery);
        if goes_on_at(&verification.deliveries[place], at) {
            lease(&mut verification, place, hands, at);
        }
        let after = &verification.deliveries[place];
        // No second event for a status that a receipt has already set.
        let what = event_of(after, sender).filter(|_| after.status != before.status);
        self.events
            .extend(what.map(|what| Event::of(&verification, at, what)));
        self.changed = true;
        verification
    }
}

/// The delivery after the report, with its place; `None` if the report changes nothing.
fn reported(
    verification: &Verification,
    command: &Report,
    cx: &Context<'_>,
) -> Option<(usize, Delivery)> {
    let at = cx.now.stamp();
    let place = verification
        .deliveries
        .iter()
        .position(|delivery| delivery.id == command.work.delivery)?;
    let delivery = verification.deliveries[place].clone().report(
        &command.work.token,
        command.sender.as_ref(),
        command.outcome.clone(),
        at,
    )?;
    // Once the verification has ended, nothing waits for another try.
    let waits = matches!(delivery.status, DeliveryStatus::Queued { .. });
    let delivery = if waits && verification.live(cx.now).is_none() {
        delivery.fail(Reason::VerificationClosed, at)
    } else {
        delivery
    };
    Some((place, delivery))
}

/// Whether the delivery may be handed over again without a pause.
fn goes_on_at(delivery: &Delivery, at: Timestamp) -> bool {
    matches!(delivery.status, DeliveryStatus::Queued { not_before } if not_before <= at)
}

/// The event of a delivery that has a new status; `None` if it waits for its next hand-over.
pub(super) fn event_of(delivery: &Delivery, sender: Option<&SenderName>) -> Option<What> {
    let channel = delivery.channel;
    let by = || sender.cloned();
    match &delivery.status {
        DeliveryStatus::Delivered => Some(What::Delivered {
            channel,
            sender: by()?,
        }),
        DeliveryStatus::Undelivered { reason } => Some(What::Undelivered {
            channel,
            sender: by()?,
            reason: reason.clone(),
        }),
        DeliveryStatus::Sent => Some(What::Sent {
            channel,
            sender: by()?,
        }),
        DeliveryStatus::Failed { reason } => Some(What::SendFailed {
            channel,
            reason: reason.clone(),
        }),
        DeliveryStatus::Queued { .. } | DeliveryStatus::Leased(_) => None,
    }
}

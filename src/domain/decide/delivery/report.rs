//! Takes the reports of what was handed over.

use super::tick::Work;
use crate::domain::{
    audit::event::{Event, What},
    decide::{Context, Decision, Durability, Next},
    delivery::{Delivery, DeliveryStatus, HandOver},
    ids::SenderName,
    record::subject::SubjectRecord,
    verification::Verification,
};

/// Say how a hand-over ended.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was to be handed over.
    pub work: Work,
    /// The sender that was asked; `None` if nobody was.
    pub sender: Option<SenderName>,
    /// How it ended.
    pub outcome: HandOver,
}

/// Decides [`Report`]. Under another token it only records that the message went out; without the record it does nothing.
#[must_use]
pub fn report(record: Option<SubjectRecord>, command: &Report, cx: &Context<'_>) -> Decision<()> {
    let Some(record) = record else {
        return Decision::same(Ok(()));
    };
    let at = cx.now.stamp();
    let mut events = Vec::new();
    let mut changed = false;
    let record = record.step(&command.work.verification, |mut verification| {
        let place = verification
            .deliveries
            .iter()
            .position(|delivery| delivery.id == command.work.delivery);
        let reported = place.and_then(|place| {
            let delivery = verification.deliveries[place].clone();
            Some((
                place,
                delivery.report(
                    &command.work.token,
                    command.sender.as_ref(),
                    command.outcome.clone(),
                    at,
                )?,
            ))
        });
        if let Some((place, delivery)) = reported {
            let delivery = after_the_end(&verification, delivery, cx);
            // What a receipt told before is not told again.
            let is_news = delivery.status != verification.deliveries[place].status;
            let what = event_of(&delivery, command.sender.as_ref()).filter(|_| is_news);
            events.extend(what.map(|what| Event::of(&verification, at, what)));
            verification.deliveries[place] = delivery;
            changed = true;
        }
        verification
    });
    let next = if changed {
        Next::Write(Box::new(record), Durability::Plain)
    } else {
        Next::Same
    };
    Decision {
        next,
        events,
        outgoing: None,
        reply: Ok(()),
    }
}

/// Nothing waits for another try once the verification is over.
fn after_the_end(verification: &Verification, delivery: Delivery, cx: &Context<'_>) -> Delivery {
    let waits = matches!(delivery.status, DeliveryStatus::Queued { .. });
    if waits && verification.live(cx.now).is_none() {
        delivery.fail("verification_closed", cx.now.stamp())
    } else {
        delivery
    }
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

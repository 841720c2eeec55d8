//! Notes a provider's receipt, the report on a message that it accepted earlier. A receipt changes
//! a delivery, never a verdict.

use super::report::event_of;
use crate::domain::{
    audit::event::Event,
    decide::{Context, Decision, Durability, Next},
    delivery::{reason::Reason, receipt::Receipt},
    ids::{DeliveryId, SenderName},
    record::subject::SubjectRecord,
    verification::Verification,
};

/// The command to note a provider's receipt.
#[derive(Clone, Debug)]
pub struct NoteReceipt {
    /// The delivery, anywhere in the record.
    pub delivery: DeliveryId,
    /// The sender, by its name in the settings, whose callback received it.
    pub sender: SenderName,
    /// The status that the provider reports.
    pub receipt: Receipt,
}

/// What a receipt did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// The delivery got a new status.
    Changed,
    /// The delivery did not change: the receipt says nothing new or comes too late.
    Unchanged,
    /// The delivery does not exist, or no longer does.
    Unknown,
}

/// Decides [`NoteReceipt`]. A receipt is noted even after the verification ended: its readers still
/// see whether the message arrived.
#[must_use]
pub fn receipt(
    record: Option<SubjectRecord>,
    command: &NoteReceipt,
    cx: &Context<'_>,
) -> Decision<Noted> {
    let mut record = record;
    let found = record
        .as_mut()
        .and_then(|record| find(record, &command.delivery));
    let Some((verification, place)) = found else {
        return Decision::same(Ok(Noted::Unknown));
    };
    let at = cx.now.stamp();
    let said = kept(verification, &command.receipt, cx);
    let Some(delivery) = verification.deliveries[place]
        .clone()
        .receive(&command.sender, said, at)
    else {
        return Decision::same(Ok(Noted::Unchanged));
    };
    let events = event_of(&delivery, Some(&command.sender))
        .map(|what| Event::of(verification, at, what))
        .into_iter()
        .collect();
    verification.deliveries[place] = delivery;
    let next = record.map_or(Next::Same, |record| {
        Next::Write(Box::new(record), Durability::Plain)
    });
    Decision {
        next,
        events,
        outgoing: None,
        reply: Ok(Noted::Changed),
    }
}

fn find<'a>(
    record: &'a mut SubjectRecord,
    id: &DeliveryId,
) -> Option<(&'a mut Verification, usize)> {
    record.verifications.iter_mut().find_map(|verification| {
        let place = verification
            .deliveries
            .iter()
            .position(|delivery| delivery.id == *id)?;
        Some((verification, place))
    })
}

/// The receipt with a reason that may be stored: a provider that gives the code back must not get it kept.
fn kept(verification: &Verification, receipt: &Receipt, cx: &Context<'_>) -> Receipt {
    match receipt {
        Receipt::Undelivered { reason } => {
            let tells = verification
                .code(cx.keyring, cx.tests)
                .is_some_and(|code| reason.as_str().contains(code.expose()));
            let reason = if tells {
                Reason::NotSaid
            } else {
                reason.clone()
            };
            Receipt::Undelivered { reason }
        }
        Receipt::Sent | Receipt::Delivered => receipt.clone(),
    }
}

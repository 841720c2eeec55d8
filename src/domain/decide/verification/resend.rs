//! Sends the same code once more.

use crate::domain::{
    audit::event::{Event, What},
    decide::{
        Context, Decision, Durability, Found, Occasion, Outgoing, Snapshot, Target,
        delivery::lease::lease, find,
    },
    delivery::{Delivery, hands::FreeHands},
    ids::DeliveryId,
    recipient::Channel,
    record::subject::SubjectRecord,
    refusal::Refusal,
    verification::{Pending, Phase, RequestMark, Verification},
};

/// The command to send the code of a verification again.
#[derive(Clone, Debug)]
pub struct Resend {
    /// The verification, and the caller that asks.
    pub target: Target,
    /// Keyed hashes of the request's id and body; a repeat sends nothing and gets the same answer.
    pub request: RequestMark,
    /// The channel to use; `None` for the one used last.
    pub channel: Option<Channel>,
    /// The id for the new delivery: fresh random bits.
    pub delivery: DeliveryId,
}

/// Decides [`Resend`]. The message is leased to this process if it has a free hand. The code, its
/// expiry and the attempts left do not change.
#[must_use]
pub fn resend(
    record: Option<SubjectRecord>,
    command: &Resend,
    hands: &dyn FreeHands,
    cx: &Context<'_>,
) -> Decision<Snapshot> {
    let found = match find(record, &command.target, cx) {
        Ok(found) => found,
        Err(refusal) => return Decision::refuse(refusal),
    };
    let repeat = found
        .record
        .find_request(&command.request.id)
        .map(|(verification, body)| {
            let same = verification.id == command.target.id && *body == command.request.body;
            if same {
                Ok(found.snapshot())
            } else {
                Err(Refusal::RequestIdReused)
            }
        });
    if let Some(reply) = repeat {
        return found.answer(reply);
    }
    match next_delivery(&found, command, cx) {
        Ok((delivery, outgoing)) => send(found, command, (delivery, outgoing), hands, cx),
        Err(refusal) => found.answer(Err(refusal)),
    }
}

/// The delivery to add, and its message as the quotas count it.
fn next_delivery(
    found: &Found,
    command: &Resend,
    cx: &Context<'_>,
) -> Result<(Delivery, Outgoing), Refusal> {
    found.check_generation()?;
    let verification = found.verification();
    let pending = verification.live(cx.now).ok_or(Refusal::Closed)?;
    found.record.check_enabled(verification.origin, cx.rules)?;
    if verification.sends_left(pending) == 0 {
        return Err(Refusal::SendsExhausted {
            sends: pending.limits.sends,
            retry_after: cx.now.until(verification.expires_at),
        });
    }
    if !cx.now.has_reached(pending.next_resend_at) {
        return Err(Refusal::ResendTooEarly {
            cooldown: pending.limits.resend_cooldown,
            retry_after: cx.now.until(pending.next_resend_at),
        });
    }
    let last = verification
        .latest_delivery()
        .map(|delivery| delivery.channel);
    let channel = command.channel.or(last);
    let (index, recipient) = channel
        .and_then(|channel| pending.recipient_on(channel))
        .ok_or_else(|| Refusal::ChannelNotPermitted {
            permitted: pending.reachable(),
        })?;
    let outgoing = Outgoing::again(verification, pending, recipient, Occasion::Resend);
    Ok((
        Delivery::queued(command.delivery, index, recipient, cx.now.stamp()),
        outgoing,
    ))
}

fn send(
    mut found: Found,
    command: &Resend,
    add: (Delivery, Outgoing),
    hands: &dyn FreeHands,
    cx: &Context<'_>,
) -> Decision<Snapshot> {
    let (at, (delivery, outgoing)) = (cx.now.stamp(), add);
    let new_recipient = found.record.meet(&outgoing.recipient, cx);
    found.events.push(Event::of(
        found.verification(),
        at,
        What::Resent {
            channel: delivery.channel,
        },
    ));
    found.record = found.record.step(&command.target.id, |mut verification| {
        verification.deliveries.push(delivery);
        let place = verification.deliveries.len() - 1;
        lease(&mut verification, place, hands, at);
        verification.requests.push(command.request);
        if let Phase::Pending(pending) = &mut verification.phase {
            pending.next_resend_at = at.plus(pending.limits.resend_cooldown);
        }
        verification
    });
    let reply = found.snapshot();
    let outgoing = Some(Outgoing {
        new_recipient,
        ..outgoing
    });
    Decision {
        outgoing,
        ..found.write(Durability::Plain, reply)
    }
}

impl Verification {
    /// The sends left while it is pending.
    #[must_use]
    pub fn sends_left(&self, pending: &Pending) -> u8 {
        pending
            .limits
            .sends
            .saturating_sub(u8::try_from(self.deliveries.len()).unwrap_or(u8::MAX))
    }
}

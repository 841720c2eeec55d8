//! Finds the next step of a channel plan, and takes it when it is due.

use crate::domain::{
    audit::event::{Event, What},
    decide::{Context, Occasion, Outgoing, Tick},
    delivery::{Delivery, DeliveryStatus, plan::NextStep, reason::Reason},
    recipient::Channel,
    record::subject::SubjectRecord,
    verification::{Pending, Phase, Verification},
};

/// Takes the first step that is due: adds a queued delivery, and returns its message as the quotas
/// count it. If the message may not be sent, a failed delivery is added, so that callers see the
/// step and the plan goes on.
pub(super) fn take_step(
    record: &mut SubjectRecord,
    command: &Tick,
    cx: &Context<'_>,
    events: &mut Vec<Event>,
) -> Option<Outgoing> {
    let (place, step) =
        record
            .verifications
            .iter()
            .enumerate()
            .find_map(|(place, verification)| {
                let step = verification.live(cx.now).and(verification.next_step())?;
                cx.now.has_reached(step.at).then_some((place, step))
            })?;
    let verification = &record.verifications[place];
    let pending = verification.live(cx.now)?;
    let (index, recipient) = pending.recipient_on(step.channel)?;
    let at = cx.now.stamp();
    let delivery = Delivery::queued(command.delivery, index, recipient, at);
    let mut outgoing = Outgoing::again(verification, pending, recipient, Occasion::Plan);
    let refused = refusal(record, verification, &outgoing, cx);
    let what = match &refused {
        Some(reason) => What::SendFailed {
            channel: step.channel,
            reason: reason.clone(),
        },
        None => What::MovedOn {
            channel: step.channel,
        },
    };
    events.push(Event::of(verification, at, what));
    let is_sent = refused.is_none();
    if is_sent {
        outgoing.new_recipient = record.meet(&outgoing.recipient, cx);
    }
    let verification = &mut record.verifications[place];
    verification.deliveries.push(match refused {
        Some(reason) => delivery.fail(reason, at),
        None => delivery,
    });
    if let (Phase::Pending(pending), true) = (&mut verification.phase, is_sent) {
        pending.next_resend_at = at.plus(pending.limits.resend_cooldown);
    }
    is_sent.then_some(outgoing)
}

/// Why the message may not be sent; `None` if it may.
fn refusal(
    record: &SubjectRecord,
    verification: &Verification,
    message: &Outgoing,
    cx: &Context<'_>,
) -> Option<Reason> {
    let same = |other: &Outgoing| {
        (&other.recipient, &other.action) == (&message.recipient, &message.action)
    };
    let by_quota = cx
        .refused
        .filter(|refused| same(&refused.message))
        .map(|refused| refused.reason.clone());
    let is_enabled = record.check_enabled(verification.origin, cx.rules).is_ok();
    by_quota.or((!is_enabled).then_some(Reason::MethodDisabled))
}

impl Verification {
    /// The next step of its plan: the first untried channel after the one used last, no matter who
    /// asked for that one. `None` if the step would come after the expiry or all sends are used.
    #[must_use]
    pub fn next_step(&self) -> Option<NextStep> {
        let Phase::Pending(pending) = &self.phase else {
            return None;
        };
        if pending.limits.plan.is_empty() || self.sends_left(pending) == 0 {
            return None;
        }
        let (plan, last) = (&pending.limits.plan, self.deliveries.last()?);
        let current_step = self
            .deliveries
            .iter()
            .rev()
            .find_map(|made| plan.iter().position(|step| step.channel == made.channel))?;
        let channel = plan
            .iter()
            .skip(current_step + 1)
            .map(|step| step.channel)
            .find(|channel| self.may_step(pending, *channel))?;
        let at = match &last.status {
            DeliveryStatus::Failed { .. } | DeliveryStatus::Undelivered { .. } => last.updated_at,
            DeliveryStatus::Queued { .. }
            | DeliveryStatus::Leased(_)
            | DeliveryStatus::Sent
            | DeliveryStatus::Delivered => last.made_at.plus(plan[current_step].wait?),
        };
        (at < self.expires_at).then_some(NextStep { channel, at })
    }

    fn may_step(&self, pending: &Pending, channel: Channel) -> bool {
        let is_taken = self.deliveries.iter().any(|made| made.channel == channel);
        !is_taken && pending.recipient_on(channel).is_some()
    }
}

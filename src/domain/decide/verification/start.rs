//! Starts a verification.

use crate::domain::{
    audit::event::{Event, What},
    code::link::BrowserMark,
    decide::{Context, Decision, Durability, Next, Outgoing, Standing},
    delivery::{Delivery, Lease, plan::resolve},
    ids::{ActionName, CallerName, DeliveryId, Locale, SubjectId, TenantId, VerificationId},
    recipient::{Channel, Recipient, rules::Unfit},
    record::subject::SubjectRecord,
    refusal::Refusal,
    verification::{
        CancelCause, Contact, Outcome, Pending, Phase, RequestMark, Verification,
        binding::Binding,
        rules::{LIVE_ANONYMOUS_MAX, LIVE_VOUCHED_MAX, Limits, Origin},
    },
};

/// Start a verification.
#[derive(Clone, Debug)]
pub struct Start {
    /// Whose customer.
    pub tenant: TenantId,
    /// Who asks.
    pub caller: CallerName,
    /// Which customer.
    pub subject: SubjectId,
    /// What for.
    pub action: ActionName,
    /// Could anybody have asked?
    pub origin: Origin,
    /// The contact that asks.
    pub contact: Option<Contact>,
    /// Language of the customer.
    pub locale: Option<Locale>,
    /// Where the customer can be reached, best first. Only who may get a message is here: whatever comes later, resends
    /// included, reaches nobody else.
    pub recipients: Vec<Recipient>,
    /// The roads to those who may not, and why.
    pub passed_over: Vec<(Channel, Unfit)>,
    /// What the customer prefers.
    pub preferred: Option<Channel>,
    /// What is approved.
    pub binding: Binding,
    /// The resolved rules, with the plan of the action.
    pub limits: Limits,
    /// The browser that asked.
    pub browser: Option<BrowserMark>,
    /// Is there nobody behind it?
    pub decoy: bool,
    /// Recognises a repeat.
    pub request: RequestMark,
    /// The new verification's id, of fresh random bits.
    pub id: VerificationId,
    /// The first delivery's id, of fresh random bits.
    pub delivery: DeliveryId,
    /// Fresh random bits that the code is derived from.
    pub nonce: [u8; 16],
    /// Fresh random bits for a record that is new.
    pub event_salt: [u8; 16],
    /// The right to hand the message over, if this process has a free hand.
    pub lease: Option<Lease>,
}

/// Decides [`Start`].
#[must_use]
pub fn start(
    record: Option<SubjectRecord>,
    command: Start,
    cx: &Context<'_>,
) -> Decision<Standing> {
    let mut events = Vec::new();
    let at = cx.now.stamp();
    let new_subject = record.is_none();
    let record = record.unwrap_or_else(|| cx.new_record(command.event_salt));
    let durability = Durability::of_penalty(record.generation != cx.generation);
    let record = record.adopt(cx.generation, cx.rules, cx.now, &mut events);
    // The repeat check comes before every other one: the first answer stands.
    if let Some((verification, body)) = record.find_request(&command.request.id) {
        let repeat = *body == command.request.body;
        return Decision::same(if repeat {
            Ok(record.standing(verification))
        } else {
            Err(Refusal::RequestIdReused)
        });
    }
    let command = command.with_plan();
    let mut by_caller = Vec::new();
    let record = record
        .close_where(at, &mut events, |v| {
            cx.now.is_past(v.expires_at).then_some(Outcome::Expired)
        })
        .close_where(at, &mut by_caller, |v| {
            command
                .supersedes(v)
                .then_some(Outcome::Canceled(CancelCause::Superseded))
        })
        .forget(cx.now, cx.rules);
    let recipient = match admit(&record, &command, cx) {
        Ok(recipient) => recipient,
        Err(refusal) => return Decision::refuse(refusal),
    };
    let mut record = match record.make_room(command.origin, cx.now) {
        Ok(record) => record,
        Err(free) => {
            return Decision::refuse(Refusal::TooManyRecent {
                retry_after: cx.now.until(free),
            });
        }
    };
    let outgoing = Outgoing {
        tenant: command.tenant.clone(),
        caller: command.caller.clone(),
        action: command.action.clone(),
        subject: command.subject.clone(),
        recipient: command.recipients[recipient].clone(),
        new_subject,
        new_recipient: record.meet(&command.recipients[recipient], cx),
    };
    let passed_over = command.passed_over.clone();
    let verification = command.into_verification(recipient, cx);
    let channel = verification.deliveries[0].channel;
    let passed_over = passed_over
        .into_iter()
        .map(|(channel, why)| What::PassedOver { channel, why });
    by_caller.extend(
        [What::Started { channel }]
            .into_iter()
            .chain(passed_over)
            .map(|what| Event::of(&verification, at, what)),
    );
    events.extend(
        by_caller
            .into_iter()
            .map(|event| event.by(&verification.caller)),
    );
    let reply = Ok(record.standing(&verification));
    record.verifications.push(verification);
    Decision {
        next: Next::Write(Box::new(record), durability),
        events,
        outgoing: Some(outgoing),
        reply,
    }
}

/// Says which recipient gets the message, or why none does.
fn admit(record: &SubjectRecord, command: &Start, cx: &Context<'_>) -> Result<usize, Refusal> {
    if record
        .failures
        .disabled(command.origin, cx.rules.failure_limit)
    {
        let limit = cx.rules.failure_limit;
        return Err(Refusal::MethodDisabled { limit });
    }
    let next_attempt_at = record.failures.of(command.origin).next_attempt_at;
    if next_attempt_at > cx.now.stamp().plus(command.limits.code_lifetime) {
        // Its code would be dead before it may be tried: no message for nothing.
        return Err(Refusal::AttemptTooEarly {
            retry_after: cx.now.until(next_attempt_at),
        });
    }
    let live_max = match command.origin {
        Origin::Anonymous => LIVE_ANONYMOUS_MAX,
        Origin::Vouched => LIVE_VOUCHED_MAX,
    };
    let mut live: Vec<_> = record
        .live(command.origin, cx.now)
        .map(|v| v.expires_at)
        .collect();
    live.sort_unstable();
    if let Some(first_end) = live.first().filter(|_| live.len() >= live_max) {
        return Err(Refusal::TooManyLive {
            origin: command.origin,
            limit: live_max,
            retry_after: cx.now.until(*first_end),
        });
    }
    command
        .choose_recipient()
        .ok_or_else(|| Refusal::ChannelNotPermitted {
            permitted: command.limits.channels.clone(),
        })
}

impl Start {
    /// A newer start takes the place of an older one of the same action, caller, contact and origin.
    fn supersedes(&self, other: &Verification) -> bool {
        let contact =
            |contact: &Option<Contact>| contact.as_ref().map(|contact| contact.id.clone());
        other.action == self.action
            && other.caller == self.caller
            && other.origin == self.origin
            && contact(&other.contact) == contact(&self.contact)
    }

    /// With the plan of the action as it holds for these recipients.
    fn with_plan(mut self) -> Self {
        let can_reach = |channel| {
            self.limits.channels.contains(&channel)
                && self
                    .recipients
                    .iter()
                    .any(|recipient| recipient.channel() == channel)
        };
        self.limits.plan = resolve(&self.limits.plan, self.preferred, can_reach);
        self
    }

    /// The first step of the plan, else the preferred channel if it is permitted, else the action's order; a caller
    /// chooses only among the permitted.
    fn choose_recipient(&self) -> Option<usize> {
        let permitted = &self.limits.channels;
        let planned = self.limits.plan.first().map(|step| step.channel);
        let preferred = planned
            .or(self.preferred)
            .filter(|channel| permitted.contains(channel));
        preferred.iter().chain(permitted).find_map(|channel| {
            self.recipients
                .iter()
                .position(|recipient| recipient.channel() == *channel)
        })
    }

    fn into_verification(self, recipient: usize, cx: &Context<'_>) -> Verification {
        let at = cx.now.stamp();
        let first = Delivery::queued(self.delivery, recipient, &self.recipients[recipient], at);
        Verification {
            id: self.id,
            tenant: self.tenant,
            caller: self.caller,
            action: self.action,
            origin: self.origin,
            contact: self.contact,
            locale: self.locale,
            kid: cx.keyring.current().clone(),
            generation: cx.generation,
            created_at: at,
            expires_at: at.plus(self.limits.code_lifetime),
            requests: vec![self.request],
            answers: Vec::new(),
            deliveries: vec![first.lease_if(self.lease, at)],
            phase: Phase::Pending(Box::new(Pending {
                subject: self.subject,
                nonce: self.nonce,
                recipients: self.recipients,
                binding: self.binding,
                next_resend_at: at.plus(self.limits.resend_cooldown),
                limits: self.limits,
                browser: self.browser,
                decoy: self.decoy,
            })),
        }
    }
}

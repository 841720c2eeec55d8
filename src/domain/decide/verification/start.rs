//! Starts a verification and its first delivery.

mod place;

use crate::domain::{
    audit::event::{Event, What},
    code::link::BrowserMark,
    crypto::keyring::Mark,
    decide::{
        Asker, Context, Decision, Durability, Next, Occasion, Outgoing, Snapshot,
        delivery::lease::lease,
    },
    delivery::{
        Delivery,
        hands::FreeHands,
        plan::{Step, resolve},
    },
    ids::{
        ActionName, CallerName, DeliveryId, Locale, Reference, SubjectId, TenantId, VerificationId,
    },
    limit::quota::Network,
    recipient::{Channel, Recipient, rules::Unfit},
    record::subject::SubjectRecord,
    refusal::Refusal,
    time::Timestamp,
    verification::{
        CancelCause, Contact, Outcome, Pending, Phase, RequestMark, Verification,
        binding::Binding,
        rules::{Limits, Origin},
    },
};

/// The command to start a verification.
#[derive(Clone, Debug)]
pub struct Start {
    /// The tenant of the customer.
    pub tenant: TenantId,
    /// The caller that asks.
    pub caller: CallerName,
    /// The customer, by the caller's opaque id.
    pub subject: SubjectId,
    /// The action to be approved.
    pub action: ActionName,
    /// Whether the subject was vouched for, or anybody could have asked.
    pub origin: Origin,
    /// The contact in which it is asked for, if the caller named one.
    pub contact: Option<Contact>,
    /// The customer's language; `None` if the caller does not know it.
    pub locale: Option<Locale>,
    /// The customer's addresses, best first. They have passed the rules for recipients already,
    /// because resends and the plan send only to these.
    pub recipients: Vec<Recipient>,
    /// The channels of the addresses that the rules refused, and why.
    pub passed_over: Vec<(Channel, Unfit)>,
    /// The channel that the customer prefers, if permitted.
    pub preferred: Option<Channel>,
    /// The details that the customer approves.
    pub binding: Binding,
    /// The limits of the action, with its channel plan.
    pub limits: Limits,
    /// The browser that asked; the link works only there. `None`: the message has no link.
    pub browser: Option<BrowserMark>,
    /// Decoy: nothing is sent, no answer is accepted, and callers cannot tell.
    pub decoy: bool,
    /// The network of the customer's IP address, if the caller gave one.
    pub network: Option<Network>,
    /// Further keys to limit by, chosen by the caller.
    pub quota_keys: Vec<Reference>,
    /// Keyed hashes of the request's id and body; a repeat starts nothing and
    /// gets the first answer.
    pub request: RequestMark,
    /// The id for the new verification: fresh random bits.
    pub id: VerificationId,
    /// The id for the first delivery: fresh random bits.
    pub delivery: DeliveryId,
    /// Fresh random bits that the code is derived from.
    pub nonce: [u8; 16],
    /// Fresh random bits that a new record derives the key of its events from.
    pub event_salt: [u8; 16],
}

/// Decides [`Start`]. The message is leased to this process if it has a free hand.
#[must_use]
pub fn start(
    record: Option<SubjectRecord>,
    command: &Start,
    hands: &dyn FreeHands,
    cx: &Context<'_>,
) -> Decision<Snapshot> {
    let mut events = Vec::new();
    let at = cx.now.stamp();
    let new_subject = record.is_none();
    let record = record.unwrap_or_else(|| cx.new_record(command.event_salt));
    let durability = Durability::for_change_of_generation(record.generation != cx.generation);
    let record = record.adopt(cx.generation, cx.rules, cx.now, &mut events);
    // A repeat gets its first answer, whatever has changed since, so this comes before every other
    // check.
    if let Some(first) = command.repeats(&record) {
        return Decision::same(first);
    }
    let plan = command.plan();
    let network = command.network_mark(cx);
    let mut by_caller = Vec::new();
    let record = record
        .close_where(at, &mut events, |v| {
            cx.now.is_past(v.expires_at).then_some(Outcome::Expired)
        })
        .close_where(at, &mut by_caller, |v| {
            command
                .supersedes(v, network, cx)
                .then_some(Outcome::Canceled(CancelCause::Superseded))
        })
        .forget(cx.now, cx.rules);
    let admitted = admit(&record, command, &plan, network, cx)
        .and_then(|recipient| Ok((recipient, make_room(record, command, cx)?)));
    let (recipient, mut record) = match admitted {
        Ok(admitted) => admitted,
        // Nothing is committed: the next command closes and forgets the same verifications again.
        Err(refusal) => return Decision::refuse(refusal),
    };
    let outgoing = Outgoing {
        new_subject,
        new_recipient: record.meet(&command.recipients[recipient], cx),
        ..command.outgoing(recipient)
    };
    let mut verification = command.verification(recipient, plan, network, cx);
    lease(&mut verification, 0, hands, at);
    by_caller.extend(command.events(&verification, at));
    events.extend(
        by_caller
            .into_iter()
            .map(|event| event.by(&verification.caller)),
    );
    let reply = Ok(record.snapshot(&verification));
    record.verifications.push(verification);
    Decision {
        next: Next::Write(Box::new(record), durability),
        events,
        outgoing: Some(outgoing),
        reply,
    }
}

fn make_room(
    record: SubjectRecord,
    command: &Start,
    cx: &Context<'_>,
) -> Result<SubjectRecord, Refusal> {
    record
        .make_room(command.origin, cx.now)
        .map_err(|free| Refusal::TooManyRecent {
            retry_after: cx.now.until(free),
        })
}

/// Chooses the recipient of the first message, or refuses the start.
fn admit(
    record: &SubjectRecord,
    command: &Start,
    plan: &[Step],
    network: Option<Mark>,
    cx: &Context<'_>,
) -> Result<usize, Refusal> {
    record.check_enabled(command.origin, cx.rules)?;
    let next_attempt_at = record.failures.of(command.origin).next_attempt_at;
    if next_attempt_at > cx.now.stamp().plus(command.limits.code_lifetime) {
        // The code would expire before it may be tried, so sending it would be pointless.
        return Err(Refusal::AttemptTooEarly {
            retry_after: cx.now.until(next_attempt_at),
        });
    }
    command.find_place(record, network, cx)?;
    command
        .choose_recipient(plan)
        .ok_or_else(|| Refusal::ChannelNotPermitted {
            permitted: command.limits.channels.clone(),
        })
}

impl Start {
    /// The first answer if this is a repeat; a refusal if another start used the same request id.
    fn repeats(&self, record: &SubjectRecord) -> Option<Result<Snapshot, Refusal>> {
        let (verification, body) = record.find_request(&self.request.id)?;
        Some(if *body == self.request.body {
            Ok(record.snapshot(verification))
        } else {
            Err(Refusal::RequestIdReused)
        })
    }

    /// A start replaces an older one of the same action, caller, contact and origin. If anybody could have made it, the
    /// network must be the same too, so that a stranger does not end the customer's verification by a start.
    fn supersedes(&self, other: &Verification, network: Option<Mark>, cx: &Context<'_>) -> bool {
        let same_network = || {
            other
                .live(cx.now)
                .is_some_and(|pending| pending.network == network)
        };
        other.action == self.action
            && other.caller == self.caller
            && other.origin == self.origin
            && self.same_contact(other)
            && (self.origin == Origin::Vouched || same_network())
    }

    /// The action's plan, reduced to the channels that these recipients have.
    fn plan(&self) -> Vec<Step> {
        let can_reach = |channel| {
            self.limits.channels.contains(&channel)
                && self
                    .recipients
                    .iter()
                    .any(|recipient| recipient.channel() == channel)
        };
        resolve(&self.limits.plan, self.preferred, can_reach)
    }

    /// The message to this recipient. `new_subject` and `new_recipient` are set afterwards.
    fn outgoing(&self, recipient: usize) -> Outgoing {
        Outgoing {
            tenant: self.tenant.clone(),
            caller: self.caller.clone(),
            action: self.action.clone(),
            subject: self.subject.clone(),
            recipient: self.recipients[recipient].clone(),
            occasion: Occasion::Start(Asker {
                contact: self.contact.clone(),
                network: self.network,
                keys: self.quota_keys.clone(),
            }),
            origin: self.origin,
            new_subject: false,
            new_recipient: false,
            decoy: self.decoy,
        }
    }

    /// The events of the start: the first channel, and those that were passed over.
    fn events(&self, verification: &Verification, at: Timestamp) -> Vec<Event> {
        let started = What::Started {
            channel: verification.deliveries[0].channel,
        };
        let passed_over = self
            .passed_over
            .iter()
            .map(|&(channel, why)| What::PassedOver { channel, why });
        std::iter::once(started)
            .chain(passed_over)
            .map(|what| Event::of(verification, at, what))
            .collect()
    }

    /// The first step of the plan, else the preferred channel, else the action's order. A caller
    /// can choose only among the permitted channels.
    fn choose_recipient(&self, plan: &[Step]) -> Option<usize> {
        let permitted = &self.limits.channels;
        let planned = plan.first().map(|step| step.channel);
        let preferred = planned
            .or(self.preferred)
            .filter(|channel| permitted.contains(channel));
        preferred.iter().chain(permitted).find_map(|channel| {
            self.recipients
                .iter()
                .position(|recipient| recipient.channel() == *channel)
        })
    }

    fn verification(
        &self,
        recipient: usize,
        plan: Vec<Step>,
        network: Option<Mark>,
        cx: &Context<'_>,
    ) -> Verification {
        let at = cx.now.stamp();
        let first = Delivery::queued(self.delivery, recipient, &self.recipients[recipient], at);
        Verification {
            id: self.id,
            tenant: self.tenant.clone(),
            caller: self.caller.clone(),
            action: self.action.clone(),
            origin: self.origin,
            contact: self.contact.clone(),
            locale: self.locale.clone(),
            kid: cx.keyring.current().clone(),
            generation: cx.generation,
            created_at: at,
            expires_at: at.plus(self.limits.code_lifetime),
            requests: vec![self.request],
            answers: Vec::new(),
            deliveries: vec![first],
            phase: Phase::Pending(Box::new(Pending {
                subject: self.subject.clone(),
                nonce: self.nonce,
                recipients: self.recipients.clone(),
                binding: self.binding.clone(),
                next_resend_at: at.plus(self.limits.resend_cooldown),
                limits: Limits {
                    plan,
                    ..self.limits.clone()
                },
                browser: self.browser,
                decoy: self.decoy,
                network,
            })),
        }
    }
}

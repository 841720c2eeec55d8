//! The pure state machine: a record, a command and the time in, a decision out.

mod delivery;
mod outgoing;
mod verification;

#[cfg(test)]
mod tests;

pub use delivery::{NoteReceipt, Noted, Report, Tick, Work, receipt, report, tick, wake};
pub use outgoing::{Asker, Occasion, Outgoing, RefusedMessage};
pub use verification::{
    Cancel, CancelReason, Check, Checked, Follow, Pressed, Resend, Start, Verdict, cancel, check,
    follow, resend, start,
};

use super::{
    audit::event::{Event, What},
    crypto::keyring::Keyring,
    ids::{CallerName, TenantId, VerificationId},
    recipient::{Recipient, test_recipients::TestRecipients},
    record::subject::SubjectRecord,
    refusal::Refusal,
    time::{Generation, Now, Timestamp},
    verification::{
        CancelCause, Outcome, Phase, Verification,
        rules::{FORGOTTEN_PERIOD, SubjectRules},
    },
};

/// What every decision may look at beside the record and the command.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The one reading of the time.
    pub now: Now,
    /// The generation of the store that the record came from.
    pub generation: Generation,
    /// When the store forgot what it held, if it is known to have.
    pub forgot_at: Option<Timestamp>,
    /// The keys.
    pub keyring: &'a Keyring,
    /// The rules that hold for every subject.
    pub rules: &'a SubjectRules,
    /// The message of a plan that may not be sent, if one was decided just before.
    pub refused: Option<&'a RefusedMessage>,
    /// Whose code is known beforehand.
    pub tests: &'a TestRecipients,
}

impl Context<'_> {
    /// A record of which nothing is known. For a day after the store forgot what it held its counts begin half spent.
    fn new_record(&self, event_salt: [u8; 16]) -> SubjectRecord {
        let record = SubjectRecord::new(event_salt, self.generation);
        let forgot_lately = self
            .forgot_at
            .is_some_and(|at| !self.now.has_reached(at.plus(FORGOTTEN_PERIOD)));
        if forgot_lately {
            record.half_spent(self.rules)
        } else {
            record
        }
    }
}

/// How surely a commit must last. A count that is raised must not roll back with a failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As the store does by itself.
    Plain,
    /// On as many machines as are configured.
    Durable,
}

/// What becomes of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It stays; nothing is to be written but the events.
    Same,
    /// It stays, and what was written of it before must be as durable as it was to be before the answer leaves.
    Settled,
    /// It is replaced.
    Write(Box<SubjectRecord>, Durability),
    /// It goes.
    Delete,
}

/// What was decided: to be committed first and answered after.
#[derive(Clone, Debug)]
pub struct Decision<T> {
    /// What becomes of the record.
    pub next: Next,
    /// What is written down of it.
    pub events: Vec<Event>,
    /// The message that it adds to what is to be sent.
    pub outgoing: Option<Outgoing>,
    /// The answer, once the commit succeeded.
    pub reply: Result<T, Refusal>,
}

impl Durability {
    /// What a change of generation asks for: its penalty is a count that is raised.
    fn of_penalty(changed: bool) -> Self {
        if changed { Self::Durable } else { Self::Plain }
    }
}

impl<T> Decision<T> {
    /// An answer that changes nothing.
    fn same(reply: Result<T, Refusal>) -> Self {
        Self {
            next: Next::Same,
            events: Vec::new(),
            outgoing: None,
            reply,
        }
    }

    /// The same, but an answer that changes nothing waits until what it tells of is durable.
    fn settled(self) -> Self {
        let next = if self.next == Next::Same && self.reply.is_ok() {
            Next::Settled
        } else {
            self.next
        };
        Self { next, ..self }
    }

    /// A refusal that changes nothing.
    fn refuse(refusal: Refusal) -> Self {
        Self::same(Err(refusal))
    }
}

/// Who calls about which verification.
#[derive(Clone, Debug)]
pub struct Target {
    /// The caller's tenant.
    pub tenant: TenantId,
    /// The caller.
    pub caller: CallerName,
    /// The verification.
    pub id: VerificationId,
}

/// A verification, and when its subject may guess next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The verification.
    pub verification: Verification,
    /// The earliest moment for the next guess.
    pub next_attempt_at: Timestamp,
}

/// The record after meeting the store's generation, with the place of the verification that the caller may see.
struct Found {
    caller: CallerName,
    record: SubjectRecord,
    place: usize,
    events: Vec<Event>,
    changed: bool,
}

/// Finds the target; another tenant's is as absent as an unknown one.
fn find(
    record: Option<SubjectRecord>,
    target: &Target,
    cx: &Context<'_>,
) -> Result<Found, Refusal> {
    let record = record.ok_or(Refusal::NotFound)?;
    let is_target = |v: &Verification| v.id == target.id && v.tenant == target.tenant;
    let place = record
        .verifications
        .iter()
        .position(is_target)
        .ok_or(Refusal::NotFound)?;
    let mut events = Vec::new();
    let changed = record.generation != cx.generation;
    let record = record.adopt(cx.generation, cx.rules, cx.now, &mut events);
    Ok(Found {
        caller: target.caller.clone(),
        record,
        place,
        events,
        changed,
    })
}

impl Found {
    fn verification(&self) -> &Verification {
        &self.record.verifications[self.place]
    }

    fn standing(&self) -> Standing {
        self.record.standing(self.verification())
    }

    /// What a change of generation ended is refused with a reason that says "start again".
    fn of_this_generation(&self) -> Result<(), Refusal> {
        match self.verification().phase {
            Phase::Closed {
                outcome: Outcome::Canceled(CancelCause::Generation),
                ..
            } => Err(Refusal::StartAgain),
            Phase::Closed { .. } | Phase::Pending(_) => Ok(()),
        }
    }

    /// Ends the command with an answer and no change of its own; what the change of generation did is committed.
    fn answer<T>(self, reply: Result<T, Refusal>) -> Decision<T> {
        let durability = Durability::of_penalty(self.changed);
        let next = if self.changed {
            Next::Write(Box::new(self.record), durability)
        } else {
            Next::Same
        };
        Decision {
            next,
            events: self.events,
            outgoing: None,
            reply,
        }
    }

    /// Ends the command with a step of the verification, so all its events are the caller's: after a change of
    /// generation no verification takes a step.
    fn write<T>(self, durability: Durability, reply: T) -> Decision<T> {
        let events = self
            .events
            .into_iter()
            .map(|event| event.by(&self.caller))
            .collect();
        Decision {
            next: Next::Write(Box::new(self.record), durability),
            events,
            outgoing: None,
            reply: Ok(reply),
        }
    }
}

impl SubjectRecord {
    /// Remembers a recipient; says whether the subject was not reached there within a day.
    fn meet(&mut self, recipient: &Recipient, cx: &Context<'_>) -> bool {
        let mark = cx
            .keyring
            .mark("recipient", &[recipient.limit_form().as_bytes()]);
        self.reached.meet(mark, cx.now)
    }

    /// How one of its verifications stands.
    #[must_use]
    pub fn standing(&self, verification: &Verification) -> Standing {
        let next_attempt_at = self.failures.of(verification.origin).next_attempt_at;
        Standing {
            verification: verification.clone(),
            next_attempt_at,
        }
    }
}

/// Reads a verification.
///
/// # Errors
/// [`Refusal::NotFound`] for an unknown one and for another tenant's.
pub fn get(
    record: Option<SubjectRecord>,
    target: &Target,
    cx: &Context<'_>,
) -> Result<Standing, Refusal> {
    find(record, target, cx).map(|found| found.standing())
}

/// The event of a command that was refused, or that came after the end.
#[must_use]
pub fn refused(
    caller: &CallerName,
    verification: Option<VerificationId>,
    what: What,
    at: Timestamp,
) -> Event {
    Event {
        at,
        caller: Some(caller.clone()),
        agent: None,
        contact: None,
        verification,
        action: None,
        what,
    }
}

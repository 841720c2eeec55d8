//! The pure state machine: a record, a command and the time in, a decision out.

mod admin;
mod delivery;
mod outgoing;
mod verification;

#[cfg(test)]
mod tests;

pub use admin::{SubjectSnapshot, Unlock, subject, unlock};
pub use delivery::{NoteReceipt, Noted, Report, Tick, Work, receipt, report, tick, wake};
pub use outgoing::{Asker, Occasion, Outgoing, RefusedMessage};
pub use verification::{
    Cancel, CancelReason, Check, Checked, Follow, Pressed, Resend, Start, Verdict, cancel, check,
    follow, guess_counts_for, resend, start,
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

/// The inputs that every decision gets besides the record and the command.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The time of the command, read once when the command began.
    pub now: Now,
    /// The generation of the store that the record came from.
    pub generation: Generation,
    /// When the store lost its data; `None` if it is not known to have lost any.
    pub forgot_at: Option<Timestamp>,
    /// The keys that codes, links and keyed hashes are derived with.
    pub keyring: &'a Keyring,
    /// The rules that hold for every subject.
    pub rules: &'a SubjectRules,
    /// The plan's message that the quotas refused when this command was decided the last time.
    pub refused: Option<&'a RefusedMessage>,
    /// The test recipients of the settings, whose codes are fixed.
    pub tests: &'a TestRecipients,
}

impl Context<'_> {
    /// A record for a subject that has none. For a day after the store lost its data, its failure
    /// counts begin at half the limit, because failures may have been lost.
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

/// How durable a commit must be. A commit that raises a count must survive a failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The store's own default.
    Plain,
    /// Confirmed by as many replicas as the settings ask for.
    Durable,
}

/// What happens to the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It stays as it is; only the events are written.
    Same,
    /// It stays as it is, but the answer waits until the commit that wrote it is durable.
    AwaitDurable,
    /// It is replaced by this one, with this durability.
    Write(Box<SubjectRecord>, Durability),
    /// It is deleted from the store.
    Delete,
}

/// The result of a command: it is committed first and answered afterwards.
#[derive(Clone, Debug)]
pub struct Decision<T> {
    /// What happens to the record.
    pub next: Next,
    /// The audit events to commit with it.
    pub events: Vec<Event>,
    /// The message that it adds; the quotas are drawn for it before the commit.
    pub outgoing: Option<Outgoing>,
    /// The answer, to be given only once the commit has succeeded.
    pub reply: Result<T, Refusal>,
}

impl Durability {
    /// A change of generation raises the failure counts as a penalty, so it must be durable.
    fn for_change_of_generation(changed: bool) -> Self {
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

    /// Makes an answer that changes nothing wait until the commit that it reports is durable.
    fn once_durable(self) -> Self {
        let next = if self.next == Next::Same && self.reply.is_ok() {
            Next::AwaitDurable
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

/// The verification that a command is about, and the caller that gives the command.
#[derive(Clone, Debug)]
pub struct Target {
    /// The tenant of the caller. Verifications of other tenants are not found.
    pub tenant: TenantId,
    /// The name that the event of the command bears.
    pub caller: CallerName,
    /// The id of the verification, as the caller gave it.
    pub id: VerificationId,
}

/// A verification, and when its subject may guess next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The verification as it is after the command.
    pub verification: Verification,
    /// The earliest time for the next guess.
    pub next_attempt_at: Timestamp,
}

/// The record, brought to the store's generation, and the index of the verification that
/// the caller may see.
struct Found {
    caller: CallerName,
    record: SubjectRecord,
    place: usize,
    events: Vec<Event>,
    changed: bool,
}

/// Finds the target. A verification of another tenant is reported like an unknown one.
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

    fn snapshot(&self) -> Snapshot {
        self.record.snapshot(self.verification())
    }

    /// Refuses a verification that a change of generation ended, with a reason
    /// that says "start again".
    fn check_generation(&self) -> Result<(), Refusal> {
        match self.verification().phase {
            Phase::Closed {
                outcome: Outcome::Canceled(CancelCause::Generation),
                ..
            } => Err(Refusal::StartAgain),
            Phase::Closed { .. } | Phase::Pending(_) => Ok(()),
        }
    }

    /// Ends the command with an answer and no change of its own; the effects of a change of
    /// generation are still committed.
    fn answer<T>(self, reply: Result<T, Refusal>) -> Decision<T> {
        let durability = Durability::for_change_of_generation(self.changed);
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

    /// Ends the command with a change of the verification. All events are attributed to the caller:
    /// a change of generation closes every verification, so none of its events can be among them.
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
    /// Remembers a recipient; true if the subject was not reached there within the last day.
    fn meet(&mut self, recipient: &Recipient, cx: &Context<'_>) -> bool {
        let mark = cx
            .keyring
            .mark("recipient", &[recipient.limit_form().as_bytes()]);
        self.reached.meet(mark, cx.now)
    }

    /// One of its verifications, with the earliest time for the next guess at it.
    #[must_use]
    pub fn snapshot(&self, verification: &Verification) -> Snapshot {
        let next_attempt_at = self.failures.of(verification.origin).next_attempt_at;
        Snapshot {
            verification: verification.clone(),
            next_attempt_at,
        }
    }
}

/// Reads a verification without changing anything.
///
/// # Errors
/// [`Refusal::NotFound`] if the verification is unknown or belongs to another tenant.
pub fn get(
    record: Option<SubjectRecord>,
    target: &Target,
    cx: &Context<'_>,
) -> Result<Snapshot, Refusal> {
    find(record, target, cx).map(|found| found.snapshot())
}

/// The event of a command that was refused, or that came after the verification had ended.
#[must_use]
pub fn refused(
    tenant: &TenantId,
    caller: &CallerName,
    verification: Option<VerificationId>,
    what: What,
    at: Timestamp,
) -> Event {
    Event {
        at,
        tenant: tenant.clone(),
        caller: Some(caller.clone()),
        agent: None,
        contact: None,
        verification,
        action: None,
        what,
    }
}

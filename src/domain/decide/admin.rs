//! What operators do about a subject: look at it, and unlock it.

use crate::domain::{
    audit::event::{Event, What},
    decide::{Context, Decision, Durability, Next},
    ids::{CallerName, Reference, TenantId, UnlockReason},
    limit::failures::Failures,
    record::subject::SubjectRecord,
    refusal::Refusal,
    verification::{Verification, rules::Origin},
};

/// What is known of a subject, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectSnapshot {
    /// The failure counts of both origins.
    pub failures: Failures,
    /// Live and recently closed verifications, oldest first.
    pub verifications: Vec<Verification>,
}

/// The command to unlock a subject.
#[derive(Clone, Debug)]
pub struct Unlock {
    /// The tenant of the caller.
    pub tenant: TenantId,
    /// The caller that unlocks; the event bears its name.
    pub caller: CallerName,
    /// Why, in the operator's words.
    pub reason: UnlockReason,
    /// The member of staff, if the caller named one.
    pub operator: Option<Reference>,
    /// Whether the wait before the next guess ends too.
    pub end_wait: bool,
}

/// Reads a subject without changing anything. What a change of the store's generation does to it is shown, although
/// only the next commit writes it.
///
/// # Errors
/// [`Refusal::SubjectNotFound`] if there is no record.
pub fn subject(
    record: Option<SubjectRecord>,
    cx: &Context<'_>,
) -> Result<SubjectSnapshot, Refusal> {
    let record = record.ok_or(Refusal::SubjectNotFound)?;
    let mut not_written = Vec::new();
    let record = record.adopt(cx.generation, cx.rules, cx.now, &mut not_written);
    Ok(record.into())
}

/// Decides [`Unlock`]: lifts the failure limit for both origins, but not the cap over both.
#[must_use]
pub fn unlock(
    record: Option<SubjectRecord>,
    command: &Unlock,
    cx: &Context<'_>,
) -> Decision<SubjectSnapshot> {
    let Some(record) = record else {
        return Decision::refuse(Refusal::SubjectNotFound);
    };
    let mut events = Vec::new();
    let mut record = record.adopt(cx.generation, cx.rules, cx.now, &mut events);
    if record.failures.cap_reached() {
        return Decision::refuse(Refusal::FailureCapReached);
    }
    let what = What::Unlocked {
        reason: command.reason.clone(),
        operator: command.operator.clone(),
        anonymous: record.failures.anonymous.since_unlock,
        vouched: record.failures.vouched.since_unlock,
    };
    for origin in [Origin::Anonymous, Origin::Vouched] {
        let tally = record.failures.of_mut(origin);
        tally.unlock();
        if command.end_wait {
            tally.end_wait();
        }
    }
    events.push(Event {
        at: cx.now.stamp(),
        tenant: command.tenant.clone(),
        caller: Some(command.caller.clone()),
        agent: None,
        contact: None,
        verification: None,
        action: None,
        what,
    });
    let reply = Ok(record.clone().into());
    Decision {
        // An unlock that a failover took back would lock the customer out again, after the operator was told that it
        // was done.
        next: Next::Write(Box::new(record), Durability::Durable),
        events,
        outgoing: None,
        reply,
    }
}

impl From<SubjectRecord> for SubjectSnapshot {
    fn from(record: SubjectRecord) -> Self {
        Self {
            failures: record.failures,
            verifications: record.verifications,
        }
    }
}

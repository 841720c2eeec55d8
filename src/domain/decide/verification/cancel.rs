//! Ends a verification on request.

use crate::domain::{
    decide::{Context, Decision, Durability, Snapshot, Target, find},
    record::subject::SubjectRecord,
    refusal::Refusal,
    verification::{CancelCause, Outcome, Status},
};

/// The command to end a pending verification.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// The verification, and the caller that ends it.
    pub target: Target,
    /// The reason, which decides the outcome.
    pub reason: CancelReason,
}

/// Why a verification is ended on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// The caller no longer needs it.
    Requested,
    /// The customer says that they did not ask for it.
    NotMe,
}

/// Decides [`Cancel`]. It is no error if the verification has already ended with the same outcome.
#[must_use]
pub fn cancel(
    record: Option<SubjectRecord>,
    command: &Cancel,
    cx: &Context<'_>,
) -> Decision<Snapshot> {
    let found = match find(record, &command.target, cx) {
        Ok(found) => found,
        Err(refusal) => return Decision::refuse(refusal),
    };
    let wanted = match command.reason {
        CancelReason::Requested => Outcome::Canceled(CancelCause::Requested),
        CancelReason::NotMe => Outcome::Denied,
    };
    match found.verification().status(cx.now) {
        Status::Pending => {}
        Status::Closed(outcome) => {
            let reply = if outcome == wanted {
                Ok(found.snapshot())
            } else {
                Err(Refusal::Closed)
            };
            return found.answer(reply);
        }
    }
    let mut found = found;
    found.record = found.record.close(
        &command.target.id,
        wanted,
        cx.now.stamp(),
        &mut found.events,
    );
    let reply = found.snapshot();
    found.write(Durability::Plain, reply)
}

//! Judges a guess. The verdict is answered only after its commit.

use super::{Reading, target};
use crate::{
    domain::{
        audit::event::What,
        caller::Caller,
        code::guess::{Guess, Malformed},
        decide::{Check, Checked, Verdict, check, refused},
        ids::{AttemptId, VerificationId},
        limit::failures::MALFORMED_RATE,
        refusal::Refusal,
        time::Now,
        verification::rules::EntryMode,
    },
    service::{
        Service,
        failure::Failure,
        record::{
            journal,
            transact::{Call, Change},
        },
    },
};

/// A check as the caller asks for it.
#[derive(Clone, Debug)]
pub struct CheckRequest {
    /// The verification that the guess is for.
    pub id: VerificationId,
    /// The caller's id of the attempt; a repeat with the same id gets the same answer.
    pub attempt: AttemptId,
    /// The answer as received, parsed or not.
    pub guess: Result<Guess, Malformed>,
    /// Where the customer entered it.
    pub entry_mode: EntryMode,
}

impl Service {
    /// Judges a guess of the code, and commits the result before it is returned.
    ///
    /// # Errors
    /// [`Failure`]; then there is no verdict, and no attempt was used up unless
    /// the store is unavailable.
    pub async fn check(
        &self,
        caller: &Caller,
        request: CheckRequest,
    ) -> Result<(Verdict, Reading), Failure> {
        // The first stage of parsing comes before the load, so malformed guesses cost no read of a
        // record.
        let Ok(guess) = request.guess else {
            return Err(self.malformed(caller, request.id).await);
        };
        let id = request.id;
        let command = Check {
            target: target(caller, id),
            attempt: request.attempt,
            guess,
            entry_mode: request.entry_mode,
        };
        let call = Call {
            name: "check",
            caller: &caller.name,
            verification: Some(id),
            contact: None,
        };
        let checked = self
            .change(Change::of(id.subject).by(call), |record, cx| {
                check(record, &command, cx)
            })
            .await;
        let (checked, now) = match checked {
            Err(Failure::Refused(Refusal::CodeMalformed)) => {
                return Err(self.malformed(caller, id).await);
            }
            other => other?,
        };
        self.limits.give_back_approved(
            &caller.tenant,
            checked.snapshot.verification.origin,
            &checked.reached,
        );
        self.note_late(caller, &checked, now).await;
        Ok((
            checked.verdict,
            Reading {
                snapshot: checked.snapshot,
                now,
            },
        ))
    }

    /// Logs and audits a guess that came after the end. It changes nothing.
    async fn note_late(&self, caller: &Caller, checked: &Checked, now: Now) {
        let (reason, verdict) = match checked.verdict {
            Verdict::Expired => ("EXPIRED", "expired"),
            Verdict::Closed => ("CLOSED", "closed"),
            Verdict::Approved | Verdict::Wrong { .. } | Verdict::AttemptsExhausted => return,
        };
        let verification = &checked.snapshot.verification;
        journal::late(caller, verification, verdict);
        let what = What::Refused {
            call: "check",
            reason,
            quota: None,
        };
        let event = refused(&caller.name, Some(verification.id), what, now.stamp());
        self.records
            .append_event(&verification.id.subject, Some(checked.event_salt), &event)
            .await;
    }

    /// A malformed guess uses up no attempt, but its number is limited by a quota of its own.
    async fn malformed(&self, caller: &Caller, id: VerificationId) -> Failure {
        let id = id.to_bytes();
        let fields = [caller.tenant.as_str().as_bytes(), &id];
        let bucket = self.keyring.mark("malformed", &fields);
        match self.limits.draw_one(bucket, MALFORMED_RATE).await {
            Ok(Ok(())) => Failure::CodeMalformed,
            Ok(Err(retry_after)) => Failure::MalformedTooOften { retry_after },
            Err(failure) => failure,
        }
    }
}

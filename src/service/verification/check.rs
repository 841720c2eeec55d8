//! Judges a guess. The verdict is answered only after its commit.

use std::time::Duration;

use super::{Reading, target};
use crate::{
    domain::{
        audit::event::What,
        caller::Caller,
        code::guess::{Guess, Malformed},
        decide::{Check, Checked, Verdict, check, guess_counts_for, refused},
        ids::{AttemptId, VerificationId},
        limit::{failures::MALFORMED_RATE, rate::Rate},
        refusal::Refusal,
        time::Now,
        verification::rules::{EntryMode, Origin},
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
        let change = self.slowed(caller, &command).await?.by(call);
        let checked = self
            .change(change, |record, cx| check(record, &command, cx))
            .await;
        let (checked, now) = match checked {
            Err(Failure::Refused(Refusal::CodeMalformed)) => {
                return Err(self.malformed(caller, id).await);
            }
            other => other?,
        };
        match checked.verdict {
            Verdict::Wrong { .. } | Verdict::AttemptsExhausted if checked.counted => {
                self.records.count_failure(caller);
            }
            Verdict::Wrong { .. }
            | Verdict::AttemptsExhausted
            | Verdict::Approved
            | Verdict::Expired
            | Verdict::Closed => {}
        }
        self.limits
            .give_back_approved(&caller.tenant, &checked.reached);
        self.note_late(caller, &checked, now).await;
        Ok((
            checked.verdict,
            Reading {
                snapshot: checked.snapshot,
                now,
            },
        ))
    }

    /// The change of a guess. While the anonymous guesses of the caller are slowed down, it is drawn first, if it would
    /// be judged for an anonymous start; otherwise this costs nothing.
    async fn slowed<'a>(&self, caller: &Caller, command: &Check) -> Result<Change<'a>, Failure> {
        let key = command.target.id.subject;
        let Some(interval) = self.records.slow_down(caller) else {
            return Ok(Change::of(key));
        };
        let loaded = self.records.read(&key).await?;
        let cx = self.records.context(&loaded);
        let counts_for = guess_counts_for(loaded.record.as_ref(), command, &cx);
        if counts_for == Some(Origin::Anonymous) {
            self.draw_slow_guess(caller, interval).await?;
        }
        Ok(Change::of(key).on(loaded))
    }

    /// Draws one anonymous guess of a caller that is slowed down, over all processes.
    async fn draw_slow_guess(&self, caller: &Caller, interval: Duration) -> Result<(), Failure> {
        let fields = [
            caller.tenant.as_str().as_bytes(),
            caller.name.as_str().as_bytes(),
        ];
        let bucket = self.keyring.mark("slow guesses", &fields);
        let rate = Rate { interval, burst: 0 };
        let drawn = self.limits.draw_one(bucket, rate).await?;
        drawn.map_err(|retry_after| Failure::GuessesSlowed {
            interval,
            retry_after,
        })
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

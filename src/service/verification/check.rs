//! Judges a guess. The verdict is answered only after its commit.

use std::time::Duration;

use super::{Reading, target};
use crate::{
    domain::{
        audit::{
            event::{RefusedCall, What},
            refusals::{About, RefusalEvent},
        },
        caller::Caller,
        code::guess::{Guess, Malformed},
        crypto::keyring::Mark,
        decide::{Check, Checked, Verdict, check, guess_counts_for},
        ids::{AttemptId, VerificationId},
        limit::{failures::MALFORMED_RATE, rate::Rate},
        refusal::Refusal,
        time::Now,
        verification::rules::{EntryMode, Origin},
    },
    service::{
        Service,
        failure::Failure,
        record::{call::Call, journal, transact::Change},
    },
};

/// The reason in the audit trail for a guess that is not answered because too many came after the end, as in the
/// API's `ErrorReason`.
const LATE_TOO_OFTEN: &str = "LATE_TOO_OFTEN";

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
        let id = request.id;
        let call = Call {
            name: "check",
            caller: &caller.name,
            tenant: &caller.tenant,
            verification: Some(id),
            contact: None,
        };
        // The first stage of parsing comes before the load, so malformed guesses cost no read of a
        // record.
        let Ok(guess) = request.guess else {
            return Err(self.malformed(call, id).await);
        };
        let command = Check {
            target: target(caller, id),
            attempt: request.attempt,
            guess,
            entry_mode: request.entry_mode,
        };
        let change = self.slowed(caller, &command, call).await?.by(call);
        let checked = self
            .change(change, |record, cx| check(record, &command, cx))
            .await;
        let (checked, now) = match checked {
            Err(Failure::Refused(Refusal::CodeMalformed)) => {
                return Err(self.malformed(call, id).await);
            }
            Err(unknown @ Failure::Refused(Refusal::NotFound)) => {
                return Err(self.unknown(caller).await.err().unwrap_or(unknown));
            }
            other => other?,
        };
        self.limits.give_back_approved(
            &caller.tenant,
            checked.snapshot.verification.origin,
            &checked.reached,
        );
        self.check_late(call, &checked, now).await?;
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
    async fn slowed<'a>(
        &self,
        caller: &Caller,
        command: &Check,
        call: Call<'_>,
    ) -> Result<Change<'a>, Failure> {
        let key = command.target.id.subject;
        let Some(interval) = self.records.slow_down(caller) else {
            return Ok(Change::of(key));
        };
        let loaded = self.records.read(&key).await?;
        let cx = self.records.context(&loaded);
        let counts_for = guess_counts_for(loaded.record.as_ref(), command, &cx);
        if counts_for == Some(Origin::Anonymous) {
            let drawn = self.draw_slow_guess(caller, interval).await;
            if let Err(refused) = &drawn {
                self.records
                    .note_refusal(&key, loaded.salt, call, refused)
                    .await;
            }
            drawn?;
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

    /// Limits the guesses that come after the end, logs and audits them. They change nothing.
    ///
    /// # Errors
    /// [`Failure::LateTooOften`] if there were too many.
    async fn check_late(&self, call: Call<'_>, checked: &Checked, now: Now) -> Result<(), Failure> {
        let (reason, verdict) = match checked.verdict {
            Verdict::Expired => ("EXPIRED", "expired"),
            Verdict::Closed => ("CLOSED", "closed"),
            Verdict::Approved | Verdict::Wrong { .. } | Verdict::AttemptsExhausted => return Ok(()),
        };
        let verification = &checked.snapshot.verification;
        let id = verification.id;
        let fields = [call.tenant.as_str().as_bytes(), &id.to_bytes()];
        let answer = self
            .draw_guess(self.keyring.mark("late", &fields), |retry_after| {
                Failure::LateTooOften { retry_after }
            })
            .await;
        let reason = match &answer {
            Ok(()) => {
                journal::late(call.caller.as_str(), verification, verdict);
                reason
            }
            Err(Failure::LateTooOften { .. }) => LATE_TOO_OFTEN,
            Err(_) => return answer,
        };
        let refusal = RefusedCall {
            call: call.name,
            reason,
            quota: None,
        };
        let refused = RefusalEvent {
            key: Some(id.subject),
            salt: Some(checked.event_salt),
            event: call.event(What::Refused(refusal), now),
        };
        let about = About::Verification(id, call.caller.clone());
        self.records.tell(about, refusal, refused).await;
        answer
    }

    /// Limits the guesses of a caller at verifications that do not exist.
    async fn unknown(&self, caller: &Caller) -> Result<(), Failure> {
        let fields = [
            caller.tenant.as_str().as_bytes(),
            caller.name.as_str().as_bytes(),
        ];
        self.draw_guess(self.keyring.mark("unknown", &fields), |retry_after| {
            Failure::LateTooOften { retry_after }
        })
        .await
    }

    /// A malformed guess uses up no attempt, but its number is limited by a quota of its own. The record is not loaded
    /// for its event.
    async fn malformed(&self, call: Call<'_>, id: VerificationId) -> Failure {
        let fields = [call.tenant.as_str().as_bytes(), &id.to_bytes()];
        let drawn = self.draw_guess(self.keyring.mark("malformed", &fields), |retry_after| {
            Failure::MalformedTooOften { retry_after }
        });
        let failure = drawn.await.err().unwrap_or(Failure::CodeMalformed);
        self.records
            .note_refusal(&id.subject, None, call, &failure)
            .await;
        failure
    }

    /// Draws a guess that uses up no attempt from the bucket of its kind.
    async fn draw_guess(
        &self,
        bucket: Mark,
        too_often: impl FnOnce(Duration) -> Failure,
    ) -> Result<(), Failure> {
        let drawn = self.limits.draw_one(bucket, MALFORMED_RATE).await?;
        drawn.map_err(too_often)
    }
}

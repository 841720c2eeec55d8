//! Judges an answer of any kind: whether it may be judged, whether it is right, and what follows.

use super::given::{Asked, Given};
use crate::domain::{
    audit::event::{Event, What},
    code::guess::Malformed,
    crypto::keyring::Mark,
    decide::{Context, Decision, Durability, Found, Snapshot, find},
    limit::failures::Tally,
    recipient::Recipient,
    record::subject::SubjectRecord,
    refusal::Refusal,
    verification::{
        Answer, Judgement, Outcome, Pending, Phase, Status, Verification, rules::Origin,
    },
};

/// An approval after at least this many failures in a row is reported, so that the
/// customer can be told.
const NOTIFY_AFTER_FAILURES: u32 = 3;

/// The verdict on a guess, as the caller gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The right answer, in time; it closed the verification.
    Approved,
    /// Wrong, with guesses left.
    Wrong {
        /// The guesses left, at least one.
        left: u8,
    },
    /// Wrong, and it was the last guess.
    AttemptsExhausted,
    /// The code had expired before the guess.
    Expired,
    /// The verification had ended before the guess.
    Closed,
}

/// The verdict, and the verification after it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The verdict on the guess.
    pub verdict: Verdict,
    /// The verification after the guess.
    pub snapshot: Snapshot,
    /// The record's salt, for the key that seals the event of a guess that comes after the end.
    pub event_salt: [u8; 16],
    /// Whether the guess was judged and counted by this commit; false for a repeat, and after the end.
    pub counted: bool,
    /// With an approval, the recipients that its messages went to, each once; otherwise empty.
    pub reached: Vec<Recipient>,
}

impl From<Judgement> for Verdict {
    fn from(judgement: Judgement) -> Self {
        match judgement {
            Judgement::Approved => Self::Approved,
            Judgement::Wrong { left: 0 } => Self::AttemptsExhausted,
            Judgement::Wrong { left } => Self::Wrong { left },
        }
    }
}

/// Judges an answer of any kind. Repeats are recognised before anything else.
pub(super) fn judge(
    record: Option<SubjectRecord>,
    command: &Asked<'_>,
    cx: &Context<'_>,
) -> Decision<Checked> {
    let found = match find(record, command.target, cx) {
        Ok(found) => found,
        Err(refusal) => return Decision::refuse(refusal),
    };
    let attempt = command.mark(cx);
    // A repeat gets its first answer, whatever has changed since, so this comes before every other
    // check.
    if let Some(first) = repeat(&found, &attempt, command, cx) {
        let reply = first.map(|judgement| found.checked(judgement.into()));
        // The commit of the first answer may lack replicas still, so its verdict must wait for them
        // here too.
        return found.answer(reply).once_durable();
    }
    if let Some(late) = found
        .check_generation()
        .map(|()| too_late(found.verification(), cx))
        .transpose()
    {
        let reply = late.map(|verdict| found.checked(verdict));
        return found.answer(reply);
    }
    match weigh(&found, &attempt, command, cx) {
        Ok((answer, tally)) => count(found, answer, tally, cx),
        Err(refusal) => found.answer(Err(refusal)),
    }
}

/// The origin that the answer would count for; `None` if it would not be judged: the verification is unknown or has
/// ended, the answer is a repeat, or a rule refuses it.
pub(super) fn would_count_for(
    record: Option<&SubjectRecord>,
    command: &Asked<'_>,
    cx: &Context<'_>,
) -> Option<Origin> {
    let (record, target, attempt) = (record?, command.target, command.mark(cx));
    let is_repeat = record
        .verifications
        .iter()
        .any(|v| v.answers.iter().any(|answer| answer.id == attempt));
    let verification = record.find(&target.id)?;
    if is_repeat || verification.tenant != target.tenant || verification.generation != cx.generation
    {
        return None;
    }
    admit(record, verification, command, cx)
        .ok()
        .map(|_| verification.origin)
}

/// The stored answer to the same attempt; `None` if the attempt is new. An attempt id is
/// unique within the subject.
fn repeat(
    found: &Found,
    attempt: &Mark,
    command: &Asked<'_>,
    cx: &Context<'_>,
) -> Option<Result<Judgement, Refusal>> {
    let (verification, answer) = found
        .record
        .verifications
        .iter()
        .find_map(|v| Some((v, v.answers.iter().find(|answer| answer.id == *attempt)?)))?;
    let same = command.fingerprint(&verification.kid, cx) == Some(answer.fingerprint);
    Some(if same {
        Ok(answer.judgement)
    } else {
        Err(Refusal::AttemptIdReused)
    })
}

/// The verdict on a guess that comes after the end; `None` if it comes in time.
fn too_late(verification: &Verification, cx: &Context<'_>) -> Option<Verdict> {
    match verification.status(cx.now) {
        Status::Pending => None,
        Status::Closed(Outcome::Expired) => Some(Verdict::Expired),
        Status::Closed(
            Outcome::Approved | Outcome::Rejected | Outcome::Denied | Outcome::Canceled(_),
        ) => Some(Verdict::Closed),
    }
}

/// Whether the answer may be judged now; returns the failure count with the guess drawn from its rate.
fn admit(
    record: &SubjectRecord,
    verification: &Verification,
    command: &Asked<'_>,
    cx: &Context<'_>,
) -> Result<Tally, Refusal> {
    let pending = verification.live(cx.now).ok_or(Refusal::Closed)?;
    if !pending
        .limits
        .entry_modes
        .contains(&command.given.entry_mode())
    {
        let permitted = pending.limits.entry_modes.clone();
        return Err(Refusal::EntryModeNotPermitted { permitted });
    }
    if let Given::Code { guess, .. } = &command.given {
        let fitting = guess.fits(pending.limits.code_length.get(), pending.limits.separators);
        fitting.map_err(|Malformed| Refusal::CodeMalformed)?;
    }
    record.check_enabled(verification.origin, cx.rules)?;
    let mut tally = record.failures.of(verification.origin).clone();
    tally
        .admit(cx.now)
        .map_err(|retry_after| Refusal::AttemptTooEarly { retry_after })?;
    Ok(tally)
}

/// Judges the guess if it may be judged; returns the answer to store and the
/// failure count after it.
fn weigh(
    found: &Found,
    attempt: &Mark,
    command: &Asked<'_>,
    cx: &Context<'_>,
) -> Result<(Answer, Tally), Refusal> {
    let verification = found.verification();
    let pending = verification.live(cx.now).ok_or(Refusal::Closed)?;
    let mut tally = admit(&found.record, verification, command, cx)?;
    // Without its key in the keyring, the verification can no longer be judged.
    let is_right = command
        .given
        .is_right(verification, cx)
        .ok_or(Refusal::StartAgain)?
        && !pending.decoy;
    let fingerprint = command
        .fingerprint(&verification.kid, cx)
        .ok_or(Refusal::StartAgain)?;
    let left = verification.attempts_left(pending).saturating_sub(1);
    let judgement = if is_right {
        Judgement::Approved
    } else {
        Judgement::Wrong { left }
    };
    if judgement != Judgement::Approved {
        // All earlier answers of a live verification were wrong, so the first one here is its first
        // failure.
        let level = verification.level_of_failure();
        tally.fail(level, verification.answers.is_empty(), cx.now);
    }
    Ok((
        Answer {
            id: *attempt,
            fingerprint,
            judgement,
        },
        tally,
    ))
}

/// Stores the answer, which uses up the attempt.
fn count(mut found: Found, answer: Answer, tally: Tally, cx: &Context<'_>) -> Decision<Checked> {
    let at = cx.now.stamp();
    let (id, origin) = (found.verification().id, found.verification().origin);
    let level = found.verification().level_of_approval();
    let reached = if answer.judgement == Judgement::Approved {
        found.verification().reached()
    } else {
        Vec::new()
    };
    let of_verification = found.verification().clone();
    let mut tell = |what| {
        found.events.push(Event::of(&of_verification, at, what));
    };
    tell(What::Checked {
        judgement: answer.judgement,
    });
    let (outcome, durability) = match answer.judgement {
        // An approval clears the failure count, so it must not be answered before it would survive
        // a failover.
        Judgement::Approved => (Some(Outcome::Approved), Durability::Durable),
        Judgement::Wrong { left: 0 } => (Some(Outcome::Rejected), Durability::Durable),
        Judgement::Wrong { .. } => (None, Durability::Durable),
    };
    let failures = &mut found.record.failures;
    *failures.of_mut(origin) = tally;
    if answer.judgement == Judgement::Approved {
        let cleared = failures.succeed(origin, level);
        if cleared >= NOTIFY_AFTER_FAILURES {
            tell(What::ApprovedAfterFailures { failures: cleared });
        }
    } else if failures.disabled(origin, cx.rules.failure_limit) {
        tell(What::Disabled { origin });
    }
    found.record = found.record.step(&id, |mut verification| {
        verification.answers.push(answer);
        verification
    });
    if let Some(outcome) = outcome {
        found.record = found.record.close(&id, outcome, at, &mut found.events);
    }
    let reply = Checked {
        counted: true,
        reached,
        ..found.checked(answer.judgement.into())
    };
    found.write(durability, reply)
}

impl Found {
    fn checked(&self, verdict: Verdict) -> Checked {
        Checked {
            verdict,
            snapshot: self.snapshot(),
            event_salt: self.record.event_salt,
            counted: false,
            reached: Vec::new(),
        }
    }
}

impl Verification {
    /// The recipients that its messages went to, each once.
    fn reached(&self) -> Vec<Recipient> {
        let Phase::Pending(pending) = &self.phase else {
            return Vec::new();
        };
        let is_reached = |at: usize| {
            self.deliveries
                .iter()
                .any(|delivery| delivery.recipient == at)
        };
        pending
            .recipients
            .iter()
            .enumerate()
            .filter(|(at, _)| is_reached(*at))
            .map(|(_, recipient)| recipient.clone())
            .collect()
    }

    /// The guesses left while it is pending.
    #[must_use]
    pub fn attempts_left(&self, pending: &Pending) -> u8 {
        pending
            .limits
            .attempts
            .saturating_sub(u8::try_from(self.answers.len()).unwrap_or(u8::MAX))
    }
}

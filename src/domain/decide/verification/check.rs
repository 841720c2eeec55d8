//! Judges guesses against a pending verification.

use super::{
    given::{Asked, Given},
    judge::{Checked, judge, would_count_for},
};
use crate::domain::{
    code::guess::Guess,
    decide::{Context, Decision, Target},
    ids::AttemptId,
    record::subject::SubjectRecord,
    verification::rules::{EntryMode, Origin},
};

/// The command to judge a guess of the code.
#[derive(Clone, Debug)]
pub struct Check {
    /// The verification, and the caller that asks.
    pub target: Target,
    /// The caller's id of the attempt; a repeat with the same id gets the same answer.
    pub attempt: AttemptId,
    /// The answer as received.
    pub guess: Guess,
    /// Where the customer entered it.
    pub entry_mode: EntryMode,
}

/// Decides [`Check`]: a guess of the code is one kind of answer.
#[must_use]
pub fn check(
    record: Option<SubjectRecord>,
    command: &Check,
    cx: &Context<'_>,
) -> Decision<Checked> {
    judge(record, &command.asked(), cx)
}

/// The origin that a guess would count for; `None` if it would not be judged, because it is a repeat, or the
/// verification is unknown or has ended. Says nothing about the guess itself.
#[must_use]
pub fn guess_counts_for(
    record: Option<&SubjectRecord>,
    command: &Check,
    cx: &Context<'_>,
) -> Option<Origin> {
    would_count_for(record, &command.asked(), cx)
}

impl Check {
    fn asked(&self) -> Asked<'_> {
        let given = Given::Code {
            guess: &self.guess,
            entry_mode: self.entry_mode,
        };
        Asked {
            target: &self.target,
            attempt: &self.attempt,
            given,
        }
    }
}

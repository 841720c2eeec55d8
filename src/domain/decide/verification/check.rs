//! Judges guesses against a pending verification.

use super::{
    given::{Asked, Given},
    judge::{Checked, judge},
};
use crate::domain::{
    code::guess::Guess,
    decide::{Context, Decision, Target},
    ids::AttemptId,
    record::subject::SubjectRecord,
    verification::rules::EntryMode,
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
    let given = Given::Code {
        guess: &command.guess,
        entry_mode: command.entry_mode,
    };
    judge(
        record,
        &Asked {
            target: &command.target,
            attempt: &command.attempt,
            given,
        },
        cx,
    )
}

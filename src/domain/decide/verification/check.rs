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

/// Judge a guess.
#[derive(Clone, Debug)]
pub struct Check {
    /// Whose, by whom, of which verification.
    pub target: Target,
    /// Recognises a repeat.
    pub attempt: AttemptId,
    /// The answer as received.
    pub guess: Guess,
    /// Where it was given.
    pub entry_mode: EntryMode,
}

/// Decides [`Check`].
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

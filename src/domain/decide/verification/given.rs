//! What was given as the answer: is it right, and which trace does it leave?

use crate::domain::{
    code::{fingerprint, guess::Guess, link::LinkSecret},
    crypto::keyring::{Kid, Mark},
    decide::{Context, Target},
    ids::AttemptId,
    verification::{Verification, rules::EntryMode},
};

/// An answer, however it came.
pub(super) struct Asked<'a> {
    pub(super) target: &'a Target,
    pub(super) attempt: &'a AttemptId,
    pub(super) given: Given<'a>,
}

/// What was given as the answer.
pub(super) enum Given<'a> {
    /// A guess of the code.
    Code {
        guess: &'a Guess,
        entry_mode: EntryMode,
    },
    /// The secret of the link.
    Link { secret: &'a LinkSecret },
}

impl Asked<'_> {
    /// The trace that a counted answer leaves.
    pub(super) fn fingerprint(&self, kid: &Kid, cx: &Context<'_>) -> Option<Mark> {
        let mode = self.given.entry_mode().as_str();
        let of = |answer: &str| {
            fingerprint(cx.keyring, kid, &self.target.id, self.attempt, answer, mode)
        };
        match &self.given {
            Given::Code { guess, .. } => of(guess.digits().expose()),
            Given::Link { secret } => of(&secret.expose()),
        }
    }
}

impl Given<'_> {
    pub(super) fn entry_mode(&self) -> EntryMode {
        match self {
            Self::Code { entry_mode, .. } => *entry_mode,
            Self::Link { .. } => EntryMode::Link,
        }
    }

    /// Is it the verification's own? None if its key left the ring.
    pub(super) fn is_right(&self, verification: &Verification, cx: &Context<'_>) -> Option<bool> {
        match self {
            Self::Code { guess, .. } => {
                Some(verification.code(cx.keyring, cx.tests)? == *guess.digits())
            }
            Self::Link { secret } => Some(verification.link(cx.keyring)?.secret == **secret),
        }
    }
}

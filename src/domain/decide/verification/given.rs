//! The kinds of answers: whether one is right, and the fingerprint that it leaves.

use crate::domain::{
    code::{fingerprint, guess::Guess, link::LinkSecret},
    crypto::keyring::{Kid, Mark},
    decide::{Context, Target},
    ids::AttemptId,
    verification::{Verification, rules::EntryMode},
};

/// An answer of any kind, with its verification and its attempt id.
pub(super) struct Asked<'a> {
    pub(super) target: &'a Target,
    pub(super) attempt: &'a AttemptId,
    pub(super) given: Given<'a>,
}

/// The answer itself, by its kind.
pub(super) enum Given<'a> {
    /// A guess of the code, as received.
    Code {
        guess: &'a Guess,
        entry_mode: EntryMode,
    },
    /// The secret that the e-mail's link carries.
    Link { secret: &'a LinkSecret },
}

impl Asked<'_> {
    /// The keyed hash that recognises a repeat of this attempt.
    pub(super) fn mark(&self, cx: &Context<'_>) -> Mark {
        cx.keyring.mark(
            "attempt",
            &[
                self.target.caller.as_str().as_bytes(),
                self.attempt.as_str().as_bytes(),
            ],
        )
    }

    /// The keyed fingerprint that a counted answer leaves; `None` if the key is no
    /// longer in the keyring.
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

    /// Whether it is the verification's own code or link; `None` if the key is no
    /// longer in the keyring.
    pub(super) fn is_right(&self, verification: &Verification, cx: &Context<'_>) -> Option<bool> {
        match self {
            Self::Code { guess, .. } => {
                Some(verification.code(cx.keyring, cx.tests)? == *guess.digits())
            }
            Self::Link { secret } => Some(verification.link(cx.keyring)?.secret == **secret),
        }
    }
}

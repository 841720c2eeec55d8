//! The development outbox: the last messages, to be read by people and tests instead of being sent.

use std::{collections::VecDeque, sync::Mutex};

use super::Message;
use crate::domain::time::Timestamp;

/// How many messages are kept.
pub const OUTBOX_MAX: usize = 1000;

/// A message and when it was put in.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The message.
    pub message: Message,
    /// When.
    pub sent_at: Timestamp,
}

/// A bounded list of messages, shared by the outbox sender and the outbox page.
#[derive(Debug, Default)]
pub struct Outbox(Mutex<VecDeque<Letter>>);

impl Outbox {
    /// Puts a message in; the oldest one beyond the bound goes.
    pub fn put(&self, letter: Letter) {
        let mut letters = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        letters.push_front(letter);
        letters.truncate(OUTBOX_MAX);
    }

    /// The messages, newest first.
    #[must_use]
    pub fn list(&self) -> Vec<Letter> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

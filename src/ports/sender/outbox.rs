//! The development outbox: it keeps the latest messages for people and tests to read, and sends nothing.

use std::{collections::VecDeque, sync::Mutex};

use super::Message;
use crate::domain::time::Timestamp;

/// The largest number of messages kept.
pub const OUTBOX_MAX: usize = 1000;

/// A message in the outbox.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The message as the sender received it.
    pub message: Message,
    /// When the message was put into the outbox.
    pub sent_at: Timestamp,
}

/// A bounded list of messages, shared by the outbox sender and the outbox page.
#[derive(Debug, Default)]
pub struct Outbox(Mutex<VecDeque<Letter>>);

impl Outbox {
    /// Adds a message; beyond [`OUTBOX_MAX`] the oldest is dropped.
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

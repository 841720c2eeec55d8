//! Senders of the development profile: messages that people read on this machine.

pub mod console;
pub mod outbox;

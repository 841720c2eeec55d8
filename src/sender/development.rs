//! Senders of the development profile, whose messages people read on this machine.

pub mod console;
pub mod outbox;

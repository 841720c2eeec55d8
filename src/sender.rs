//! Senders: SMTP for real mail, and console and outbox for trying out.

pub mod console;
pub mod outbox;
pub mod smtp;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod sink;

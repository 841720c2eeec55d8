//! Senders: SMTP, providers' HTTP APIs, and console and outbox for trying out.

pub mod console;
pub mod http;
pub mod outbox;
pub mod outgoing;
pub mod secret;
pub mod smtp;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod sink;
#[cfg(test)]
mod tls_sink;

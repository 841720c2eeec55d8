//! Senders: SMTP, providers' HTTP APIs, an operator's own service or process, and console and outbox for trying out.

pub mod addresses;
pub mod console;
pub mod http;
pub mod outbox;
pub mod outgoing;
pub mod plugin;
pub mod secret;
pub mod smtp;
pub mod webhook;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod sink;
#[cfg(test)]
mod tls_sink;

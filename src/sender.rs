//! Senders: SMTP, SMPP, push services, providers' HTTP APIs, an operator's own service or process, and console and outbox for trying out.

pub mod addresses;
pub mod apns;
pub mod console;
pub mod fcm;
pub mod hook;
pub mod http;
mod jws;
pub mod outbox;
pub mod outgoing;
pub mod peer;
pub mod plugin;
mod push;
pub mod signed;
pub mod smpp;
pub mod smtp;
pub mod sns;
mod tls;
pub mod webhook;
pub mod webpush;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod sink;
#[cfg(test)]
mod tls_double;
#[cfg(test)]
mod tls_sink;

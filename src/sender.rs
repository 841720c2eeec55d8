//! Senders: SMTP, SMPP, push services, providers' HTTP APIs, an operator's own service or process, and for development
//! console and outbox.
//!
//! A sender is a folder or file here with a settings type of its own, which implements [`settings::SenderSettings`].

pub mod development;
pub mod http;
mod jws;
pub mod operator;
pub mod push;
pub mod settings;
pub mod smpp;
pub mod smtp;
pub mod sns;
pub mod transport;

#[cfg(test)]
mod doubles;

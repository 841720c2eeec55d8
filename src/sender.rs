//! Senders: SMTP, SMPP, push services, providers' HTTP APIs, an operator's own service or process, and console and outbox for trying out.

pub mod development;
pub mod http;
mod jws;
pub mod operator;
pub mod push;
pub mod smpp;
pub mod smtp;
pub mod sns;
pub mod transport;

#[cfg(test)]
mod doubles;

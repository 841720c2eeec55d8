//! Published formats, each with its source and its test vectors; independent of the rest of the service.

pub mod base58;
pub mod certificate;
pub mod gsm7;
pub mod mac;
pub mod secret;
pub mod standard_webhooks;
pub mod visible;

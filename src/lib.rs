//! Step-up authentication.

pub mod domain;
pub mod http;
pub mod message;
pub mod pb;
pub mod ports;
pub mod store;
pub mod sender;

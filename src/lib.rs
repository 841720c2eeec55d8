//! Step-up authentication.

pub mod domain;
pub mod pb;
pub mod ports;
pub mod store;

//! Connections to providers: HTTP with judged addresses, TLS, peers that are not trusted.

pub mod addresses;
pub mod http;
pub mod peer;
pub mod signed;
pub(super) mod tls;

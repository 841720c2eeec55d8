//! Connections to providers: HTTP to checked addresses, TLS, gRPC peers.

pub mod addresses;
pub mod http;
pub mod peer;
pub mod signed;
pub(super) mod tls;

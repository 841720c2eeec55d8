//! Test doubles of mail servers and providers.

pub(super) mod samples;
pub(super) mod sink;
pub(super) mod tls_double;
pub(super) mod tls_sink;

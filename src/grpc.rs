//! The gRPC adapter: each handler identifies the caller, converts the request, calls a use case, converts the result.

pub mod entrance;
mod fields;
pub mod health;
mod status;
mod verification;

/// The largest request message that is accepted, in bytes.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// The largest response message that is sent, in bytes.
pub const RESPONSE_BYTES_MAX: usize = 256 * 1024;

pub use verification::VerificationHandler;

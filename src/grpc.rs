//! The gRPC adapter: each handler identifies the caller, converts the request, calls a use case, converts the result.

pub mod entrance;
mod fields;
mod status;
mod throttle;
pub mod transport;
mod verification;

pub use verification::VerificationHandler;

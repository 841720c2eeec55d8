//! The gRPC front: who, convert, call, convert.

pub mod entrance;
mod fields;
mod status;
mod throttle;
pub mod transport;
mod verification;

pub use verification::VerificationHandler;

//! The gRPC front: who, convert, call, convert.

mod calls;
pub mod entrance;
mod fields;
mod status;
pub mod transport;
mod verification;

pub use verification::VerificationHandler;

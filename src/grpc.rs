//! The gRPC front: who, convert, call, convert.

pub mod auth;
mod convert;
pub mod guard;
pub mod listen;
pub mod server;
mod status;
mod verification;
mod view;

pub use verification::VerificationHandler;

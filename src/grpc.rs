//! The gRPC adapter: each handler identifies the caller, converts the request, calls a use case, converts the result.

mod admin;
mod audit;
pub mod entrance;
mod fields;
pub mod health;
mod status;
mod verification;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::{domain::caller::Caller, service::failure::Failure};

pub use admin::AdminHandler;
pub use verification::{VerificationHandler, WatchLimits};

/// The largest request message that is accepted, in bytes.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// The largest response message that is sent, in bytes.
pub const RESPONSE_BYTES_MAX: usize = 256 * 1024;
/// The largest response message of `AdminService`, in bytes: 1000 events of the audit trail, of 1 KiB each, and
/// the rest of a commit that is not divided.
pub const ADMIN_RESPONSE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The answer of a handler.
type RpcResult<T> = Result<Response<T>, Status>;

/// The caller that the entrance authenticated. Every request that reaches a handler has one.
fn caller<T>(request: &Request<T>) -> Result<Arc<Caller>, Failure> {
    request
        .extensions()
        .get::<Arc<Caller>>()
        .cloned()
        .ok_or(Failure::Internal)
}

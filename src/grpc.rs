//! The gRPC adapter: each handler identifies the caller, converts the request, calls a use case, converts the result.

mod admin;
pub mod entrance;
mod fields;
mod status;
mod throttle;
pub mod transport;
mod verification;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::{domain::caller::Caller, service::failure::Failure};

pub use admin::AdminHandler;
pub use verification::{VerificationHandler, WatchLimits};

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

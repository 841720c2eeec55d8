//! Asks the operator's hook, as a signed webhook or over gRPC.

mod grpc;
mod http;

pub use self::{grpc::GrpcHook, http::HttpHook};

#[cfg(test)]
mod tests;

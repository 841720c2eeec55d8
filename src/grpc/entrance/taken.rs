//! A call counts as in progress until its answer is taken, so that a caller that takes none holds no more answers than
//! it may have calls in progress.

use std::sync::Arc;

use axum::body::HttpBody as _;
use http::Response;
use tonic::body::Body;

use crate::listener::taken::Taken;

/// The only method of callers whose answers last; how many may be open has limits of its own.
const WATCH: &str = "countersign.v1.VerificationService/WatchVerification";

/// Keeps what a call holds until its answer is taken, unless the answer is a stream.
pub(super) fn until_taken<H>(held: H, method: &str, response: Response<Body>) -> Response<Body>
where
    H: Send + Sync + 'static,
{
    if method == WATCH || response.body().is_end_stream() {
        return response;
    }
    response.map(|body| Body::new(Taken::new(body, Arc::new(held))))
}

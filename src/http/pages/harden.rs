//! Response headers that prevent caching, framing, and loading other content.

use axum::{
    http::{HeaderName, HeaderValue},
    response::Response,
};

/// Sets these headers on a response.
pub(super) fn harden(mut response: Response, headers: &[(HeaderName, &'static str)]) -> Response {
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

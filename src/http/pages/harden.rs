//! Response headers that keep a page from being cached or framed, or from loading anything else.

use axum::{
    http::{HeaderName, HeaderValue},
    response::Response,
};

/// Sets the given headers on a response.
pub(super) fn harden(mut response: Response, headers: &[(HeaderName, &'static str)]) -> Response {
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

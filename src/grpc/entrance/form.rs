//! Judges the form of a request before anything else: method, HTTP version, content type, path and credentials.
//!
//! What is no gRPC call is answered in plain HTTP, and nothing is done: no service sees it, and its body is not read.

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use tonic::body::Body;

/// What a request is, if it is no gRPC call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoCall {
    /// Another method than POST.
    Method,
    /// HTTP/1, which cannot carry the end of a gRPC call.
    Version,
    /// A content type that this listener does not serve, or none.
    ContentType,
}

impl NoCall {
    /// What is wrong with the form of a request; `None` for a gRPC call.
    pub(super) fn of<B>(request: &Request<B>) -> Option<Self> {
        if request.method() != Method::POST {
            Some(Self::Method)
        } else if !is_grpc(request.headers()) {
            Some(Self::ContentType)
        } else if request.version() < Version::HTTP_2 {
            Some(Self::Version)
        } else {
            None
        }
    }

    /// The reason in metrics and logs.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Method => "HTTP_METHOD",
            Self::Version => "HTTP_VERSION",
            Self::ContentType => "CONTENT_TYPE",
        }
    }

    pub(super) fn response(self) -> Response<Body> {
        let (status, text) = match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "send gRPC calls by POST\n"),
            Self::Version => (
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "send gRPC calls over HTTP/2\n",
            ),
            Self::ContentType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send gRPC calls with content-type application/grpc\n",
            ),
        };
        let mut response = Response::new(Body::new(text.to_owned()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        if self == Self::Method {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

/// Whether the one content type is `application/grpc` or `application/grpc+proto`; parameters are permitted.
fn is_grpc(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return false;
    };
    let Ok(text) = value.to_str() else {
        return false;
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    ["application/grpc", "application/grpc+proto"]
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, version: Version, types: &[&'static str]) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.version_mut() = version;
        for value in types {
            request
                .headers_mut()
                .append(header::CONTENT_TYPE, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn net_17_only_a_post_of_grpc_over_http_2_is_a_call() {
        let of =
            |method, version, types: &[&'static str]| NoCall::of(&request(method, version, types));
        for types in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc;charset=utf-8",
            "Application/gRPC+Proto ; a=b",
        ] {
            assert_eq!(of(Method::POST, Version::HTTP_2, &[types]), None, "{types}");
        }
        for types in [
            &[][..],
            &[""],
            &["text/plain"],
            &["application/json"],
            &["application/grpc+json"],
            &["application/grpc-web"],
            &["application/grpc-web+proto"],
            &["application/grpcx"],
            &["application/proto"],
            &["application/grpc, application/grpc"],
            &["application/grpc", "application/grpc"],
            &["application/grpc", "text/plain"],
        ] {
            let judged = of(Method::POST, Version::HTTP_2, types);
            assert_eq!(judged, Some(NoCall::ContentType), "{types:?}");
        }
        for method in [
            Method::GET,
            Method::PUT,
            Method::HEAD,
            Method::OPTIONS,
            Method::CONNECT,
        ] {
            let judged = of(method, Version::HTTP_2, &["application/grpc"]);
            assert_eq!(judged, Some(NoCall::Method));
        }
        let judged = of(Method::POST, Version::HTTP_11, &["application/grpc"]);
        assert_eq!(judged, Some(NoCall::Version));
        let refused = NoCall::Method.response();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["allow"]),
            (405, &HeaderValue::from_static("POST"))
        );
        assert_eq!(NoCall::ContentType.response().status(), 415);
    }
}

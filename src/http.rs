//! The HTTP listener: everything that is not gRPC.

pub mod admin;
pub mod callbacks;
pub mod pages;

use axum::{
    Router,
    body::Body,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse as _, Response},
    routing::get,
};

use crate::listener::{bodies::Cut, inbound::Refused};

/// All routes of the public listener. The routes that show messages exist only with an outbox, so only in the
/// development profile; the routes of the link page only with a page.
pub fn router(outbox: Option<pages::dev::DevPage>, page: Option<pages::link::LinkPage>) -> Router {
    let parts = [
        outbox.map(pages::dev::router),
        page.map(pages::link::router),
    ];
    parts
        .into_iter()
        .flatten()
        .fold(Router::new().route("/", get(root)), Router::merge)
}

/// The response to a request that the listener itself refuses. The pause is for providers, which repeat a callback.
#[must_use]
pub fn refused(refused: Refused) -> Response<Body> {
    let status = match refused {
        Refused::Crowded | Refused::Body(Cut::Full) | Refused::Late => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Refused::Body(Cut::TooLarge) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Refused::Body(Cut::Stalled) => StatusCode::REQUEST_TIMEOUT,
    };
    (status, [(RETRY_AFTER, "5")]).into_response()
}

async fn root() -> &'static str {
    "Countersign: the HTTP listener. The API is gRPC, on its own listener.\n"
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::{
        body::to_bytes,
        http::{Request, header::HOST},
    };
    use tower::ServiceExt as _;

    use super::{pages::dev::DevPage, *};

    async fn get(router: Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).header(HOST, "localhost:8080");
        let response = router
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn conf_02_without_an_outbox_its_paths_do_not_exist() {
        for path in ["/dev", "/dev/", "/dev/outbox", "/dev/x"] {
            assert_eq!(
                get(router(None, None), path).await,
                (StatusCode::NOT_FOUND, String::new()),
                "{path}"
            );
        }
        let page = DevPage {
            outbox: Arc::default(),
            hosts: Vec::new(),
        };
        assert_eq!(
            get(router(Some(page), None), "/dev/outbox").await,
            (StatusCode::OK, "[]".to_owned())
        );
    }

    #[tokio::test]
    async fn the_root_says_what_this_listener_is() {
        let (status, body) = get(router(None, None), "/").await;
        assert_eq!((status, body.lines().count()), (StatusCode::OK, 1));
    }
}

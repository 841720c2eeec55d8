//! The HTTP listener: everything that is not gRPC.

pub mod admin;
pub mod callbacks;
pub mod pages;

use std::sync::Arc;

use axum::{Router, routing::get};

use crate::ports::sender::outbox::Outbox;

/// All routes of the public listener. The routes that show messages exist only with an outbox, so only in the
/// development profile; the routes of the link page only with a page.
pub fn router(outbox: Option<Arc<Outbox>>, page: Option<pages::link::LinkPage>) -> Router {
    let parts = [
        outbox.map(pages::dev::router),
        page.map(pages::link::router),
    ];
    parts
        .into_iter()
        .flatten()
        .fold(Router::new().route("/", get(root)), Router::merge)
}

async fn root() -> &'static str {
    "Countersign: the HTTP listener. The API is gRPC, on its own listener.\n"
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::{Request, StatusCode},
    };
    use tower::ServiceExt as _;

    use super::*;

    async fn get(router: Router, path: &str) -> (StatusCode, String) {
        let response = router
            .oneshot(Request::get(path).body(Body::empty()).unwrap())
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
        assert_eq!(
            get(router(Some(Arc::default()), None), "/dev/outbox").await,
            (StatusCode::OK, "[]".to_owned())
        );
    }

    #[tokio::test]
    async fn the_root_says_what_this_listener_is() {
        let (status, body) = get(router(None, None), "/").await;
        assert_eq!((status, body.lines().count()), (StatusCode::OK, 1));
    }
}

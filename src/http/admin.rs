//! Endpoints for operators: metrics, liveness and readiness.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio_util::sync::CancellationToken;

use crate::service::Service;

/// The routes `/metrics`, `/livez` and `/readyz`.
pub fn router(
    metrics: impl Fn() -> String + Clone + Send + Sync + 'static,
    service: Arc<Service>,
    shutdown: CancellationToken,
) -> Router {
    let ready = move || ready(service.clone(), shutdown.clone());
    let metrics = move || async move {
        (
            [(
                header::CONTENT_TYPE,
                "text/plain; version=0.0.4; charset=utf-8",
            )],
            metrics(),
        )
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
}

/// Ready means that the store answers and the process is not shutting down. The body also lists degraded conditions.
async fn ready(service: Arc<Service>, shutdown: CancellationToken) -> impl IntoResponse {
    if shutdown.is_cancelled() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "shutting down\n".to_owned(),
        );
    }
    let (status, mut text) = match service.serves().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the store does not answer: {error}\n"),
        ),
    };
    for complaint in service.complaints() {
        let _ = writeln!(text, "degraded: {}: {}", complaint.word, complaint.text);
    }
    (status, text)
}

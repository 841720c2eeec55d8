//! Looks after the audit trail: writes what was counted, and deletes what is too old or too much.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{domain::time::Timestamp, service::Service};

/// The time between two looks at the trail.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The shortest time between two log lines about a look that failed.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Looks at the trail again and again, until `shutdown` is canceled.
pub(super) async fn keep(service: Arc<Service>, shutdown: CancellationToken) {
    let mut logged_at = None;
    loop {
        // Completed even then: what was taken from the counts to be written is nowhere else.
        service.tell_due_refusals().await;
        let rest = trim_and_wait(&service, &mut logged_at);
        if shutdown.run_until_cancelled(rest).await.is_none() {
            return;
        }
    }
}

/// Deletes events, and waits until the next look.
async fn trim_and_wait(service: &Service, logged_at: &mut Option<Timestamp>) {
    if let Err(error) = service.trim_events().await {
        let now = service.clock().now();
        if logged_at.is_none_or(|at| now.since(at) >= LOG_EVERY) {
            *logged_at = Some(now);
            tracing::warn!(%error, "old events not dropped");
        }
    }
    service.clock().sleep(LOOK_EVERY).await;
}

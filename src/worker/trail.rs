//! Looks after the audit trail: writes what was counted, and deletes what is too old or too much.

use std::{sync::Arc, time::Duration};

use crate::service::Service;

/// The time between two looks at the trail.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The shortest time between two log lines about a look that failed.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Looks at the trail again and again.
pub(super) async fn keep(service: Arc<Service>) {
    let mut logged_at = None;
    loop {
        service.tell_due_refusals().await;
        if let Err(error) = service.trim_events().await {
            let now = service.clock().now();
            if logged_at.is_none_or(|at| now.since(at) >= LOG_EVERY) {
                logged_at = Some(now);
                tracing::warn!(%error, "old events not dropped");
            }
        }
        service.clock().sleep(LOOK_EVERY).await;
    }
}

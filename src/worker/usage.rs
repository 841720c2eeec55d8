//! Counts the stored records by key in the background, slowly enough not to disturb other work.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::service::{Service, record::usage::RecordCount};

/// The wait before the first count, because a new process has more urgent work.
const FIRST_AFTER: Duration = Duration::from_secs(60);
/// The pause between two pages of 256 records: a million records take about an hour.
const PAGE_EVERY: Duration = Duration::from_secs(1);
/// The pause between the end of a count and the next one.
const COUNT_EVERY: Duration = Duration::from_secs(3600);

/// Counts again and again, until `shutdown` is canceled.
pub(super) async fn count(service: Arc<Service>, shutdown: CancellationToken) {
    tokio::select! {
        () = count_for_ever(&service) => {}
        () = shutdown.cancelled() => {}
    }
}

async fn count_for_ever(service: &Service) {
    let mut count = RecordCount::default();
    let mut pause = FIRST_AFTER;
    loop {
        tokio::time::sleep(pause).await;
        pause = match service.count_records(&mut count).await {
            Ok(true) => PAGE_EVERY,
            Ok(false) => COUNT_EVERY,
            Err(error) => {
                // Not serious: only the gauge is missing, for example without the permission to use SCAN.
                tracing::info!(%error, "records by key not counted");
                COUNT_EVERY
            }
        };
    }
}

//! Counts the stored records by key beside the work of the process, so slowly that nobody notices.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::service::{Service, record::usage::RecordCount};

/// A fresh process has better things to do.
const FIRST_AFTER: Duration = Duration::from_secs(60);
/// Between two pages of 256 records: a million records take about an hour.
const PAGE_EVERY: Duration = Duration::from_secs(1);
/// Between the end of a count and the next one.
const COUNT_EVERY: Duration = Duration::from_secs(3600);

/// Counts again and again, until `shutdown`.
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
                // Not serious: without the right to SCAN, say, the gauge is missing.
                tracing::info!(%error, "records by key not counted");
                COUNT_EVERY
            }
        };
    }
}

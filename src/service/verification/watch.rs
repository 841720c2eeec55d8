//! Follows a verification until it has ended.

use std::time::Duration;

use super::Reading;
use crate::{
    domain::{caller::Caller, ids::VerificationId, verification::Status},
    ports::store::News,
    service::{Service, failure::Failure},
};

/// How often a watcher reads the verification by itself, because news may be lost.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A verification that is being followed, with the state reported last.
pub struct Watch {
    id: VerificationId,
    caller: Caller,
    news: News,
    last: Option<Reading>,
}

impl Service {
    /// Begins to follow a verification. It subscribes before it loads, so that no change
    /// is missed in between.
    ///
    /// # Errors
    /// [`Failure`] if the verification is unknown or the store cannot be reached.
    pub async fn watch(&self, caller: &Caller, id: VerificationId) -> Result<Watch, Failure> {
        let news = self.records.watch(&id.subject).await?;
        // An unknown verification is refused here, not later in the stream.
        self.get(caller, id).await?;
        Ok(Watch {
            id,
            caller: caller.clone(),
            news,
            last: None,
        })
    }

    /// The next state that differs from the last one; `None` once the verification has ended.
    ///
    /// # Errors
    /// [`Failure`] if the store cannot be reached or the process shuts down.
    pub async fn next(&self, watch: &mut Watch) -> Result<Option<Reading>, Failure> {
        if watch
            .last
            .as_ref()
            .is_some_and(|last| status(last) != Status::Pending)
        {
            return Ok(None);
        }
        loop {
            watch.news.mark_unchanged();
            let reading = self.get(&watch.caller, watch.id).await?;
            let Some(last) = &watch.last else {
                return Ok(Some(watch.see(reading)));
            };
            if last.snapshot != reading.snapshot || status(last) != status(&reading) {
                return Ok(Some(watch.see(reading)));
            }
            let expiry = reading
                .now
                .until(reading.snapshot.verification.expires_at)
                .max(Duration::from_millis(1));
            tokio::select! {
                changed = watch.news.changed() => if changed.is_err() { return Err(Failure::ShuttingDown) },
                () = self.clock.sleep(expiry) => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

impl Watch {
    fn see(&mut self, reading: Reading) -> Reading {
        self.last = Some(reading.clone());
        reading
    }
}

fn status(reading: &Reading) -> Status {
    reading.snapshot.verification.status(reading.now)
}

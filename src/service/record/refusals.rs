//! Writes the events of refused calls, repeated ones together.

use std::sync::{MutexGuard, PoisonError};

use super::Records;
use crate::{
    domain::{
        audit::{
            event::{Event, RefusedCall},
            refusals::{About, RefusalCounter, RefusalEvent},
        },
        ids::SubjectKey,
    },
    service::{Service, failure::within},
};

impl Records {
    /// Writes the event of a refusal, or counts it for the next event about the same.
    pub(in crate::service) async fn tell(
        &self,
        about: About,
        call: RefusedCall,
        refused: RefusalEvent,
    ) {
        let told = self.held().take(about, call, refused);
        if let Some(refused) = told {
            self.append(refused).await;
        }
    }

    /// Writes the events of counted refusals: those that are due, or all.
    async fn tell_counted(&self, all: bool) {
        let now = self.clock.now();
        let told = if all {
            self.held().all(now)
        } else {
            self.held().due(now)
        };
        for refused in told {
            self.append(refused).await;
        }
    }

    async fn append(&self, refused: RefusalEvent) {
        let RefusalEvent { key, salt, event } = refused;
        let key = key.unwrap_or_else(|| self.key_of_many(&event));
        self.append_or_lose(&key, salt, &event).await;
    }

    /// The key for an event about many subjects: no subject has it.
    fn key_of_many(&self, event: &Event) -> SubjectKey {
        let caller = event.caller.as_ref().map_or("", |caller| caller.as_str());
        let fields = [event.tenant.as_str().as_bytes(), caller.as_bytes()];
        SubjectKey(self.keyring.mark("many subjects", &fields))
    }

    /// Writes an event that belongs to no change. If that fails, it is counted as lost, and no call fails.
    pub(super) async fn append_or_lose(
        &self,
        key: &SubjectKey,
        salt: Option<[u8; 16]>,
        event: &Event,
    ) {
        let written = within(self.deadline, async {
            Ok(self.append_event(key, salt, event).await?)
        });
        if let Err(error) = written.await {
            metrics::counter!("countersign_events_lost_total", "cause" => "not_written")
                .increment(event.count());
            tracing::warn!(%error, "event not written");
        }
    }

    /// No code under this lock panics between two changes.
    fn held(&self) -> MutexGuard<'_, RefusalCounter> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    /// Writes the events of the refusals that were counted for a minute.
    pub async fn tell_due_refusals(&self) {
        self.records.tell_counted(false).await;
    }

    /// Writes the events of all refusals that were counted: the process ends.
    pub async fn tell_all_refusals(&self) {
        self.records.tell_counted(true).await;
    }
}

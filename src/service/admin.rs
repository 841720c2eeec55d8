//! The use cases of operators: look at a subject, and unlock it.

use super::{
    Service,
    failure::Failure,
    record::{call::Call, transact::Change},
};
use crate::domain::{
    caller::Caller,
    decide::{SubjectSnapshot, Unlock, subject, unlock},
    ids::{Reference, SubjectId, UnlockReason},
    time::Now,
};

/// A subject, and the time at which it was read.
#[derive(Clone, Debug)]
pub struct SubjectReading {
    /// The failure counts and verifications.
    pub snapshot: SubjectSnapshot,
    /// The failure limit of the settings.
    pub failure_limit: u32,
    /// The time of the reading, by which expiry is judged.
    pub now: Now,
}

/// An unlock as the caller asks for it.
#[derive(Clone, Debug)]
pub struct UnlockRequest {
    /// The subject to be unlocked.
    pub subject: SubjectId,
    /// Why, in the operator's words.
    pub reason: UnlockReason,
    /// The member of staff, if the caller named one.
    pub operator: Option<Reference>,
    /// Whether the wait before the next guess ends too.
    pub end_wait: bool,
}

impl Service {
    /// Reads a subject of the caller's tenant without changing anything.
    ///
    /// # Errors
    /// [`Failure`] if nothing is known of it, or it cannot be read.
    pub async fn subject(
        &self,
        caller: &Caller,
        id: &SubjectId,
    ) -> Result<SubjectReading, Failure> {
        let key = self.keyring.subject_key(&caller.tenant, id);
        let loaded = self.records.read(&key).await?;
        let cx = self.records.context(&loaded);
        let snapshot = subject(loaded.record, &cx)?;
        Ok(self.subject_reading(snapshot, cx.now))
    }

    /// Lifts the failure limit of a subject of the caller's tenant, with an event.
    ///
    /// # Errors
    /// [`Failure`] if nothing is known of it, it has reached the cap, or the change cannot be committed.
    pub async fn unlock(
        &self,
        caller: &Caller,
        request: UnlockRequest,
    ) -> Result<SubjectReading, Failure> {
        let key = self.keyring.subject_key(&caller.tenant, &request.subject);
        let command = Unlock {
            tenant: caller.tenant.clone(),
            caller: caller.name.clone(),
            reason: request.reason,
            operator: request.operator,
            end_wait: request.end_wait,
        };
        let call = Call {
            name: "unlock",
            caller: &caller.name,
            tenant: &caller.tenant,
            verification: None,
            contact: None,
        };
        let (snapshot, now) = self
            .change(Change::of(key).by(call), |record, cx| {
                unlock(record, &command, cx)
            })
            .await?;
        metrics::counter!("countersign_unlocks_total").increment(1);
        tracing::info!(caller = caller.name.as_str(), subject = %key, "subject unlocked");
        Ok(self.subject_reading(snapshot, now))
    }

    fn subject_reading(&self, snapshot: SubjectSnapshot, now: Now) -> SubjectReading {
        SubjectReading {
            snapshot,
            failure_limit: self.policy.subject.failure_limit,
            now,
        }
    }
}

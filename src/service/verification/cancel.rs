//! Ends a verification on request.

use super::{Reading, target};
use crate::{
    domain::{
        caller::Caller,
        decide::{Cancel, CancelReason, cancel},
        ids::VerificationId,
    },
    service::{
        Service,
        failure::Failure,
        record::{call::Call, transact::Change},
    },
};

impl Service {
    /// Ends a verification for this reason, which decides the outcome.
    ///
    /// # Errors
    /// [`Failure`] if it is unknown, has ended otherwise, or cannot be committed.
    pub async fn cancel(
        &self,
        caller: &Caller,
        id: VerificationId,
        reason: CancelReason,
    ) -> Result<Reading, Failure> {
        let command = Cancel {
            target: target(caller, id),
            reason,
        };
        let call = Call {
            name: "cancel",
            caller: &caller.name,
            tenant: &caller.tenant,
            verification: Some(id),
            contact: None,
        };
        let (snapshot, now) = self
            .change(Change::of(id.subject).by(call), |record, cx| {
                cancel(record, &command, cx)
            })
            .await?;
        Ok(Reading { snapshot, now })
    }
}

//! Sends the code of a verification again.

use std::sync::Arc;

use super::{Reading, target};
use crate::{
    domain::{
        caller::Caller,
        decide::{Resend, resend},
        ids::{DeliveryId, RequestId, VerificationId},
        recipient::Channel,
    },
    ports::system::fresh,
    service::{
        Service,
        failure::Failure,
        record::{call::Call, transact::Change},
    },
};

/// A resend as the caller asks for it.
#[derive(Clone, Debug)]
pub struct ResendRequest {
    /// The verification whose code is sent again.
    pub id: VerificationId,
    /// The caller's id of the request; a repeat with the same id sends nothing.
    pub request_id: RequestId,
    /// The channel to use; `None` for the one used last.
    pub channel: Option<Channel>,
    /// Digest of the whole request, to notice another body with the same id.
    pub body: [u8; 32],
}

impl Service {
    /// Sends the code again. Commit and hand-over continue even if the call is dropped.
    ///
    /// # Errors
    /// [`Failure`] if the resend is refused or cannot be committed.
    pub async fn resend(
        self: &Arc<Self>,
        caller: &Caller,
        request: ResendRequest,
    ) -> Result<Reading, Failure> {
        let command = Resend {
            target: target(caller, request.id),
            request: self.request_mark(caller, &request.request_id, &request.body),
            channel: request.channel,
            delivery: DeliveryId(fresh(&*self.entropy)),
        };
        let service = self.clone();
        self.run_detached(async move { service.commit_resend(&command).await })
            .await
    }

    async fn commit_resend(&self, command: &Resend) -> Result<Reading, Failure> {
        let id = command.target.id;
        let call = Call {
            name: "resend",
            caller: &command.target.caller,
            tenant: &command.target.tenant,
            verification: Some(id),
            contact: None,
        };
        let reserved = self.courier.reserved_hands(id.subject);
        let (snapshot, now) = self
            .send(
                Change::of(id.subject).by(call),
                reserved,
                |record, hands, cx| resend(record, command, hands, cx),
            )
            .await
            .map_err(Failure::of_new)?;
        Ok(Reading { snapshot, now })
    }
}

//! Sends the code of a verification once more.

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
        record::transact::{Call, Change},
    },
};

/// A resend as the caller asks for it.
#[derive(Clone, Debug)]
pub struct ResendRequest {
    /// The verification.
    pub id: VerificationId,
    /// Makes a repeat harmless.
    pub request_id: RequestId,
    /// The channel to use now; `None` for the one used last.
    pub channel: Option<Channel>,
    /// Digest of the whole request, so that another body under the same id is noticed.
    pub body: [u8; 32],
}

impl Service {
    /// Sends the code again. Commit and hand-over go on if the call is dropped.
    ///
    /// # Errors
    /// [`Failure`].
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
        self.apart(async move { service.commit_resend(&command).await })
            .await
    }

    async fn commit_resend(&self, command: &Resend) -> Result<Reading, Failure> {
        let id = command.target.id;
        let call = Call {
            name: "resend",
            caller: &command.target.caller,
            verification: Some(id),
            contact: None,
        };
        let crew = self.courier.crew(id.subject);
        let (standing, now) = self
            .send(
                Change::of(id.subject).by(call),
                crew,
                |record, hands, cx| resend(record, command, hands, cx),
            )
            .await
            .map_err(Failure::of_new)?;
        Ok(Reading { standing, now })
    }
}

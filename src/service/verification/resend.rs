//! Sends the code of a verification once more.

use super::{Reading, target};
use crate::{
    domain::{
        caller::Caller,
        decide::{Resend, Work, resend},
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
    /// Of which verification.
    pub id: VerificationId,
    /// Makes a repeat harmless.
    pub request_id: RequestId,
    /// The channel to use now; `None` for the one used last.
    pub channel: Option<Channel>,
    /// Digest of the whole request.
    pub body: [u8; 32],
}

impl Service {
    /// Sends the code again.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn resend(
        &self,
        caller: &Caller,
        request: ResendRequest,
    ) -> Result<Reading, Failure> {
        let (hand, lease) = self.courier.reserve().unzip();
        let delivery = DeliveryId(fresh(&*self.entropy));
        let command = Resend {
            target: target(caller, request.id),
            request: self.request_mark(caller, &request.request_id, &request.body),
            channel: request.channel,
            delivery,
            lease,
        };
        let call = Call {
            name: "resend",
            caller,
            verification: Some(request.id),
            contact: None,
        };
        let resent = self
            .change(Change::of(request.id.subject).by(call), |record, cx| {
                resend(record, &command, cx)
            })
            .await;
        let (standing, now) = resent.map_err(Failure::of_new)?;
        let is_new = standing
            .verification
            .deliveries
            .iter()
            .any(|made| made.id == delivery);
        if let (Some(hand), Some(lease), true) = (hand, lease, is_new) {
            hand.take(Work {
                verification: request.id,
                delivery,
                token: lease.token,
            });
        }
        Ok(Reading { standing, now })
    }
}

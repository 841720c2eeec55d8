//! What the customer is told about a verification.

use super::Reading;
use crate::{
    domain::{
        recipient::Channel,
        verification::{CancelCause, Outcome, Status},
    },
    message::Explanation,
    service::Service,
};

impl Service {
    /// A sentence or two for the customer, in their language.
    #[must_use]
    pub fn explain(&self, reading: &Reading) -> String {
        let Reading { standing, now } = reading;
        let v = &standing.verification;
        let explanation = match v.status(*now) {
            Status::Pending if !now.has_reached(standing.next_attempt_at) => {
                Explanation::WaitBeforeNext
            }
            Status::Pending => {
                let digits = v
                    .live(*now)
                    .map_or(0, |pending| pending.limits.code_length.get());
                match v.last_road() {
                    Some(delivery) if delivery.channel == Channel::Push => {
                        Explanation::InApp { digits }
                    }
                    last => Explanation::Pending {
                        digits,
                        masked: last.map_or("", |delivery| delivery.masked.as_str()),
                    },
                }
            }
            Status::Closed(Outcome::Approved) => Explanation::Approved,
            Status::Closed(Outcome::Rejected) => Explanation::Rejected,
            Status::Closed(Outcome::Denied) => Explanation::Denied,
            Status::Closed(Outcome::Canceled(CancelCause::Generation)) => Explanation::Lost,
            Status::Closed(Outcome::Canceled(CancelCause::Requested | CancelCause::Superseded)) => {
                Explanation::Canceled
            }
            Status::Closed(Outcome::Expired) => Explanation::Expired,
        };
        self.courier.explain(v.locale.as_ref(), explanation)
    }
}

//! What happens to a message that a sender did not accept: the next sender, a later round, or the end.

use std::time::Duration;

use super::Courier;
use crate::{
    domain::delivery::{
        HandOver,
        route::{Onward, RouteState, onward, spread},
    },
    ports::{sender::SendError, system::fresh},
};

impl Courier {
    /// What happens next after the sender at this position did not accept the message.
    pub(super) fn after(
        &self,
        senders: usize,
        route_state: RouteState,
        error: SendError,
    ) -> HandOver {
        match error {
            SendError::Retry { after, reason }
            | SendError::Unknown { after, reason }
            | SendError::Deferred { after, reason } => {
                match self.next(onward(senders, route_state, Some(after))) {
                    Some((after, position)) => HandOver::Again { after, position },
                    None => HandOver::GivenUp { reason },
                }
            }
            SendError::NextSender { reason } | SendError::Unfit { reason } => {
                let (by, refusals) = (
                    route_state.position,
                    route_state.refusals.with(route_state.position),
                );
                match self.next(onward(
                    senders,
                    RouteState {
                        refusals,
                        ..route_state
                    },
                    None,
                )) {
                    Some((after, position)) => HandOver::PassedOn {
                        by,
                        after,
                        position,
                    },
                    None => HandOver::GivenUp { reason },
                }
            }
            SendError::GiveUp { reason } => HandOver::GivenUp { reason },
        }
    }

    /// The pause and the position for the next hand-over; `None` if there is no sender left.
    fn next(&self, onward: Onward) -> Option<(Duration, usize)> {
        match onward {
            Onward::To(position) => Some((Duration::ZERO, position)),
            Onward::Round(pause) => Some((self.spread(pause), 0)),
            Onward::Nowhere => None,
        }
    }

    /// Lengthens a pause by a random part, so that many messages do not come back at the same moment.
    pub(super) fn spread(&self, pause: Duration) -> Duration {
        spread(pause, fresh(&*self.entropy))
    }
}

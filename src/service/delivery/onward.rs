//! What happens to a message that a sender did not accept: the next sender, a later round, or the end.

use std::time::Duration;

use super::Courier;
use crate::{
    domain::delivery::{
        HandOver,
        blame::{Blame, Stage},
        reason::Reason,
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
        error: &SendError,
    ) -> HandOver {
        let reason = || error.reason.clone();
        let position = route_state.position;
        if error.blame == Blame::Recipient {
            return HandOver::GivenUp { reason: reason() };
        }
        // With another sender there is no need to wait until the login is mended.
        let is_kept = error.reason == Reason::LoginRefused && senders == 1;
        let is_final = error.reason == Reason::LoginRefused && !is_kept;
        let Some(pause) = error.again.filter(|_| !is_final) else {
            let refusals = route_state.refusals.with(position);
            let route_state = RouteState {
                refusals,
                ..route_state
            };
            return match self.next(onward(senders, route_state, None)) {
                Some((after, next)) => HandOver::PassedOn {
                    by: position,
                    after,
                    position: next,
                },
                None => HandOver::GivenUp { reason: reason() },
            };
        };
        match self.next(onward(senders, route_state, Some(pause))) {
            Some((after, _)) if is_kept => HandOver::Kept { after },
            Some((after, next)) => HandOver::Again {
                by: (error.stage != Stage::BeforeRecipient).then_some(position),
                after,
                position: next,
            },
            None => HandOver::GivenUp { reason: reason() },
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

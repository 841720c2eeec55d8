//! The hands that one decision reserves. They get their work once the decision is committed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{
    Courier,
    hands::{Hand, HandOwner, Waiting},
};
use crate::domain::{
    decide::Work,
    delivery::{
        Lease,
        hands::{DueDelivery, FreeHands},
        route::{Choice, RouteState, choose},
    },
    ids::{DeliveryId, SenderName, SubjectKey},
    verification::rules::Origin,
};

/// The hands of one decision on one record.
pub(in crate::service) struct ReservedHands<'a> {
    courier: &'a Courier,
    key: SubjectKey,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Hands that are reserved but have no work yet.
    idle: Vec<Hand>,
    /// Hands with the work that they begin after the commit.
    assigned: Vec<(Work, Hand)>,
    /// Deliveries whose sender had no free hand.
    without_hand: Vec<(Option<SenderName>, HandOwner, DeliveryId)>,
}

impl Courier {
    /// The hands for one decision on this record; none is reserved yet.
    pub(in crate::service) fn reserved_hands(&self, key: SubjectKey) -> ReservedHands<'_> {
        ReservedHands {
            courier: self,
            key,
            state: Mutex::default(),
        }
    }

    /// The sender that a delivery goes to now; `None` if no sender is to be asked.
    fn whose_turn(&self, due: &DueDelivery<'_>) -> Option<SenderName> {
        if self.policy.test_recipients.code(due.recipient).is_some() {
            return None;
        }
        let delivery = due.delivery;
        let senders = self.routes.order(due.tenant, due.recipient, &delivery.id);
        let now = self.now();
        match choose(&self.passes(&senders, now), RouteState::of(delivery), now) {
            Choice::Ask { place, .. } => Some(senders[place].name.clone()),
            Choice::Hold { .. } | Choice::Nobody => None,
        }
    }
}

impl ReservedHands<'_> {
    /// The same reserved with one more hand, already reserved.
    pub(in crate::service) fn with(self, hand: Hand) -> Self {
        self.state().idle.push(hand);
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock is harmless: nothing can panic in the middle of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts over for another attempt at the decision: the work is dropped, and
    /// the hands stay reserved.
    pub(in crate::service) fn restart(&self) -> &Self {
        let mut state = self.state();
        let State {
            idle,
            assigned,
            without_hand,
        } = &mut *state;
        idle.extend(assigned.drain(..).map(|(_, hand)| hand));
        without_hand.clear();
        drop(state);
        self
    }

    /// To be called after the commit: each hand gets its work, and deliveries without a hand begin
    /// to wait for one.
    pub(in crate::service) fn dispatch(self) {
        let (hands, key) = (&self.courier.hands, self.key);
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        for (work, hand) in state.assigned {
            hands.give(work, hand);
        }
        for (sender, owner, delivery) in state.without_hand {
            hands.wait(sender.as_ref(), &owner, Waiting { key, delivery });
        }
    }
}

impl FreeHands for ReservedHands<'_> {
    fn reserve(&self, due: &DueDelivery<'_>) -> Option<Lease> {
        let sender = self.courier.whose_turn(due);
        let owner = HandOwner {
            tenant: due.tenant.clone(),
            caller: due.caller.clone(),
            origin: if due.is_anonymous {
                Origin::Anonymous
            } else {
                Origin::Vouched
            },
        };
        let mut state = self.state();
        let at = state
            .idle
            .iter()
            .position(|hand| hand.is_of(sender.as_ref()));
        let hand = match at {
            Some(at) => Some(state.idle.swap_remove(at)),
            None => self.courier.hands.reserve(sender.as_ref(), &owner),
        };
        let Some(hand) = hand else {
            let waiting = (sender, owner, due.delivery.id);
            state.without_hand.push(waiting);
            return None;
        };
        let lease = self.courier.lease();
        let work = Work {
            verification: due.verification,
            delivery: due.delivery.id,
            token: lease.token,
        };
        state.assigned.push((work, hand));
        Some(lease)
    }
}

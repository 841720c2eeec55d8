//! The hands that one decision reserves, until its commit gives them their work.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{
    Courier,
    hands::{Hand, Waiting},
};
use crate::domain::{
    decide::Work,
    delivery::{
        Lease,
        hands::{FreeHands, Parcel},
        route::{Choice, Stand, choose},
    },
    ids::{DeliveryId, SenderName, SubjectKey},
};

/// The hands of one decision on one record.
pub(in crate::service) struct Crew<'a> {
    courier: &'a Courier,
    key: SubjectKey,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Hands without work.
    idle: Vec<Hand>,
    /// Hands that are to hand something over once it is committed.
    engaged: Vec<(Work, Hand)>,
    /// Deliveries that found no free hand of their sender.
    turned_away: Vec<(Option<SenderName>, DeliveryId)>,
}

impl Courier {
    /// The hands for a decision on a record.
    pub(in crate::service) fn crew(&self, key: SubjectKey) -> Crew<'_> {
        Crew {
            courier: self,
            key,
            state: Mutex::default(),
        }
    }

    /// The sender whose turn it is with a delivery; `None` if none is to be asked now.
    fn whose_turn(&self, parcel: &Parcel<'_>) -> Option<SenderName> {
        if self.policy.test_recipients.code(parcel.recipient).is_some() {
            return None;
        }
        let delivery = parcel.delivery;
        let senders = self
            .routes
            .order(parcel.tenant, parcel.recipient, &delivery.id);
        let now = self.now();
        match choose(&self.passes(&senders, now), Stand::of(delivery), now) {
            Choice::Ask { place, .. } => Some(senders[place].name.clone()),
            Choice::Hold { .. } | Choice::Nobody => None,
        }
    }
}

impl Crew<'_> {
    /// The same with a hand that is reserved already.
    pub(in crate::service) fn with(self, hand: Hand) -> Self {
        self.state().idle.push(hand);
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what an earlier attempt at the decision wanted; its hands stay reserved.
    pub(in crate::service) fn anew(&self) -> &Self {
        let mut state = self.state();
        let State {
            idle,
            engaged,
            turned_away,
        } = &mut *state;
        idle.extend(engaged.drain(..).map(|(_, hand)| hand));
        turned_away.clear();
        drop(state);
        self
    }

    /// After the commit: each hand gets its work, and what found none waits for the next free one.
    pub(in crate::service) fn go(self) {
        let (hands, key) = (&self.courier.hands, self.key);
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        for (work, hand) in state.engaged {
            hands.give(work, hand);
        }
        for (sender, delivery) in state.turned_away {
            hands.wait(sender.as_ref(), Waiting { key, delivery });
        }
    }
}

impl FreeHands for Crew<'_> {
    fn reserve(&self, parcel: &Parcel<'_>) -> Option<Lease> {
        let sender = self.courier.whose_turn(parcel);
        let mut state = self.state();
        let at = state
            .idle
            .iter()
            .position(|hand| hand.is_of(sender.as_ref()));
        let hand = match at {
            Some(at) => Some(state.idle.swap_remove(at)),
            None => self.courier.hands.reserve(sender.as_ref()),
        };
        let Some(hand) = hand else {
            state.turned_away.push((sender, parcel.delivery.id));
            return None;
        };
        let lease = self.courier.lease();
        let work = Work {
            verification: parcel.verification,
            delivery: parcel.delivery.id,
            token: lease.token,
        };
        state.engaged.push((work, hand));
        Some(lease)
    }
}

//! A delivery: one effort to bring one message to one recipient, from queued to delivered or
//! failed.

pub mod blame;
pub mod breaker;
pub mod callback;
pub mod hands;
pub mod plan;
pub mod reason;
pub mod receipt;
pub mod route;

use std::time::Duration;

use self::{reason::Reason, receipt::Receipt, route::Refusals};
use super::{
    ids::{DeliveryId, ProviderReference, SenderName},
    recipient::{Channel, Recipient},
    time::{Now, Timestamp},
};

/// Most hand-overs of one delivery, counted over all senders. Enough for every sender of the longest route
/// ([`route::SENDERS_MAX`]); a single sender gets them over about three minutes. It bounds the load of a message that
/// no provider accepts, and the copies that a customer gets from providers that accept a message without an answer.
pub const TRIES_MAX: u8 = 8;

/// The right to hand a delivery over, until the lease ends or the hand-over is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Random bits; the report must repeat them.
    pub token: [u8; 16],
    /// When the lease ends and the delivery is due again.
    pub until: Timestamp,
}

/// The status of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// It waits for its next hand-over.
    Queued {
        /// The earliest time for the next hand-over.
        not_before: Timestamp,
    },
    /// The holder of this lease is handing it over.
    Leased(Lease),
    /// The provider accepted it.
    Sent,
    /// The provider reported that it arrived.
    Delivered,
    /// The provider reported that it did not arrive.
    Undelivered {
        /// Why it did not arrive.
        reason: Reason,
    },
    /// No provider accepted it.
    Failed {
        /// Why it was given up.
        reason: Reason,
    },
}

/// One effort to bring one message to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its id, which is also the idempotency id for the provider.
    pub id: DeliveryId,
    /// The channel that carries it.
    pub channel: Channel,
    /// The index of its recipient in the verification.
    pub recipient: usize,
    /// The masked address, which may be shown.
    pub masked: String,
    /// The current status, with its data.
    pub status: DeliveryStatus,
    /// When the status last changed.
    pub updated_at: Timestamp,
    /// When it was added to the verification.
    pub made_at: Timestamp,
    /// Hand-overs begun so far, at most [`TRIES_MAX`].
    pub tries: u8,
    /// Position of the next sender in the channel's route.
    pub position: usize,
    /// The senders of the route that refused it for good.
    pub refusals: Refusals,
    /// The senders of the route that refused it for the time being, knowing its recipient.
    pub deferrals: Refusals,
    /// The sender that accepted it, or the latest one that was asked.
    pub sender: Option<SenderName>,
    /// The provider's id of the message, if the provider gave one when it accepted it.
    pub reference: Option<ProviderReference>,
}

/// How a hand-over ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// The provider accepted it.
    Taken {
        /// The provider's id of the message, if it gave one.
        reference: Option<ProviderReference>,
    },
    /// It failed for now, and is to be tried again.
    Again {
        /// The position in the route of the sender that refused it knowing its recipient; `None` if the sender failed.
        by: Option<usize>,
        /// The pause before the next hand-over.
        after: Duration,
        /// The position in the route of the sender to ask next.
        position: usize,
    },
    /// The sender refuses it for good; another one is to be asked.
    PassedOn {
        /// The position in the route of the sender that refuses it.
        by: usize,
        /// The pause before the next hand-over.
        after: Duration,
        /// The position in the route from which the next sender is looked for.
        position: usize,
    },
    /// The only sender of the route refuses our login. It stays queued as long as its code is valid, however often it is
    /// tried: the operator may mend it.
    Kept {
        /// The pause before the route is tried again from its first sender.
        after: Duration,
    },
    /// No sender was asked, so this does not count as a try: the senders that may still accept it
    /// do not work at the moment or have no free hand.
    Held {
        /// The pause before a sender is looked for again.
        after: Duration,
        /// The position in the route from which the next sender is looked for.
        position: usize,
    },
    /// It is not to be tried again.
    GivenUp {
        /// Why it is given up.
        reason: Reason,
    },
}

impl Delivery {
    /// A new delivery that may be handed over at once.
    #[must_use]
    pub fn queued(id: DeliveryId, index: usize, recipient: &Recipient, at: Timestamp) -> Self {
        Self {
            id,
            channel: recipient.channel(),
            recipient: index,
            masked: recipient.masked(),
            status: DeliveryStatus::Queued { not_before: at },
            updated_at: at,
            made_at: at,
            tries: 0,
            position: 0,
            refusals: Refusals::default(),
            deferrals: Refusals::default(),
            sender: None,
            reference: None,
        }
    }

    /// When it is next due; `None` if nothing more is to be done.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        match &self.status {
            DeliveryStatus::Queued { not_before } => Some(*not_before),
            DeliveryStatus::Leased(lease) => Some(lease.until),
            DeliveryStatus::Sent
            | DeliveryStatus::Delivered
            | DeliveryStatus::Undelivered { .. }
            | DeliveryStatus::Failed { .. } => None,
        }
    }

    /// Whether it may be leased now.
    #[must_use]
    pub fn is_due(&self, now: Now) -> bool {
        self.wake_at().is_some_and(|at| now.has_reached(at))
    }

    /// Whether this token holds a lease that has not ended.
    #[must_use]
    pub fn is_held_by(&self, token: &[u8; 16], now: Now) -> bool {
        matches!(&self.status, DeliveryStatus::Leased(lease) if lease.token == *token && !now.is_past(lease.until))
    }

    /// Leases it, which begins a hand-over.
    #[must_use]
    pub fn lease(mut self, lease: Lease, now: Timestamp) -> Self {
        self.tries += 1;
        self.updated_at = now;
        self.status = DeliveryStatus::Leased(lease);
        self
    }

    /// Applies the report of whoever held the lease; `None` if it changes nothing.
    #[must_use]
    pub fn report(
        mut self,
        token: &[u8; 16],
        sender: Option<&SenderName>,
        outcome: HandOver,
        now: Timestamp,
    ) -> Option<Self> {
        let held = matches!(&self.status, DeliveryStatus::Leased(lease) if lease.token == *token);
        let waiting = held
            || matches!(
                self.status,
                DeliveryStatus::Queued { .. } | DeliveryStatus::Leased(_)
            );
        self.status = match outcome {
            // A late report, after the lease passed to another process, still counts: the message
            // did go out.
            HandOver::Taken { reference } if waiting => {
                self.reference = reference;
                DeliveryStatus::Sent
            }
            HandOver::Taken { reference } => return self.overtaken(sender, reference),
            HandOver::Again {
                by,
                after,
                position,
            } if held => {
                self.position = position;
                self.deferrals = by.map_or(self.deferrals, |by| self.deferrals.with(by));
                DeliveryStatus::Queued {
                    not_before: now.plus(after),
                }
            }
            HandOver::PassedOn {
                by,
                after,
                position,
            } if held => {
                self.position = position;
                self.refusals = self.refusals.with(by);
                DeliveryStatus::Queued {
                    not_before: now.plus(after),
                }
            }
            HandOver::Kept { after } if held => {
                self.position = 0;
                self.tries = self.tries.min(TRIES_MAX - 1);
                DeliveryStatus::Queued {
                    not_before: now.plus(after),
                }
            }
            HandOver::Held { after, position } if held => {
                return Some(self.hold(now.plus(after), position, now));
            }
            HandOver::GivenUp { reason } if held => DeliveryStatus::Failed { reason },
            HandOver::Again { .. }
            | HandOver::PassedOn { .. }
            | HandOver::Kept { .. }
            | HandOver::Held { .. }
            | HandOver::GivenUp { .. } => return None,
        };
        self.sender = sender.cloned().or(self.sender);
        self.updated_at = now;
        Some(self)
    }

    /// Applies a report that a receipt overtook: it only adds the sender and the provider's
    /// id of the message.
    fn overtaken(
        mut self,
        sender: Option<&SenderName>,
        reference: Option<ProviderReference>,
    ) -> Option<Self> {
        match &self.status {
            DeliveryStatus::Sent
            | DeliveryStatus::Delivered
            | DeliveryStatus::Undelivered { .. } => {}
            DeliveryStatus::Queued { .. }
            | DeliveryStatus::Leased(_)
            | DeliveryStatus::Failed { .. } => return None,
        }
        let same = self.sender.as_ref() == sender;
        if self.reference.is_some() || (same && reference.is_none()) {
            return None;
        }
        self.sender = sender.cloned().or(self.sender);
        self.reference = reference;
        Some(self)
    }

    /// Applies a receipt; `None` if it changes nothing. Receipts come in any order, so none moves
    /// the status back: a delivered message stays delivered, and an undelivered
    /// one may still arrive.
    #[must_use]
    pub fn receive(
        mut self,
        sender: &SenderName,
        receipt: Receipt,
        now: Timestamp,
    ) -> Option<Self> {
        let is_taker = self.sender.as_ref() == Some(sender);
        self.status = match (receipt, &self.status) {
            // Whichever sender reports it, and even if the delivery had failed.
            (
                Receipt::Delivered,
                DeliveryStatus::Queued { .. }
                | DeliveryStatus::Leased(_)
                | DeliveryStatus::Sent
                | DeliveryStatus::Undelivered { .. }
                | DeliveryStatus::Failed { .. },
            ) => DeliveryStatus::Delivered,
            // The receipt overtook our own report: the message did go out and needs no other try.
            (Receipt::Sent, DeliveryStatus::Queued { .. } | DeliveryStatus::Leased(_)) => {
                DeliveryStatus::Sent
            }
            // Only on the first try: on a later one the receipt may be about an earlier try.
            (Receipt::Undelivered { reason }, DeliveryStatus::Leased(_)) if self.tries <= 1 => {
                DeliveryStatus::Undelivered { reason }
            }
            (Receipt::Undelivered { reason }, DeliveryStatus::Sent) if is_taker => {
                DeliveryStatus::Undelivered { reason }
            }
            (
                Receipt::Sent | Receipt::Undelivered { .. },
                DeliveryStatus::Queued { .. }
                | DeliveryStatus::Leased(_)
                | DeliveryStatus::Sent
                | DeliveryStatus::Undelivered { .. }
                | DeliveryStatus::Failed { .. },
            )
            | (_, DeliveryStatus::Delivered) => return None,
        };
        self.sender = Some(sender.clone());
        self.updated_at = now;
        Some(self)
    }

    /// Gives the lease back without counting the try.
    fn hold(mut self, not_before: Timestamp, position: usize, now: Timestamp) -> Self {
        self.position = position;
        self.tries = self.tries.saturating_sub(1);
        self.updated_at = now;
        self.status = DeliveryStatus::Queued { not_before };
        self
    }

    /// Gives the delivery up: it is not tried again.
    #[must_use]
    pub fn fail(mut self, reason: Reason, now: Timestamp) -> Self {
        self.status = DeliveryStatus::Failed { reason };
        self.updated_at = now;
        self
    }
}

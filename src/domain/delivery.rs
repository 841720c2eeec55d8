//! One effort to bring one message to one recipient: queued, leased, handed over, or given up.

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

/// Hand-overs of one delivery, over all senders.
pub const TRIES_MAX: u8 = 8;

/// The right to hand a delivery over, until it ends or is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Random; a report must bring it.
    pub token: [u8; 16],
    /// When the right ends, and the delivery is due again.
    pub until: Timestamp,
}

/// Where a delivery stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// Waiting for its turn.
    Queued {
        /// The earliest moment for the next hand-over.
        not_before: Timestamp,
    },
    /// Being handed over by the holder of the lease.
    Leased(Lease),
    /// The provider took it.
    Sent,
    /// The provider says that it arrived.
    Delivered,
    /// The provider says that it did not arrive.
    Undelivered {
        /// Why it did not arrive.
        reason: Reason,
    },
    /// No provider took it.
    Failed {
        /// Why it was given up.
        reason: Reason,
    },
}

/// One effort to bring one message to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its name, and the idempotency id towards the provider.
    pub id: DeliveryId,
    /// The channel that carries it.
    pub channel: Channel,
    /// Which of the verification's recipients.
    pub recipient: usize,
    /// The address as it may be shown.
    pub masked: String,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Since when.
    pub updated_at: Timestamp,
    /// When it was made.
    pub made_at: Timestamp,
    /// Hand-overs begun.
    pub tries: u8,
    /// Position of the next sender in the channel's route.
    pub position: usize,
    /// The senders of the route that will not take it.
    pub refusals: Refusals,
    /// The sender that took it, or tried last.
    pub sender: Option<SenderName>,
    /// What the provider calls it, if it said so when it took it.
    pub reference: Option<ProviderReference>,
}

/// How a hand-over ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// The provider took it.
    Taken {
        /// What it calls the message, if it said so.
        reference: Option<ProviderReference>,
    },
    /// To be tried again.
    Again {
        /// After this long.
        after: Duration,
        /// By the sender at this position of the route.
        position: usize,
    },
    /// Its sender will not take it; to be tried by another.
    PassedOn {
        /// The position of the sender that will not.
        by: usize,
        /// After this long.
        after: Duration,
        /// By the sender at this position of the route, or one behind it.
        position: usize,
    },
    /// No sender was asked, so it was no try: those that may take it do not work for now, or have no free hand.
    Held {
        /// To be looked at after this long.
        after: Duration,
        /// From the sender at this position of the route on.
        position: usize,
    },
    /// Not to be tried again.
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
            sender: None,
            reference: None,
        }
    }

    /// When it next wants attention, if at all.
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

    /// May it be leased now?
    #[must_use]
    pub fn is_due(&self, now: Now) -> bool {
        self.wake_at().is_some_and(|at| now.has_reached(at))
    }

    /// Does this token hold a lease that has not ended?
    #[must_use]
    pub fn is_held_by(&self, token: &[u8; 16], now: Now) -> bool {
        matches!(&self.status, DeliveryStatus::Leased(lease) if lease.token == *token && !now.is_past(lease.until))
    }

    /// Gives the right to hand it over.
    #[must_use]
    pub fn lease(mut self, lease: Lease, now: Timestamp) -> Self {
        self.tries += 1;
        self.updated_at = now;
        self.status = DeliveryStatus::Leased(lease);
        self
    }

    /// Takes the report of the one who held the lease; `None` if the report changes nothing.
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
            // A late report, after the lease passed on: the message did go out, and that is what counts.
            HandOver::Taken { reference } if waiting => {
                self.reference = reference;
                DeliveryStatus::Sent
            }
            HandOver::Taken { reference } => return self.overtaken(sender, reference),
            HandOver::Again { after, position } if held => {
                self.position = position;
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
            HandOver::Held { after, position } if held => {
                return Some(self.hold(now.plus(after), position, now));
            }
            HandOver::GivenUp { reason } if held => DeliveryStatus::Failed { reason },
            HandOver::Again { .. }
            | HandOver::PassedOn { .. }
            | HandOver::Held { .. }
            | HandOver::GivenUp { .. } => return None,
        };
        self.sender = sender.cloned().or(self.sender);
        self.updated_at = now;
        Some(self)
    }

    /// A receipt came before the report of the hand-over that it is about: the report only adds who took it, and what it
    /// is called there.
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

    /// Takes what a provider says; `None` if that changes nothing. Nothing moves backwards, in whatever order receipts
    /// come: what arrived has arrived, and what did not arrive may still do so.
    #[must_use]
    pub fn receive(
        mut self,
        sender: &SenderName,
        receipt: Receipt,
        now: Timestamp,
    ) -> Option<Self> {
        let is_taker = self.sender.as_ref() == Some(sender);
        self.status = match (receipt, &self.status) {
            // Whoever brought it, and even if it was given up.
            (
                Receipt::Delivered,
                DeliveryStatus::Queued { .. }
                | DeliveryStatus::Leased(_)
                | DeliveryStatus::Sent
                | DeliveryStatus::Undelivered { .. }
                | DeliveryStatus::Failed { .. },
            ) => DeliveryStatus::Delivered,
            // It comes before our own report: the message did go out, and needs no other try.
            (Receipt::Sent, DeliveryStatus::Queued { .. } | DeliveryStatus::Leased(_)) => {
                DeliveryStatus::Sent
            }
            // Of one try it is the end. After a failover, or before another try, it is word of an earlier one.
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

    /// Gives the lease back, and the try with it.
    fn hold(mut self, not_before: Timestamp, position: usize, now: Timestamp) -> Self {
        self.position = position;
        self.tries = self.tries.saturating_sub(1);
        self.updated_at = now;
        self.status = DeliveryStatus::Queued { not_before };
        self
    }

    /// Gives it up.
    #[must_use]
    pub fn fail(mut self, reason: Reason, now: Timestamp) -> Self {
        self.status = DeliveryStatus::Failed { reason };
        self.updated_at = now;
        self
    }
}

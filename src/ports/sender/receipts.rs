//! A bounded queue for the receipts that senders get over their own connections.

use tokio::sync::mpsc;

use crate::domain::{
    delivery::receipt::Receipt,
    ids::{ProviderReference, SenderName},
};

/// The largest number of receipts waiting. If the queue is full, a sender tells its provider to try again later.
pub const RECEIPTS_MAX: usize = 1024;

/// The message that a receipt refers to, as the provider identifies it.
#[derive(Clone, PartialEq, Eq)]
pub enum About {
    /// The message that was sent with this [`ReceiptToken`](crate::domain::delivery::receipt::ReceiptToken).
    Token(String),
    /// The message to which the provider gave one of these references when it accepted it: the spellings in which
    /// the receipt names it, the likeliest first.
    References(Vec<ProviderReference>),
}

/// A receipt as received from a provider.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderReceipt {
    /// The name, from the settings, of the sender that received it.
    pub sender: SenderName,
    /// The message that it refers to.
    pub about: About,
    /// The state of the message, as the provider reports it.
    pub receipt: Receipt,
}

/// Why a receipt cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreadableReceipt {
    /// It breaks the rules of its protocol.
    Malformed,
    /// It names no message.
    NoReference,
    /// It has no state, or one that is not known.
    UnknownState,
    /// It looks like a receipt, but nothing that only the provider can write says that it is one.
    NotMarked,
}

impl UnreadableReceipt {
    /// The word used in metrics and the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoReference => "no_reference",
            Self::UnknownState => "unknown_state",
            Self::NotMarked => "not_marked",
        }
    }
}

/// What a sender got from its provider about messages.
#[derive(Clone, PartialEq, Eq)]
pub enum Arrival {
    /// A receipt that can be used.
    Receipt(ProviderReceipt),
    /// A receipt that was accepted, so that the provider does not repeat it, but cannot be used.
    Unreadable(SenderName, UnreadableReceipt),
}

/// The sending end of the queue, for senders.
pub type Receipts = mpsc::Sender<Arrival>;

/// The receiving end of the queue, for the task that records receipts.
pub type ReceiptQueue = mpsc::Receiver<Arrival>;

/// Makes the queue, with room for [`RECEIPTS_MAX`] receipts.
#[must_use]
pub fn queue() -> (Receipts, ReceiptQueue) {
    mpsc::channel(RECEIPTS_MAX)
}

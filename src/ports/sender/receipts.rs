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
    /// The message to which the provider gave this reference when it accepted it.
    Reference(ProviderReference),
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

/// The sending end of the queue, for senders.
pub type Receipts = mpsc::Sender<ProviderReceipt>;

/// The receiving end of the queue, for the task that records receipts.
pub type ReceiptQueue = mpsc::Receiver<ProviderReceipt>;

/// Makes the queue, with room for [`RECEIPTS_MAX`] receipts.
#[must_use]
pub fn queue() -> (Receipts, ReceiptQueue) {
    mpsc::channel(RECEIPTS_MAX)
}

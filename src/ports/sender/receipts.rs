//! Receipts of senders that get them over their own connection: a bounded queue to whoever notes them.

use tokio::sync::mpsc;

use crate::domain::{
    delivery::receipt::Receipt,
    ids::{ProviderReference, SenderName},
};

/// As many receipts wait at most; a sender that finds the queue full answers its provider "later".
pub const RECEIPTS_MAX: usize = 1024;

/// Which message a receipt is about.
#[derive(Clone, PartialEq, Eq)]
pub enum About {
    /// The message that went out with this [`ReceiptToken`](crate::domain::delivery::receipt::ReceiptToken).
    Token(String),
    /// The message that the provider called so when it took it.
    Reference(ProviderReference),
}

/// A receipt as it came in.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderReceipt {
    /// The sender of the settings that it came to.
    pub sender: SenderName,
    /// Which message.
    pub about: About,
    /// What is said of it.
    pub receipt: Receipt,
}

/// The end for senders.
pub type Receipts = mpsc::Sender<ProviderReceipt>;

/// The other end.
pub type ReceiptQueue = mpsc::Receiver<ProviderReceipt>;

/// Both ends.
#[must_use]
pub fn queue() -> (Receipts, ReceiptQueue) {
    mpsc::channel(RECEIPTS_MAX)
}

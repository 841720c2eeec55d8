//! A message before it is addressed to one sender.

use std::sync::Arc;

use crate::{
    domain::{
        code::guess::Digits,
        crypto::keyring::Keyring,
        delivery::receipt::ReceiptToken,
        ids::{DeliveryId, SenderName, VerificationId},
        recipient::Recipient,
        time::Timestamp,
    },
    ports::sender::{Content, Message},
};

/// A message without the receipt token, which differs for each sender.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) delivery: DeliveryId,
    pub(super) verification: VerificationId,
    pub(super) recipient: Recipient,
    pub(super) content: Arc<Content>,
    pub(super) code: Digits,
    pub(super) expires_at: Timestamp,
}

impl Draft {
    /// The message as one sender gets it.
    pub(super) fn to(&self, sender: &SenderName, keyring: &Keyring) -> Message {
        let Self {
            delivery,
            verification,
            recipient,
            content,
            code,
            expires_at,
        } = self.clone();
        let receipt = ReceiptToken::new(keyring, sender.as_str(), &verification.subject, &delivery);
        Message {
            delivery,
            verification,
            receipt,
            recipient,
            content,
            code,
            expires_at,
        }
    }
}

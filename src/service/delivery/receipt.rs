//! Notes providers' receipts for messages that they accepted.

use super::Courier;
use crate::{
    domain::{
        decide::{NoteReceipt, receipt},
        delivery::receipt::{Receipt, ReceiptToken},
        ids::{DeliveryId, ProviderReference, SenderName, SubjectKey},
        record::{
            key::RecordKey,
            side::{Side, SideKind},
        },
    },
    service::{Service, failure::Failure, record::transact::Change},
};

pub use crate::domain::decide::Noted;

impl Service {
    /// Notes a receipt that carries the token of its message. A token that was not made for
    /// this sender is unknown.
    ///
    /// # Errors
    /// [`Failure`]; then the receipt is not noted, and the provider may send it again.
    pub async fn receipt(
        &self,
        sender: &SenderName,
        token: &str,
        receipt: Receipt,
    ) -> Result<Noted, Failure> {
        let status = receipt.as_str();
        let noted = match ReceiptToken::open(&self.keyring, sender.as_str(), token) {
            Some(found) => self.note_receipt(sender, found, receipt).await?,
            None => Noted::Unknown,
        };
        self.courier.count_receipt(sender, status, noted);
        Ok(noted)
    }

    /// Notes a receipt that carries the provider's id of its message.
    ///
    /// # Errors
    /// The same as of [`Self::receipt`].
    pub async fn receipt_by_reference(
        &self,
        sender: &SenderName,
        reference: &ProviderReference,
        receipt: Receipt,
    ) -> Result<Noted, Failure> {
        let status = receipt.as_str();
        let noted = match self.courier.find_reference(sender, reference).await? {
            Some(found) => self.note_receipt(sender, found, receipt).await?,
            None => Noted::Unknown,
        };
        self.courier.count_receipt(sender, status, noted);
        Ok(noted)
    }

    async fn note_receipt(
        &self,
        sender: &SenderName,
        found: (SubjectKey, DeliveryId),
        said: Receipt,
    ) -> Result<Noted, Failure> {
        let (key, delivery) = found;
        let command = NoteReceipt {
            delivery,
            sender: sender.clone(),
            receipt: said,
        };
        let (noted, _) = self
            .change(Change::of(key), |record, cx| receipt(record, &command, cx))
            .await?;
        Ok(noted)
    }
}

impl Courier {
    /// Finds the delivery that a provider's id of a message belongs to.
    async fn find_reference(
        &self,
        sender: &SenderName,
        reference: &ProviderReference,
    ) -> Result<Option<(SubjectKey, DeliveryId)>, Failure> {
        let place = self.reference_key(sender, reference);
        Ok(match self.sides.load(&place).await?.side {
            Some(Side::Delivery {
                verification,
                delivery,
            }) => Some((verification.subject, delivery)),
            Some(Side::Breaker(_) | Side::Tally(_)) | None => None,
        })
    }

    /// The key of the side record that leads from a provider's id of a message to its delivery.
    pub(super) fn reference_key(
        &self,
        sender: &SenderName,
        reference: &ProviderReference,
    ) -> RecordKey {
        let fields = [sender.as_str().as_bytes(), reference.as_str().as_bytes()];
        RecordKey::side(&self.keyring, SideKind::Delivery, &fields)
    }

    /// Senders that are not in the settings are not counted: anybody could make up their names.
    fn count_receipt(&self, sender: &SenderName, status: &'static str, noted: Noted) {
        if !self.knows(sender) {
            return;
        }
        let noted = match noted {
            Noted::Changed => "changed",
            Noted::Unchanged => "unchanged",
            Noted::Unknown => "unknown",
        };
        let sender = sender.as_str().to_owned();
        metrics::counter!("countersign_receipts_total", "sender" => sender, "status" => status, "noted" => noted)
            .increment(1);
    }
}

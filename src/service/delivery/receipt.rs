//! Notes what providers say of messages after they took them.

use crate::{
    domain::{
        decide::{NoteReceipt, receipt},
        delivery::receipt::{Receipt, ReceiptToken},
        ids::{DeliveryId, ProviderReference, SubjectKey},
        record::{
            key::RecordKey,
            side::{Side, SideKind},
        },
    },
    service::{Service, failure::Failure},
};

pub use crate::domain::decide::Noted;

impl Service {
    /// Notes a receipt that brings back the token of its message. A token that was not made for this sender is unknown.
    ///
    /// # Errors
    /// [`Failure`]; then the receipt is not noted, and may come again.
    pub async fn receipt(
        &self,
        sender: &str,
        token: &str,
        receipt: Receipt,
    ) -> Result<Noted, Failure> {
        let status = receipt.as_str();
        let noted = match ReceiptToken::open(&self.parts.keyring, sender, token) {
            Some(found) => self.note_receipt(sender, found, receipt).await?,
            None => Noted::Unknown,
        };
        self.count_receipt(sender, status, noted);
        Ok(noted)
    }

    /// Notes a receipt that names its message as the provider did when it took it.
    ///
    /// # Errors
    /// As of [`Self::receipt`].
    pub async fn receipt_by_reference(
        &self,
        sender: &str,
        reference: &ProviderReference,
        receipt: Receipt,
    ) -> Result<Noted, Failure> {
        let status = receipt.as_str();
        let noted = match self
            .sides
            .load(&self.place_of(sender, reference))
            .await?
            .side
        {
            Some(Side::Delivery {
                verification,
                delivery,
            }) => {
                self.note_receipt(sender, (verification.subject, delivery), receipt)
                    .await?
            }
            Some(Side::Breaker(_)) | None => Noted::Unknown,
        };
        self.count_receipt(sender, status, noted);
        Ok(noted)
    }

    /// Where it is written down which delivery a provider's name for a message means.
    pub(in crate::service) fn place_of(
        &self,
        sender: &str,
        reference: &ProviderReference,
    ) -> RecordKey {
        RecordKey::side(
            &self.parts.keyring,
            SideKind::Delivery,
            &[sender.as_bytes(), reference.as_str().as_bytes()],
        )
    }

    async fn note_receipt(
        &self,
        sender: &str,
        found: (SubjectKey, DeliveryId),
        said: Receipt,
    ) -> Result<Noted, Failure> {
        let (key, delivery) = found;
        let command = NoteReceipt {
            delivery,
            sender: sender.to_owned(),
            receipt: said,
        };
        let (noted, _) = self
            .transact(&key, None, |record, cx| receipt(record, &command, cx))
            .await?;
        Ok(noted)
    }

    /// Names of senders that the settings do not know are not counted: anybody could make them up.
    fn count_receipt(&self, sender: &str, status: &'static str, noted: Noted) {
        if !self.parts.routes.names().any(|name| name == sender) {
            return;
        }
        let noted = match noted {
            Noted::Changed => "changed",
            Noted::Unchanged => "unchanged",
            Noted::Unknown => "unknown",
        };
        metrics::counter!("countersign_receipts_total", "sender" => sender.to_owned(), "status" => status, "noted" => noted)
            .increment(1);
    }
}

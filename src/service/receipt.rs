//! Notes what providers say of messages after they took them, and tells a live call what to say.

use super::{Service, failure::Failure};
use crate::domain::{
    decide::{NoteReceipt, receipt},
    delivery::receipt::{Receipt, ReceiptToken},
    ids::{DeliveryId, ProviderReference, SubjectKey},
    record::side::Side,
};

pub use crate::domain::decide::Noted;

/// What a call says. It may hold the code, so it prints nowhere.
pub struct Spoken {
    /// A sentence a line, each digit apart, and the code twice.
    pub text: String,
    /// The language of the voice, with its country: `nl-NL`.
    pub voice: &'static str,
    /// Is it the code?
    pub is_code: bool,
}

impl Service {
    /// Notes a receipt that brings back the token of its message. A token that was not made for this sender is unknown.
    ///
    /// # Errors
    /// [`Failure`]; then the receipt is not noted, and may come again.
    pub async fn receipt(&self, sender: &str, token: &str, receipt: Receipt) -> Result<Noted, Failure> {
        let status = receipt.as_str();
        let noted = match ReceiptToken::open(&self.parts.keyring, sender, token) {
            Some(found) => self.note_receipt(sender, found, receipt).await?,
            None => Noted::Unknown,
        };
        self.count_receipt(sender, status, noted);
        Ok(noted)
    }

    /// What a call says after the key press: the code, if its verification waits for one and is in time, else that it does
    /// not count any more. `None` if the token is not one of this sender.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn spoken(&self, sender: &str, token: &str) -> Result<Option<Spoken>, Failure> {
        let Some((key, id)) = ReceiptToken::open(&self.parts.keyring, sender, token) else { return Ok(None) };
        let loaded = self.bounded(self.load(&key)).await?;
        let cx = self.context(&loaded);
        let found = loaded.record.as_ref().and_then(|record| {
            let mut all = record.verifications.iter().flat_map(|v| v.deliveries.iter().map(move |delivery| (v, delivery)));
            all.find(|(_, delivery)| delivery.id == id)
        });
        let content = found.and_then(|(verification, delivery)| {
            let pending = verification.live(cx.now).filter(|_| verification.generation == cx.generation)?;
            let code = verification.code(&self.parts.keyring, &self.parts.policy.test_recipients)?;
            Some(self.content(verification, (pending, delivery), &code, cx.now.until(verification.expires_at)))
        });
        let said = content.and_then(|content| Some(Spoken { voice: content.speech?.voice, text: content.text, is_code: true }));
        Ok(Some(said.unwrap_or_else(|| {
            let locale = found.and_then(|(verification, _)| verification.locale.as_ref());
            let (text, voice) = self.parts.messages.no_code(locale);
            Spoken { voice, text: text.to_owned(), is_code: false }
        })))
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
        let noted = match self.sides.load(&self.place_of(sender, reference)).await?.side {
            Some(Side::Delivery { verification, delivery }) => {
                self.note_receipt(sender, (verification.subject, delivery), receipt).await?
            }
            Some(Side::Breaker(_)) | None => Noted::Unknown,
        };
        self.count_receipt(sender, status, noted);
        Ok(noted)
    }

    /// Where it is written down which delivery a provider's name for a message means.
    pub(super) fn place_of(&self, sender: &str, reference: &ProviderReference) -> SubjectKey {
        self.parts.keyring.side_key("reference", &[sender.as_bytes(), reference.as_str().as_bytes()])
    }

    async fn note_receipt(&self, sender: &str, found: (SubjectKey, DeliveryId), said: Receipt) -> Result<Noted, Failure> {
        let (key, delivery) = found;
        let command = NoteReceipt { delivery, sender: sender.to_owned(), receipt: said };
        let (noted, _) = self.transact(&key, None, |record, cx| receipt(record, &command, cx)).await?;
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

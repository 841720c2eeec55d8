//! Gives the text that a live telephone call speaks.

use std::sync::Arc;

use super::{Courier, ready::LiveDelivery};
use crate::{
    domain::{
        decide::Context,
        delivery::receipt::ReceiptToken,
        ids::{DeliveryId, SenderName},
        record::subject::SubjectRecord,
    },
    service::{Service, failure::Failure},
};

/// The text that a call speaks. It may contain the code, so it has no `Debug`.
pub struct Spoken {
    /// One sentence per line, with the digits separated and the code spoken twice.
    pub text: String,
    /// The language and country of the voice, such as `nl-NL`.
    pub voice: Arc<str>,
    /// Whether the text contains the code.
    pub is_code: bool,
}

impl Service {
    /// The text after the key press: the code if its verification is live, otherwise that the code
    /// is no longer valid. `None` if the token was not made for this sender.
    ///
    /// # Errors
    /// [`Failure`] if the record cannot be read.
    pub async fn spoken(
        &self,
        sender: &SenderName,
        token: &str,
    ) -> Result<Option<Spoken>, Failure> {
        let Some((key, id)) = ReceiptToken::open(&self.keyring, sender.as_str(), token) else {
            return Ok(None);
        };
        let loaded = self.records.read(&key).await?;
        let cx = self.records.context(&loaded);
        Ok(Some(self.courier.spoken(loaded.record.as_ref(), &id, &cx)))
    }
}

impl Courier {
    fn spoken(&self, record: Option<&SubjectRecord>, id: &DeliveryId, cx: &Context<'_>) -> Spoken {
        let found = record.and_then(|record| {
            let mut all = record
                .verifications
                .iter()
                .flat_map(|v| v.deliveries.iter().map(move |delivery| (v, delivery)));
            all.find(|(_, delivery)| delivery.id == *id)
        });
        let content = found.and_then(|(verification, delivery)| {
            let pending = verification
                .live(cx.now)
                .filter(|_| verification.generation == cx.generation)?;
            let code = verification.code(&self.keyring, &self.policy.test_recipients)?;
            let live = LiveDelivery {
                verification,
                pending,
                delivery,
            };
            Some(self.content(live, &code, cx.now.until(verification.expires_at)))
        });
        let said = content.and_then(|content| {
            Some(Spoken {
                voice: content.speech?.voice,
                text: content.text,
                is_code: true,
            })
        });
        said.unwrap_or_else(|| {
            let verification = found.map(|(verification, _)| verification);
            let locale = verification.and_then(|verification| verification.locale.as_ref());
            let tenant = verification.map(|verification| &verification.tenant);
            let (text, voice) = self.messages.no_code(tenant, locale);
            Spoken {
                voice,
                text: text.to_owned(),
                is_code: false,
            }
        })
    }
}

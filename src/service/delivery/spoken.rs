//! Tells a live call what to say.

use crate::{
    domain::delivery::receipt::ReceiptToken,
    service::{Service, failure::Failure},
};

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
    /// What a call says after the key press: the code, if its verification waits for one and is in time, else that it does
    /// not count any more. `None` if the token is not one of this sender.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn spoken(&self, sender: &str, token: &str) -> Result<Option<Spoken>, Failure> {
        let Some((key, id)) = ReceiptToken::open(&self.parts.keyring, sender, token) else {
            return Ok(None);
        };
        let loaded = self.bounded(self.load(&key)).await?;
        let cx = self.context(&loaded);
        let found = loaded.record.as_ref().and_then(|record| {
            let mut all = record
                .verifications
                .iter()
                .flat_map(|v| v.deliveries.iter().map(move |delivery| (v, delivery)));
            all.find(|(_, delivery)| delivery.id == id)
        });
        let content = found.and_then(|(verification, delivery)| {
            let pending = verification
                .live(cx.now)
                .filter(|_| verification.generation == cx.generation)?;
            let code =
                verification.code(&self.parts.keyring, &self.parts.policy.test_recipients)?;
            Some(self.content(
                verification,
                (pending, delivery),
                &code,
                cx.now.until(verification.expires_at),
            ))
        });
        let said = content.and_then(|content| {
            Some(Spoken {
                voice: content.speech?.voice,
                text: content.text,
                is_code: true,
            })
        });
        Ok(Some(said.unwrap_or_else(|| {
            let locale = found.and_then(|(verification, _)| verification.locale.as_ref());
            let (text, voice) = self.parts.messages.no_code(locale);
            Spoken {
                voice,
                text: text.to_owned(),
                is_code: false,
            }
        })))
    }
}

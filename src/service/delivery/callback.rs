//! Looks at what a provider's callback names: was its token made here, and was its id taken before?

use std::time::Duration;

use crate::{
    domain::{delivery::receipt::ReceiptToken, limit::rate::Rate},
    ports::store::{Draw, Drawn},
    service::{Service, failure::Failure},
};

impl Service {
    /// Was this token made here for this sender?
    #[must_use]
    pub fn knows_token(&self, sender: &str, token: &str) -> bool {
        ReceiptToken::open(&self.parts.keyring, sender, token).is_some()
    }

    /// Takes the id of a sender's callback; false: it was taken before, within `kept`. The store knows a keyed hash of it,
    /// as a bucket that gives one within that time.
    ///
    /// # Errors
    /// [`Failure`]; then it is not known whether it is taken.
    pub async fn take_once(&self, sender: &str, id: &str, kept: Duration) -> Result<bool, Failure> {
        let bucket = self
            .parts
            .keyring
            .mark("callback", &[sender.as_bytes(), id.as_bytes()]);
        let draws = [Draw::one(
            bucket,
            Rate {
                interval: kept,
                burst: 0,
            },
        )];
        let outcome = self
            .bounded(async { Ok(self.parts.store.draw(&draws).await?) })
            .await?;
        Ok(matches!(outcome, Drawn::Taken(_)))
    }
}

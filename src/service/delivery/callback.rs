//! Checks a provider's callback: whether this service made its token, and whether its id was used
//! before.

use std::time::Duration;

use crate::{
    domain::{delivery::receipt::ReceiptToken, ids::SenderName, limit::rate::Rate},
    service::{Service, failure::Failure},
};

impl Service {
    /// Whether this service made the token for this sender.
    #[must_use]
    pub fn knows_token(&self, sender: &SenderName, token: &str) -> bool {
        ReceiptToken::open(&self.keyring, sender.as_str(), token).is_some()
    }

    /// Takes the id of a sender's callback; false if it was taken before, within `kept`. The store
    /// holds only a keyed hash of it, as a bucket that allows one draw within that time.
    ///
    /// # Errors
    /// [`Failure`] if the store cannot say whether the id was taken before.
    pub async fn take_once(
        &self,
        sender: &SenderName,
        id: &str,
        kept: Duration,
    ) -> Result<bool, Failure> {
        let fields = [sender.as_str().as_bytes(), id.as_bytes()];
        let rate = Rate {
            interval: kept,
            burst: 0,
        };
        let bucket = self.keyring.mark("callback", &fields);
        Ok(self.limits.draw_one(bucket, rate).await?.is_ok())
    }
}

//! Credentials of an application: a JWT (RS256) made for each call, as Vonage wants it.

use std::{fmt, sync::Arc};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use reqwest::header::HeaderValue;
use serde_json::json;

use super::super::jws::{Signer, WrongKey};
use crate::format::secret::SecretText;
use crate::ports::system::{Clock, Entropy, fresh};

/// Longer than any call takes.
const LIFE_SECONDS: u64 = 60;

/// An application of a provider's account, and its key.
#[derive(Clone)]
pub struct Application {
    id: String,
    signer: Arc<Signer>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Application {
    /// From its id and its private RSA key in PEM.
    ///
    /// # Errors
    /// It is no such key.
    pub fn new(
        id: String,
        private_key: &SecretText,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, WrongKey> {
        Ok(Self {
            id,
            signer: Arc::new(Signer::rs256(private_key)?),
            clock,
            entropy,
        })
    }

    /// The header of one call, good for a minute and under an id of its own.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let now = self.clock.now().as_micros() / 1_000_000;
        let id = BASE64_URL_SAFE_NO_PAD.encode(fresh::<16>(&*self.entropy));
        let claims =
            json!({"application_id": self.id, "iat": now, "exp": now + LIFE_SECONDS, "jti": id});
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", self.signer.sign(None, &claims))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Application({}, key hidden)", self.id)
    }
}

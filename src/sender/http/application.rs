//! Credentials of an application: a JWT (RS256) that is made for each call, as Vonage requires.

use std::{fmt, sync::Arc};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use reqwest::header::HeaderValue;
use serde_json::json;

use super::super::{
    jws::{Signer, WrongKey},
    settings::SenderParts,
};
use crate::{
    format::secret::SecretText,
    ports::system::{Clock, Entropy, fresh},
};

/// Life of a token: longer than any call takes.
const LIFE_SECONDS: u64 = 60;

/// An application of a provider's account, with its key.
pub(super) struct Application {
    id: String,
    signer: Signer,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Application {
    /// The application with this id and private RSA key in PEM form.
    pub(super) fn new(
        id: &str,
        private_key: &SecretText,
        parts: &SenderParts,
    ) -> Result<Self, WrongKey> {
        Ok(Self {
            id: id.to_owned(),
            signer: Signer::rs256(private_key)?,
            clock: parts.clock.clone(),
            entropy: parts.entropy.clone(),
        })
    }

    /// The `authorization` header of one call: valid for a minute, with an id of its own.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let now = self.clock.now().as_micros() / 1_000_000;
        let id = BASE64_URL_SAFE_NO_PAD.encode(fresh::<16>(&*self.entropy));
        let claims =
            json!({"application_id": self.id, "iat": now, "exp": now + LIFE_SECONDS, "jti": id});
        let token = self.signer.sign(None, &claims);
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Application({}, key hidden)", self.id)
    }
}

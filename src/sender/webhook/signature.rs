//! Signs as Standard Webhooks describes it: HMAC-SHA-256 over id, time and body.

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use zeroize::Zeroizing;

use super::super::secret::SecretText;

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// A secret has another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret must be whsec_ and the base64 of 24 to 64 bytes, and there must be one")]
pub struct WrongSecret;

/// The keys that sign.
pub(super) struct Signer(Vec<hmac::Key>);

impl Signer {
    pub(super) fn new(secrets: &[SecretText]) -> Result<Self, WrongSecret> {
        let keys: Vec<_> = secrets.iter().map(key).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(WrongSecret) } else { Ok(Self(keys)) }
    }

    /// The header: one signature for each key, with a space between them.
    pub(super) fn sign(&self, id: &str, seconds: u64, body: &[u8]) -> String {
        let sign = |key: &hmac::Key| {
            let mut context = hmac::Context::with_key(key);
            context.update(format!("{id}.{seconds}.").as_bytes());
            context.update(body);
            format!("v1,{}", BASE64_STANDARD.encode(context.sign()))
        };
        self.0.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}

fn key(secret: &SecretText) -> Result<hmac::Key, WrongSecret> {
    let encoded = secret.expose().strip_prefix(PREFIX).ok_or(WrongSecret)?;
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(encoded).map_err(|_| WrongSecret)?);
    if (24..=64).contains(&bytes.len()) { Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes)) } else { Err(WrongSecret) }
}

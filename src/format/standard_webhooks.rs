//! Signatures by the Standard Webhooks specification: HMAC-SHA-256 over id, time and body.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use zeroize::Zeroizing;

use super::mac::MacKey;

/// The prefix of a secret, as the specification defines it.
const PREFIX: &str = "whsec_";
/// The prefix of a symmetric signature. Signatures of other kinds are ignored.
const VERSION: &str = "v1,";

/// A secret has another form, or none was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must each hold whsec_ followed by the base64 of 24 to 64 bytes")]
pub struct WrongSecret;

/// The signing keys. During a rotation there are several, and each of them signs.
#[derive(Clone, Debug)]
pub struct WebhookKeys(Vec<MacKey>);

impl WebhookKeys {
    /// Parses the secrets of the keys.
    ///
    /// # Errors
    /// A secret has the wrong form, or there is none.
    pub fn parse<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Self, WrongSecret> {
        let keys: Vec<_> = secrets.into_iter().map(key).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            Err(WrongSecret)
        } else {
            Ok(Self(keys))
        }
    }

    /// The `webhook-signature` header: one signature per key, separated by spaces.
    #[must_use]
    pub fn sign(&self, id: &str, seconds: u64, body: &[u8]) -> String {
        let begin = format!("{id}.{seconds}.");
        let sign = |key: &MacKey| {
            format!(
                "{VERSION}{}",
                BASE64_STANDARD.encode(key.sign(&[begin.as_bytes(), body]))
            )
        };
        self.0.iter().map(sign).collect::<Vec<_>>().join(" ")
    }

    /// Whether the header has a valid signature by one of the keys.
    #[must_use]
    pub fn verifies(&self, id: &str, seconds: u64, body: &[u8], header: &str) -> bool {
        let begin = format!("{id}.{seconds}.");
        let tags = header.split(' ').filter_map(|signature| {
            BASE64_STANDARD
                .decode(signature.strip_prefix(VERSION)?)
                .ok()
        });
        tags.take(SIGNATURES_MAX).any(|tag| {
            self.0
                .iter()
                .any(|key| key.verifies(&[begin.as_bytes(), body], &tag))
        })
    }
}

/// The largest number of signatures checked in one header: more than a rotation needs. Without a limit, a header with
/// thousands of them would cost as many hashes of the body.
const SIGNATURES_MAX: usize = 8;

fn key(secret: &str) -> Result<MacKey, WrongSecret> {
    let encoded = secret.strip_prefix(PREFIX).ok_or(WrongSecret)?;
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(encoded).map_err(|_| WrongSecret)?);
    if (24..=64).contains(&bytes.len()) {
        Ok(MacKey::sha_256(&bytes))
    } else {
        Err(WrongSecret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode([byte; 32]))
    }

    fn keys(bytes: &[u8]) -> WebhookKeys {
        let secrets: Vec<String> = bytes.iter().map(|byte| secret(*byte)).collect();
        WebhookKeys::parse(secrets.iter().map(String::as_str)).unwrap()
    }

    #[test]
    fn hook_02_any_secret_of_a_rotation_verifies_and_no_other() {
        let header = keys(&[1, 2]).sign("msg_1", 7, b"body");
        for known in [&[1][..], &[2], &[3, 2], &[1, 2]] {
            assert!(
                keys(known).verifies("msg_1", 7, b"body", &header),
                "{known:?}"
            );
        }
        assert!(!keys(&[3]).verifies("msg_1", 7, b"body", &header));
    }

    #[test]
    fn hook_02_what_is_not_exactly_what_was_signed_does_not_verify() {
        let (keys, header) = (keys(&[1]), keys(&[1]).sign("msg_1", 7, b"body"));
        assert!(
            keys.verifies("msg_1", 7, b"body", &format!("v1a,AAAA v1,!! {header}")),
            "others are passed over"
        );
        for (id, seconds, body) in [
            ("msg_2", 7, "body"),
            ("msg_1", 8, "body"),
            ("msg_1", 7, "bodY"),
            ("msg_1", 7, ""),
        ] {
            assert!(
                !keys.verifies(id, seconds, body.as_bytes(), &header),
                "{id} {seconds} {body}"
            );
        }
        for wrong in [
            "",
            "v1,",
            "v1",
            &header[1..],
            &header.replace("v1,", "v2,"),
            &header[..header.len() - 4],
        ] {
            assert!(!keys.verifies("msg_1", 7, b"body", wrong), "{wrong}");
        }
        let padded = format!("{}{header}", "v1,AAAA ".repeat(SIGNATURES_MAX));
        assert!(
            !keys.verifies("msg_1", 7, b"body", &padded),
            "a bounded number is looked at"
        );
    }
}

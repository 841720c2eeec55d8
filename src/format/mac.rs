//! Message authentication with shared secrets, compared in constant time.

use std::fmt;

use aws_lc_rs::{digest, hmac};
use subtle::ConstantTimeEq as _;

/// A secret shared with one other party, for HMAC with a fixed hash function.
#[derive(Clone)]
pub struct MacKey(hmac::Key);

impl MacKey {
    /// A key for HMAC-SHA-1, which Twilio still uses.
    #[must_use]
    pub fn sha_1(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret))
    }

    /// A key for HMAC-SHA-256, as most providers use.
    #[must_use]
    pub fn sha_256(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The tag over the concatenated parts.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| context.update(part));
        context.sign().as_ref().to_vec()
    }

    /// Whether `tag` is the tag over the concatenated parts.
    #[must_use]
    pub fn verifies(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.sign(parts).ct_eq(tag).into()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(hidden)")
    }
}

/// A secret text that a call must present, kept as its hash. The time of a comparison reveals neither the
/// text nor its length.
#[derive(Clone)]
pub struct SharedText([u8; 32]);

impl SharedText {
    /// Keeps only the hash of a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(sha_256(text.as_bytes()))
    }

    /// Whether `text` is the secret text; compares in constant time.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.0.ct_eq(&sha_256(text.as_bytes())).into()
    }
}

impl fmt::Debug for SharedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedText(hidden)")
    }
}

/// The SHA-256 hash of these bytes.
#[must_use]
pub fn sha_256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_tags_verify_and_their_neighbours_do_not() {
        // RFC 2202, section 3, case 2, and RFC 4231, section 4.3.
        let (secret, parts): (_, [&[u8]; 2]) = (b"Jefe", [b"what do ya want ", b"for nothing?"]);
        for (key, tag) in [
            (
                MacKey::sha_1(secret),
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            ),
            (
                MacKey::sha_256(secret),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
        ] {
            let mut tag = hex::decode(tag).unwrap();
            assert!(key.verifies(&parts, &tag));
            assert!(!key.verifies(&parts, &tag[..tag.len() - 1]) && !key.verifies(&parts, &[]));
            tag[0] ^= 1;
            assert!(!key.verifies(&parts, &tag));
            assert_eq!(format!("{key:?}"), "MacKey(hidden)");
        }
    }

    #[test]
    fn a_shared_text_knows_itself_alone() {
        let shared = SharedText::new("correct horse");
        assert!(shared.is("correct horse") && !shared.is("correct hors") && !shared.is(""));
        assert_eq!(format!("{shared:?}"), "SharedText(hidden)");
    }
}

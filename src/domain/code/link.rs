//! The link in an e-mail. It opens a page; pressing the button there, in the browser that asked,
//! counts like the code.

use std::fmt;

use aws_lc_rs::digest;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::domain::ids::{Invalid, VerificationId};
use crate::format::base58;

/// Base58 characters of a verification id: the fewest that hold 256 bits.
const VERIFICATION_CHARS: usize = 44;
/// Base58 characters of the secret: the fewest that hold 128 bits.
const SECRET_CHARS: usize = 22;

/// The secret of a link: 128 bits that only the mail contains, derived like the code and never
/// stored (OWASP ASVS 6.6.3).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct LinkSecret([u8; 16]);

impl LinkSecret {
    /// The secret made of bits that were derived from the key.
    #[must_use]
    pub(in crate::domain) fn new(bits: [u8; 16]) -> Self {
        Self(bits)
    }

    /// The secret as text, only for the e-mail and for a keyed fingerprint.
    #[must_use]
    pub fn expose(&self) -> String {
        text(&base58::encode::<SECRET_CHARS>(&self.0))
    }
}

impl PartialEq for LinkSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for LinkSecret {}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret(hidden)")
    }
}

/// The fragment of a link: the verification and the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkToken {
    /// The verification that the link approves.
    pub verification: VerificationId,
    /// The secret that proves possession of the e-mail.
    pub secret: LinkSecret,
}

impl LinkToken {
    /// Parses a token. Only the canonical spelling is accepted.
    ///
    /// # Errors
    /// Describes the expected form.
    pub fn parse(token: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid("must be the 66 base58 characters of a link");
        let (verification, secret) = token
            .split_at_checked(VERIFICATION_CHARS)
            .ok_or_else(wrong)?;
        let verification =
            VerificationId::parse(&format!("vrf_{verification}")).map_err(|_| wrong())?;
        let secret = Some(secret).filter(|secret| secret.len() == SECRET_CHARS);
        let secret = secret
            .and_then(|secret| base58::decode(secret.as_bytes()))
            .ok_or_else(wrong)?;
        Ok(Self {
            verification,
            secret: LinkSecret(secret),
        })
    }

    /// The token as text, only for the e-mail.
    #[must_use]
    pub fn expose(&self) -> String {
        text(&base58::encode::<VERIFICATION_CHARS>(
            &self.verification.to_bytes(),
        )) + &self.secret.expose()
    }
}

/// Recognises the browser that asked: the SHA-256 hash of a random value in a cookie
/// that the caller sets.
#[derive(Clone, Copy, Eq)]
pub struct BrowserMark(pub [u8; 32]);

impl BrowserMark {
    /// The mark of a browser's random value.
    #[must_use]
    pub fn of(value: &str) -> Self {
        let mut mark = [0; 32];
        mark.copy_from_slice(digest::digest(&digest::SHA256, value.as_bytes()).as_ref());
        Self(mark)
    }

    /// Parses a mark as callers give it, in hexadecimal.
    ///
    /// # Errors
    /// Describes the expected form.
    pub fn parse(digits: &str) -> Result<Self, Invalid> {
        let mut mark = [0; 32];
        hex::decode_to_slice(digits, &mut mark)
            .map_err(|_| Invalid("must be a SHA-256 of 64 hex digits"))?;
        Ok(Self(mark))
    }
}

impl PartialEq for BrowserMark {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for BrowserMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrowserMark(hidden)")
    }
}

fn text(digits: &[u8]) -> String {
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::SubjectKey;

    proptest! {
        #[test]
        fn code_16_a_link_token_has_one_spelling_and_a_secret_of_128_bits(subject: [u8; 16], random: [u8; 16], secret: [u8; 16]) {
            let verification = VerificationId { subject: SubjectKey(subject), random };
            let token = LinkToken { verification, secret: LinkSecret::new(secret) };
            let text = token.expose();
            prop_assert_eq!(text.len(), 66);
            prop_assert_eq!(LinkToken::parse(&text), Ok(token));
        }

        #[test]
        fn what_is_no_token_is_refused(text in "\\PC*") {
            prop_assert!(LinkToken::parse(&text).is_err() || text.len() == 66);
        }
    }

    #[test]
    fn a_browser_is_known_by_the_hash_of_its_value() {
        // FIPS 180-2, B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(BrowserMark::parse(abc), Ok(BrowserMark::of("abc")));
        assert_ne!(BrowserMark::of("abc"), BrowserMark::of("abd"));
        for bad in ["", "abc", &abc[1..], &format!("{abc}00")] {
            assert!(BrowserMark::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nothing_prints_a_secret() {
        let token = LinkToken::parse(&"2".repeat(66)).unwrap();
        assert!(
            !format!("{token:?}").contains(&"2".repeat(22)[..])
                || !format!("{:?}", token.secret).contains('2')
        );
    }
}

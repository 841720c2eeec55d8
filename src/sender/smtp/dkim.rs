//! Signs mail, so that receivers know that our domain sent it (DKIM: RFC 6376, RFC 8463).

mod canonical;

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};

use crate::domain::time::Timestamp;
use crate::format::secret::SecretText;

/// Most keys of one sender: an old and a new one of each algorithm.
pub const KEYS_MAX: usize = 4;
/// RFC 8301: shorter keys are not to be used.
const RSA_BYTES_MIN: usize = 2048 / 8;
/// A signature says itself until when it counts; no server holds a mail longer (RFC 5321 §4.5.4.1 speaks of five days).
const LIFE_S: u64 = 7 * 86_400;
/// What is signed, of what a mail has.
const SIGNED: [&str; 9] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Auto-Submitted",
];
/// Characters of a line of the signature.
const LINE_CHARS: usize = 72;

/// Who signs.
#[derive(Clone, Debug)]
pub struct DkimSettings {
    /// The domain that answers for the mail; its DNS holds the public keys.
    pub domain: String,
    /// The keys; each makes a signature of its own.
    pub keys: Vec<DkimKey>,
}

/// A key to sign with.
#[derive(Clone, Debug)]
pub struct DkimKey {
    /// Where in the DNS its public key is: `SELECTOR._domainkey.DOMAIN`.
    pub selector: String,
    /// The private key: RSA or Ed25519, as PKCS#8 or PKCS#1 in PEM form.
    pub pem: SecretText,
}

/// Why the settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DkimError {
    /// The domain has another form.
    #[error("dkim_domain must be a host name")]
    Domain,
    /// Receivers compare the two (DMARC alignment, RFC 7489 §3.1.1).
    #[error(
        "dkim_domain must be the domain of from, or above or below it; otherwise it vouches for nobody"
    )]
    Alignment,
    /// There are none, or too many.
    #[error("dkim_keys must hold 1 to {KEYS_MAX} keys")]
    Count,
    /// A selector has another form.
    #[error("dkim_keys: the selector {0:?} must be a host name")]
    Selector(String),
    /// Two keys in one place of the DNS.
    #[error("dkim_keys: the selector {0:?} is there twice")]
    Twice(String),
    /// The file holds no key that signs.
    #[error(
        "dkim_keys: the file of {0:?} must hold one private key in PEM form, Ed25519 or RSA of at least 2048 bits"
    )]
    Key(String),
}

/// The library would not sign; it has no reason to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsigned;

/// Signs mails.
pub(super) struct Signer {
    domain: String,
    keys: Vec<(String, Key)>,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({}, {} keys)", self.domain, self.keys.len())
    }
}

impl Signer {
    /// Signs for `settings.domain` what comes from an address of the domain `from`.
    pub(super) fn new(settings: DkimSettings, from: &str) -> Result<Self, DkimError> {
        let (domain, from) = (
            settings.domain.to_ascii_lowercase(),
            from.to_ascii_lowercase(),
        );
        if !is_name(&domain) || !domain.contains('.') {
            return Err(DkimError::Domain);
        }
        let is_below = |one: &str, other: &str| {
            one.strip_suffix(other)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if !is_below(&from, &domain) && !is_below(&domain, &from) {
            return Err(DkimError::Alignment);
        }
        if !(1..=KEYS_MAX).contains(&settings.keys.len()) {
            return Err(DkimError::Count);
        }
        let mut keys: Vec<(String, Key)> = Vec::new();
        for DkimKey { selector, pem } in settings.keys {
            if !is_name(&selector) {
                return Err(DkimError::Selector(selector));
            }
            if keys.iter().any(|(other, _)| *other == selector) {
                return Err(DkimError::Twice(selector));
            }
            match Key::parse(pem.expose()) {
                Some(key) => keys.push((selector, key)),
                None => return Err(DkimError::Key(selector)),
            }
        }
        Ok(Self { domain, keys })
    }

    /// The signatures of a mail as header fields that stand before it, one for each key.
    pub(super) fn sign(&self, mail: &str, now: Timestamp) -> Result<String, Unsigned> {
        let (head, body) = mail.split_once("\r\n\r\n").ok_or(Unsigned)?;
        let body_hash = BASE64_STANDARD.encode(digest(&SHA256, canonical::body(body).as_bytes()));
        let (names, fields) = signed(head);
        let at = now.as_micros() / 1_000_000;
        let mut signatures = String::new();
        for (selector, key) in &self.keys {
            let (algorithm, domain, until) = (key.algorithm(), &self.domain, at + LIFE_S);
            let unsigned = format!(
                " v=1; a={algorithm}; c=relaxed/relaxed; d={domain}; s={selector};\r\n\tt={at}; x={until};\r\n\t\
                 h={names};\r\n\tbh={body_hash};\r\n\tb="
            );
            let input = format!("{fields}{}", canonical::field("DKIM-Signature", &unsigned));
            let signature = BASE64_STANDARD.encode(key.sign(input.as_bytes())?);
            signatures.extend(["DKIM-Signature:", &unsigned, &folded(&signature), "\r\n"]);
        }
        Ok(signatures)
    }
}

impl Key {
    fn parse(pem: &str) -> Option<Self> {
        let rsa = |key: RsaKeyPair| {
            (key.public_modulus_len() >= RSA_BYTES_MIN).then(|| Self::Rsa(Box::new(key)))
        };
        match PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()? {
            PrivateKeyDer::Pkcs1(der) => rsa(RsaKeyPair::from_der(der.secret_pkcs1_der()).ok()?),
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                // OpenSSL writes an Ed25519 key without its public half.
                let ed25519 = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                    .map(|key| Self::Ed25519(Box::new(key)));
                ed25519
                    .ok()
                    .or_else(|| rsa(RsaKeyPair::from_pkcs8(der).ok()?))
            }
            _ => None,
        }
    }

    const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "rsa-sha256",
            Self::Ed25519(_) => "ed25519-sha256",
        }
    }

    fn sign(&self, input: &[u8]) -> Result<Vec<u8>, Unsigned> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    input,
                    &mut signature,
                )
                .map_err(|_| Unsigned)?;
                Ok(signature)
            }
            // The hash is what is signed (RFC 8463 §3).
            Self::Ed25519(key) => Ok(key.sign(digest(&SHA256, input).as_ref()).as_ref().to_vec()),
        }
    }
}

/// The names of what is signed, and the fields themselves in their signed form, each with a line end.
fn signed(head: &str) -> (String, String) {
    // A line that begins with white space goes on with the field before it.
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let fields: Vec<(&str, &str)> = unfolded
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .collect();
    let (mut names, mut text) = (Vec::new(), String::new());
    for name in SIGNED {
        // Of several the last one comes first (RFC 6376 §5.4.2).
        for (name, value) in fields
            .iter()
            .rev()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        {
            names.push(*name);
            text.extend([&canonical::field(name, value), "\r\n"]);
        }
    }
    // Once more than there is: no other sender can be added above it.
    names.push("From");
    (names.join(":"), text)
}

fn folded(signature: &str) -> String {
    let mut out = String::with_capacity(signature.len() + 32);
    for (index, c) in signature.chars().enumerate() {
        if index > 0 && index % LINE_CHARS == 0 {
            out.push_str("\r\n\t");
        }
        out.push(c);
    }
    out
}

fn is_name(text: &str) -> bool {
    let plain = |label: &str| {
        label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && plain(label)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests;

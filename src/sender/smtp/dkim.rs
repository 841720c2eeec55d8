//! Signs mail, so that receivers can verify which domain sent it (DKIM: RFC 6376, RFC 8463).

mod canonical;

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};

use crate::{domain::time::Timestamp, format::secret::SecretText, sender::settings::SettingError};

/// Most keys of one sender: an old and a new one of each algorithm.
pub const KEYS_MAX: usize = 4;
/// Smallest RSA key, in bytes. RFC 8301 recommends at least 2048 bits.
const RSA_BYTES_MIN: usize = 2048 / 8;
/// Life of a signature, in seconds. Servers do not queue mail for longer: RFC 5321 §4.5.4.1
/// recommends giving up after four or five days.
const LIFE_S: u64 = 7 * 86_400;
/// The header fields that are signed, if a mail has them.
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
/// The fields that are named once more than they occur, so that nobody can add another one to a signed mail: readers
/// show one of the two, and signatures of the first stay valid.
const OVERSIGNED: [&str; 5] = ["From", "To", "Subject", "Date", "Reply-To"];
/// Characters per line of the signature.
const LINE_CHARS: usize = 72;

/// The signatures of a sender's mails.
#[derive(Clone, Debug)]
pub struct DkimSettings {
    /// The domain that signs; its DNS holds the public keys.
    pub domain: String,
    /// The keys; each adds a signature of its own.
    pub keys: Vec<DkimKey>,
}

/// A private key with its selector.
#[derive(Clone, Debug)]
pub struct DkimKey {
    /// The selector: the public key is in the DNS at `SELECTOR._domainkey.DOMAIN`.
    pub selector: String,
    /// The private key: RSA or Ed25519, as PKCS#8 or PKCS#1 in PEM form.
    pub pem: SecretText,
}

/// The library could not sign, which should not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsigned;

/// Signs the mails of one domain.
pub(super) struct DkimSigner {
    domain: String,
    keys: Vec<(String, Key)>,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl std::fmt::Debug for DkimSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DkimSigner({}, {} keys)", self.domain, self.keys.len())
    }
}

impl DkimSigner {
    /// Signs for `settings.domain` the mails that come from an address of the domain `from`.
    pub(super) fn new(settings: &DkimSettings, from: &str) -> Result<Self, SettingError> {
        let (signer, problems) = Self::read(settings, Some(from));
        problems.into_iter().next().map_or(Ok(signer), Err)
    }

    /// All settings that cannot be used; without `from` the domain is not compared with it.
    pub(super) fn problems(settings: &DkimSettings, from: Option<&str>) -> Vec<SettingError> {
        Self::read(settings, from).1
    }

    fn read(settings: &DkimSettings, from: Option<&str>) -> (Self, Vec<SettingError>) {
        let domain = settings.domain.to_ascii_lowercase();
        let mut problems: Vec<_> = wrong_domain(&domain, from).into_iter().collect();
        let count = settings.keys.len();
        if !(1..=KEYS_MAX).contains(&count) {
            let what = format!("has {count} keys; it must have 1 to {KEYS_MAX}");
            problems.push(SettingError::new("dkim_keys", what));
        }
        let mut keys = Vec::new();
        for (at, DkimKey { selector, pem }) in settings.keys.iter().enumerate() {
            let is_repeated = settings.keys[..at]
                .iter()
                .any(|other| other.selector == *selector);
            let what = if is_name(selector) {
                is_repeated.then(|| format!("is {selector:?}, as that of another key"))
            } else {
                Some(format!("is {selector:?}, which is no host name"))
            };
            let key = format!("dkim_keys.{at}.selector");
            problems.extend(what.map(|what| SettingError::new(key, what)));
            match Key::parse(pem.expose()) {
                Some(key) => keys.push((selector.clone(), key)),
                None => problems.push(SettingError::new(
                    format!("dkim_keys.{at}.file"),
                    "holds no private key in PEM form: Ed25519, or RSA of at least 2048 bits",
                )),
            }
        }
        (Self { domain, keys }, problems)
    }

    /// The signatures of a mail, as header fields to put before it, one for each key.
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

fn wrong_domain(domain: &str, from: Option<&str>) -> Option<SettingError> {
    // Receivers compare the two (DMARC alignment, RFC 7489 §3.1.1).
    let is_aligned = from.is_none_or(|from| {
        let from = from.to_ascii_lowercase();
        is_within(&from, domain) || is_within(domain, &from)
    });
    let problem = if !is_name(domain) || !domain.contains('.') {
        "it must be a host name with a dot"
    } else if is_aligned {
        return None;
    } else {
        "it must be the domain of from, or a parent or child of it, or receivers ignore the signature"
    };
    let what = format!("is {domain:?}; {problem}");
    Some(SettingError::new("dkim_domain", what))
}

/// Whether a domain is the same as another or below it.
fn is_within(domain: &str, other: &str) -> bool {
    domain
        .strip_suffix(other)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
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
                // OpenSSL writes Ed25519 keys without their public halves.
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
            // The signature is over the hash (RFC 8463 §3).
            Self::Ed25519(key) => Ok(key.sign(digest(&SHA256, input).as_ref()).as_ref().to_vec()),
        }
    }
}

/// The names of the signed fields, and the fields themselves in canonical form, each with a line end.
fn signed(head: &str) -> (String, String) {
    // A line that begins with white space continues the field before it.
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let fields: Vec<(&str, &str)> = unfolded
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .collect();
    let (mut names, mut text) = (Vec::new(), String::new());
    for name in SIGNED {
        // Among several fields with the same name, the last one is signed first (RFC 6376 §5.4.2).
        for (name, value) in fields
            .iter()
            .rev()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        {
            names.push(*name);
            text.extend([&canonical::field(name, value), "\r\n"]);
        }
    }
    names.extend(OVERSIGNED);
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

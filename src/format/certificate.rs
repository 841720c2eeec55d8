//! Certificates and private keys in PEM form (RFC 7468, RFC 5280): whether they can be used, belong together, and when
//! they are valid.

use jiff::{SignedDuration, civil::DateTime};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

/// Why the files of a certificate and its key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The certificate file is not PEM, or contains no certificate.
    #[error("the file holds no usable certificate: {0}")]
    Certificate(String),
    /// The key file is not PEM, or contains no private key.
    #[error("the file holds no usable private key: {0}")]
    Key(String),
    /// Certificate and key do not belong together, or the key cannot sign.
    #[error("the key and the certificate cannot be used together: {0}")]
    Pair(String),
}

/// A certificate chain, its own certificate first, and the private key of that certificate.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The certificates of a PEM file: at least one.
///
/// # Errors
/// [`CertificateError::Certificate`].
pub fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let wrong = |what: String| CertificateError::Certificate(what);
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| wrong("a section is cut off or damaged".to_owned()))?;
    if chain.is_empty() {
        return Err(wrong(without(pem, "CERTIFICATE")));
    }
    match chain.iter().position(|der| Validity::of(der).is_none()) {
        None => Ok(chain),
        Some(at) => Err(wrong(format!(
            "CERTIFICATE section {} is no certificate",
            at + 1
        ))),
    }
}

/// A chain and the private key of its first certificate.
///
/// # Errors
/// [`CertificateError`] if one of them cannot be read, or they do not belong together.
pub fn identity(certificates: &[u8], key: &[u8]) -> Result<Identity, CertificateError> {
    let (chain, key) = (chain(certificates)?, self::key(key)?);
    let Err(error) = paired(&chain, &key) else {
        return Ok((chain, key));
    };
    let is_of = |at: &usize| paired(&chain[*at..=*at], &key).is_ok();
    let why = match error {
        rustls::Error::InconsistentKeys(_) => match (1..chain.len()).find(is_of) {
            Some(at) => format!(
                "the key is that of certificate {} of the file, which must be the first",
                at + 1
            ),
            None => "the key is that of another certificate".to_owned(),
        },
        error => error.to_string(),
    };
    Err(CertificateError::Pair(why))
}

fn paired(
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<CertifiedKey, rustls::Error> {
    let provider = aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain.to_vec(), key.clone_key(), &provider)
}

/// The private key of a PEM file.
///
/// # Errors
/// [`CertificateError::Key`].
pub fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateError> {
    const LABEL: &str = "PRIVATE KEY";
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let text = String::from_utf8_lossy(pem);
        let labels = labels(&text);
        let is_encrypted = text.contains("Proc-Type: 4,ENCRYPTED")
            || labels.iter().any(|label| label.starts_with("ENCRYPTED"));
        let what = if is_encrypted {
            "it is encrypted; decrypt it with openssl pkey -in FILE -out NEW-FILE".to_owned()
        } else if labels.iter().any(|label| label.ends_with(LABEL)) {
            "a section is cut off or damaged".to_owned()
        } else {
            without(pem, LABEL)
        };
        CertificateError::Key(what)
    })
}

/// The labels of the sections of a PEM file, such as `CERTIFICATE`.
fn labels(text: &str) -> Vec<&str> {
    let lines = text.lines().filter_map(|line| {
        let line = line.trim().strip_prefix("-----BEGIN ")?;
        line.strip_suffix("-----")
    });
    lines.collect()
}

/// What a file has instead of a section with this label.
fn without(pem: &[u8], label: &str) -> String {
    let text = String::from_utf8_lossy(pem);
    let labels = labels(&text);
    if text.starts_with('\u{feff}') {
        "it begins with a byte order mark; save it as UTF-8 without one".to_owned()
    } else if !labels.is_empty() {
        format!("it has no {label} section, but {}", labels.join(", "))
    } else if pem.first() == Some(&tag::SEQUENCE) {
        "it is not in PEM form, but perhaps in DER form, which openssl converts".to_owned()
    } else {
        format!("it has no {label} section")
    }
}

/// The time in which a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second of its validity, which is also its day of issue.
    pub not_before: i64,
    /// The last second of its validity; after it the certificate has expired.
    pub not_after: i64,
}

/// The tags of the elements that are read, from X.690.
mod tag {
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const OCTETS: u8 = 0x04;
    pub(super) const IDENTIFIER: u8 = 0x06;
    pub(super) const UTC_TIME: u8 = 0x17;
    pub(super) const GENERALIZED_TIME: u8 = 0x18;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const VERSION: u8 = 0xa0;
    pub(super) const EXTENSIONS: u8 = 0xa3;
}

impl Validity {
    /// Reads the validity of a certificate in DER form; `None` if it is no certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Option<Self> {
        let (validity, _) = element(from_validity(der)?, tag::SEQUENCE)?;
        let (not_before, rest) = time(validity)?;
        let (not_after, _) = time(rest)?;
        Some(Self {
            not_before,
            not_after,
        })
    }
}

/// What a certificate is shown for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A server shows it to its clients.
    Server,
    /// A client shows it to a server that asks for one.
    Client,
}

impl Purpose {
    /// The object identifier of the extended key usage (RFC 5280, 4.2.1.12).
    const fn identifier(self) -> [u8; 8] {
        let last = match self {
            Self::Server => 1,
            Self::Client => 2,
        };
        [0x2b, 6, 1, 5, 5, 7, 3, last]
    }
}

/// The object identifiers of the extensions that are read, and of any extended key usage.
mod identifier {
    pub(super) const ALTERNATIVE_NAMES: [u8; 3] = [0x55, 0x1d, 0x11];
    pub(super) const EXTENDED_KEY_USAGE: [u8; 3] = [0x55, 0x1d, 0x25];
    pub(super) const ANY_USAGE: [u8; 4] = [0x55, 0x1d, 0x25, 0];
}

/// Whether the extended key usage of a certificate permits a purpose. One without that extension permits all.
#[must_use]
pub fn permits(der: &[u8], purpose: Purpose) -> bool {
    let usages = extension(der, &identifier::EXTENDED_KEY_USAGE);
    let Some((mut usages, _)) = usages.and_then(|usages| element(usages, tag::SEQUENCE)) else {
        return true;
    };
    while let Some((usage, rest)) = element(usages, tag::IDENTIFIER) {
        if usage == purpose.identifier() || usage == identifier::ANY_USAGE {
            return true;
        }
        usages = rest;
    }
    false
}

/// Whether a certificate says which names or addresses it is for, in the only place where clients look today.
#[must_use]
pub fn has_names(der: &[u8]) -> bool {
    extension(der, &identifier::ALTERNATIVE_NAMES).is_some()
}

/// The value of an extension.
fn extension<'a>(der: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let (_validity, rest) = element(from_validity(der)?, tag::SEQUENCE)?;
    let (_subject, rest) = element(rest, tag::SEQUENCE)?;
    let (_public_key, rest) = element(rest, tag::SEQUENCE)?;
    let (of_list, _) = element(rest, tag::EXTENSIONS)?;
    let (mut list, _) = element(of_list, tag::SEQUENCE)?;
    while let Some((extension, rest)) = element(list, tag::SEQUENCE) {
        let (name, value) = element(extension, tag::IDENTIFIER)?;
        if name == wanted {
            let value = element(value, tag::BOOLEAN).map_or(value, |(_critical, rest)| rest);
            return element(value, tag::OCTETS).map(|(value, _)| value);
        }
        list = rest;
    }
    None
}

/// A certificate from its validity on.
fn from_validity(der: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = element(der, tag::SEQUENCE)?;
    let (tbs, _) = element(certificate, tag::SEQUENCE)?;
    // The version is absent in certificates of the first version.
    let rest = element(tbs, tag::VERSION).map_or(tbs, |(_, rest)| rest);
    let (_serial, rest) = element(rest, tag::INTEGER)?;
    let (_signature, rest) = element(rest, tag::SEQUENCE)?;
    let (_issuer, rest) = element(rest, tag::SEQUENCE)?;
    Some(rest)
}

/// The first second of 1970. Times are counted from it without a time zone, because `99991231235959Z`, which says that
/// a certificate has no end, is later than any instant that the library knows.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// A second since 1970 as date and time, for a message.
#[must_use]
pub fn date(second: i64) -> String {
    let time = EPOCH.checked_add(SignedDuration::from_secs(second));
    time.map_or_else(|_| "?".to_owned(), |time| format!("{time}Z"))
}

/// The content of the first element, which must have this tag, and what follows it.
fn element(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count > size_of::<u32>() {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        let length = digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
        (length, rest)
    };
    (tag == wanted).then(|| rest.split_at_checked(length))?
}

/// The time at the beginning: `YYMMDDHHMMSSZ` up to 2049, `YYYYMMDDHHMMSSZ` from 2050 on (RFC 5280, 4.1.2.5).
fn time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (text, rest, century) = if let Some((text, rest)) = element(bytes, tag::UTC_TIME) {
        let is_last_century = *text.first()? >= b'5';
        (text, rest, if is_last_century { "19" } else { "20" })
    } else {
        let (text, rest) = element(bytes, tag::GENERALIZED_TIME)?;
        (text, rest, "")
    };
    let text = format!("{century}{}", std::str::from_utf8(text).ok()?);
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i8>().ok();
    let year = text.get(..4)?.parse().ok()?;
    if text.len() != 15 || !text.ends_with('Z') {
        return None;
    }
    let time = DateTime::new(
        year,
        number(4, 6)?,
        number(6, 8)?,
        number(8, 10)?,
        number(10, 12)?,
        number(12, 14)?,
        0,
    );
    Some((time.ok()?.duration_since(EPOCH).as_secs(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(years: (i32, i32)) -> (String, String) {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 2);
        params.not_after = rcgen::date_time_ymd(years.1, 12, 31);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn validity(pem: &str) -> (String, String) {
        let chain = chain(pem.as_bytes()).unwrap();
        let validity = Validity::of(&chain[0]).unwrap();
        (date(validity.not_before), date(validity.not_after))
    }

    #[test]
    fn conf_04_the_validity_is_read_in_both_forms_of_a_time() {
        for (years, from, until) in [
            ((2024, 2026), "2024-01-02T00:00:00Z", "2026-12-31T00:00:00Z"),
            ((1975, 2049), "1975-01-02T00:00:00Z", "2049-12-31T00:00:00Z"),
            ((2050, 9999), "2050-01-02T00:00:00Z", "9999-12-31T00:00:00Z"),
        ] {
            let (pem, _) = made(years);
            assert_eq!(validity(&pem), (from.to_owned(), until.to_owned()));
        }
    }

    #[test]
    fn a_pair_belongs_together() {
        let ((own, key), (_, other)) = (made((2024, 2030)), made((2024, 2030)));
        assert!(identity(own.as_bytes(), key.as_bytes()).is_ok());
        let told = |certificate: &str, key: &str| {
            identity(certificate.as_bytes(), key.as_bytes()).expect_err("it is refused")
        };
        assert!(matches!(told(&own, &other), CertificateError::Pair(_)));
        assert!(matches!(told(&own, "x"), CertificateError::Key(_)));
        for wrong in [
            "",
            "no PEM\n",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &key,
        ] {
            let told = told(wrong, &key);
            assert!(matches!(told, CertificateError::Certificate(_)), "{wrong}");
        }
    }

    #[test]
    fn conf_04_what_a_file_holds_instead_of_a_certificate_or_a_key_is_named() {
        let (own, own_key) = made((2024, 2030));
        let (other, _) = made((2024, 2030));
        let both = format!("{other}{own}");
        let bom = format!("\u{feff}{own}");
        let told = |certificate: &str, key: &str| {
            let error = identity(certificate.as_bytes(), key.as_bytes());
            error.expect_err("it is refused").to_string()
        };
        for (certificate, key, part) in [
            (
                own_key.as_str(),
                own_key.as_str(),
                "no CERTIFICATE section, but PRIVATE KEY",
            ),
            (&own[..200], &own_key, "cut off or damaged"),
            (&bom, &own_key, "begins with a byte order mark"),
            ("0\u{2}", &own_key, "perhaps in DER form"),
            ("", &own_key, "it has no CERTIFICATE section"),
            (&own, &own, "no PRIVATE KEY section, but CERTIFICATE"),
            (&own, &own_key[..80], "cut off or damaged"),
            (
                &own,
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
                "it is encrypted; decrypt it with openssl pkey",
            ),
            (
                &own,
                "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END EC PRIVATE KEY-----\n",
                "it is encrypted; decrypt it with openssl pkey",
            ),
            (&other, &own_key, "the key is that of another certificate"),
            (&both, &own_key, "that of certificate 2 of the file"),
        ] {
            let told = told(certificate, key);
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn conf_04_what_a_certificate_is_for_is_read() {
        use rcgen::ExtendedKeyUsagePurpose as Usage;
        for (usages, server, client) in [
            (vec![], true, true),
            (vec![Usage::ServerAuth], true, false),
            (vec![Usage::ClientAuth], false, true),
            (
                vec![Usage::CodeSigning, Usage::ServerAuth, Usage::ClientAuth],
                true,
                true,
            ),
            (vec![Usage::EmailProtection], false, false),
            (vec![Usage::Any], true, true),
        ] {
            let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
            params.extended_key_usages = usages.clone();
            let key = rcgen::KeyPair::generate().unwrap();
            let der = params.self_signed(&key).unwrap();
            assert_eq!(permits(der.der(), Purpose::Server), server, "{usages:?}");
            assert_eq!(permits(der.der(), Purpose::Client), client, "{usages:?}");
            assert!(has_names(der.der()));
        }
        let bare = rcgen::CertificateParams::default();
        let der = bare
            .self_signed(&rcgen::KeyPair::generate().unwrap())
            .unwrap();
        assert!(!has_names(der.der()) && permits(der.der(), Purpose::Server));
    }

    #[test]
    fn cut_off_bytes_are_no_certificate() {
        let (pem, _) = made((2024, 2060));
        let der = chain(pem.as_bytes()).unwrap().remove(0);
        let whole = Validity::of(&der).unwrap();
        for length in 0..der.len() {
            // The last bytes are the signature, which is not read.
            assert!(Validity::of(&der[..length]).is_none_or(|read| read == whole));
            let _ = (
                has_names(&der[..length]),
                permits(&der[..length], Purpose::Server),
            );
        }
        assert_eq!(Validity::of(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(Validity::of(&[0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1]), None);
    }
}

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
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong("no CERTIFICATE section".to_owned()));
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
    let chain = chain(certificates)?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| CertificateError::Key(error.to_string()))?;
    CertifiedKey::from_der(
        chain.clone(),
        key.clone_key(),
        &aws_lc_rs::default_provider(),
    )
    .map_err(|error| CertificateError::Pair(error.to_string()))?;
    Ok((chain, key))
}

/// The time in which a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second of its validity, which is also its day of issue.
    pub not_before: i64,
    /// The last second of its validity; after it the certificate has expired.
    pub not_after: i64,
}

/// The tags of the elements on the way to the validity, from X.690.
mod tag {
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const UTC_TIME: u8 = 0x17;
    pub(super) const GENERALIZED_TIME: u8 = 0x18;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const VERSION: u8 = 0xa0;
}

impl Validity {
    /// Reads the validity of a certificate in DER form; `None` if it is no certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Option<Self> {
        let (certificate, _) = element(der, tag::SEQUENCE)?;
        let (tbs, _) = element(certificate, tag::SEQUENCE)?;
        // The version is absent in certificates of the first version.
        let rest = element(tbs, tag::VERSION).map_or(tbs, |(_, rest)| rest);
        let (_serial, rest) = element(rest, tag::INTEGER)?;
        let (_signature, rest) = element(rest, tag::SEQUENCE)?;
        let (_issuer, rest) = element(rest, tag::SEQUENCE)?;
        let (validity, _) = element(rest, tag::SEQUENCE)?;
        let (not_before, rest) = time(validity)?;
        let (not_after, _) = time(rest)?;
        Some(Self {
            not_before,
            not_after,
        })
    }
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
    fn cut_off_bytes_are_no_certificate() {
        let (pem, _) = made((2024, 2060));
        let der = chain(pem.as_bytes()).unwrap().remove(0);
        let whole = Validity::of(&der).unwrap();
        for length in 0..der.len() {
            // The last bytes are the signature, which is not read.
            assert!(Validity::of(&der[..length]).is_none_or(|read| read == whole));
        }
        assert_eq!(Validity::of(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(Validity::of(&[0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1]), None);
    }
}

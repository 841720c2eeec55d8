//! Checks certificates and their keys: whether they can be used, belong together, and are valid now.

use super::Findings;
use crate::{
    domain::time::Timestamp,
    format::{
        certificate::{self, CertificateError, Purpose, Validity},
        secret::SecretText,
    },
};

/// A certificate that expires within this time is warned of, or within a third of its life if that is shorter.
const WARN_BEFORE_S: i64 = 14 * DAY_S;
const DAY_S: i64 = 86_400;

/// The keys of the settings that name a certificate and its private key.
#[derive(Clone, Copy)]
pub(super) struct PairKeys {
    pub(super) section: &'static str,
    pub(super) certificate: &'static str,
    pub(super) key: &'static str,
    /// What the certificate is shown for.
    pub(super) purpose: Purpose,
}

/// The keys of the certificate of a listener.
pub(super) const fn of_listener(section: &'static str) -> PairKeys {
    PairKeys {
        section,
        certificate: "tls_cert_file",
        key: "tls_key_file",
        purpose: Purpose::Server,
    }
}

impl PairKeys {
    fn certificate_path(self) -> String {
        format!("{}.{}", self.section, self.certificate)
    }

    fn key_path(self) -> String {
        format!("{}.{}", self.section, self.key)
    }
}

/// Checks a certificate that this service shows to others.
pub(super) fn identity(
    keys: PairKeys,
    (chain, key): (&[u8], &SecretText),
    now: Timestamp,
    findings: &mut Findings,
) {
    match certificate::identity(chain, key.expose().as_bytes()) {
        Ok((chain, _)) => {
            of_purpose(keys, &chain[0], findings);
            for (place, der) in chain.iter().enumerate() {
                if let Some(validity) = Validity::of(der) {
                    of_chain(keys, place, validity, seconds(now), findings);
                }
            }
        }
        Err(error @ CertificateError::Certificate(_)) => {
            findings.mistake(keys.certificate_path(), error);
        }
        Err(error @ CertificateError::Key(_)) => findings.mistake(keys.key_path(), error),
        Err(CertificateError::Pair(why)) => findings.mistake(
            keys.key_path(),
            format!(
                "the key and the certificate of {} cannot be used together: {why}",
                keys.certificate
            ),
        ),
    }
}

/// Checks that peers accept a certificate for what it is shown for.
fn of_purpose(keys: PairKeys, der: &[u8], findings: &mut Findings) {
    let (whom, usage) = match keys.purpose {
        Purpose::Server => ("server", "serverAuth"),
        Purpose::Client => ("client", "clientAuth"),
    };
    if !certificate::permits(der, keys.purpose) {
        let what =
            format!("the certificate is not for a {whom}: its extended key usage lacks {usage}");
        findings.mistake(keys.certificate_path(), what);
    } else if keys.purpose == Purpose::Server && !certificate::has_names(der) {
        let what = "the certificate has no subjectAltName, without which most clients refuse it";
        findings.warning(keys.certificate_path(), what);
    }
}

fn of_chain(keys: PairKeys, place: usize, validity: Validity, now: i64, findings: &mut Findings) {
    let path = keys.certificate_path();
    let name = match place {
        0 => "the certificate".to_owned(),
        _ => format!("certificate {} of the chain", place + 1),
    };
    match state(validity, now) {
        State::Valid => {}
        State::Ends(when) => findings.warning(path, format!("{name} {when}")),
        State::Invalid(why) if place == 0 => findings.mistake(path, format!("{name} {why}")),
        // A peer may know another way to an authority that it trusts.
        State::Invalid(why) => findings.warning(path, format!("{name} {why}")),
    }
}

/// Checks the certificates of authorities: one of them must be valid.
pub(super) fn authorities(path: &str, pem: &[u8], now: Timestamp, findings: &mut Findings) {
    let chain = match certificate::chain(pem) {
        Ok(chain) => chain,
        Err(error) => return findings.mistake(path.to_owned(), error),
    };
    let validities = chain.iter().filter_map(|der| Validity::of(der));
    let Some(last) = validities.max_by_key(|validity| validity.not_after) else {
        return;
    };
    match state(last, seconds(now)) {
        State::Valid => {}
        State::Ends(when) => {
            findings.warning(path.to_owned(), format!("the last valid authority {when}"));
        }
        State::Invalid(why) => findings.mistake(
            path.to_owned(),
            format!("no authority is valid; the last one {why}"),
        ),
    }
}

/// Whether a certificate is valid now; texts are ends of sentences that begin with its name.
enum State {
    Valid,
    Ends(String),
    Invalid(String),
}

fn state(validity: Validity, now: i64) -> State {
    let Validity {
        not_before,
        not_after,
    } = validity;
    let warn_before = WARN_BEFORE_S.min((not_after - not_before) / 3);
    let date = certificate::date;
    if now < not_before {
        State::Invalid(format!(
            "is not valid before {}; is the clock of this machine right?",
            date(not_before)
        ))
    } else if now > not_after {
        State::Invalid(format!("expired on {}; renew it", date(not_after)))
    } else if not_after - now < warn_before {
        let days = (not_after - now) / DAY_S;
        State::Ends(format!(
            "expires on {}, in {days} days; renew it",
            date(not_after)
        ))
    } else {
        State::Valid
    }
}

fn seconds(now: Timestamp) -> i64 {
    i64::try_from(now.as_micros() / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conf_04_a_certificate_is_valid_from_its_first_to_its_last_second() {
        let validity = Validity {
            not_before: 1000,
            not_after: 1000 + 90 * DAY_S,
        };
        let at = |now| match state(validity, now) {
            State::Valid => "valid",
            State::Ends(_) => "ends",
            State::Invalid(_) => "invalid",
        };
        let end = validity.not_after;
        for (now, expected) in [
            (999, "invalid"),
            (1000, "valid"),
            (end - WARN_BEFORE_S, "valid"),
            (end - WARN_BEFORE_S + 1, "ends"),
            (end, "ends"),
            (end + 1, "invalid"),
        ] {
            assert_eq!(at(now), expected, "{now}");
        }
    }

    #[test]
    fn a_certificate_of_one_day_is_warned_of_in_its_last_third() {
        let validity = Validity {
            not_before: 0,
            not_after: DAY_S,
        };
        assert!(matches!(state(validity, DAY_S / 2), State::Valid));
        assert!(matches!(state(validity, DAY_S * 3 / 4), State::Ends(_)));
    }
}

//! Tells a request of the page itself from one that another site made the browser send.

use axum::http::{HeaderMap, header::ORIGIN};
use url::Url;

/// The origin of an address, as browsers write it: `https://otp.bank.example`; `None` if it is no address.
#[must_use]
pub fn origin(address: &str) -> Option<String> {
    let origin = Url::parse(address).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// Whether another site made the browser send this request. Browsers say so in `Sec-Fetch-Site`, which no page can
/// set; older ones only name the `Origin`. A program that is no browser sends neither, and needs the cookie like
/// everybody.
pub(super) fn is_cross_site(headers: &HeaderMap, own_origin: &str) -> bool {
    let only = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let first = values.next();
        // Two values contradict each other.
        first.map(|value| {
            if values.next().is_some() {
                &[][..]
            } else {
                value.as_bytes()
            }
        })
    };
    match (only("sec-fetch-site"), only(ORIGIN.as_str())) {
        (Some(site), _) => site != b"same-origin",
        (None, Some(origin)) => !origin.eq_ignore_ascii_case(own_origin.as_bytes()),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (address, expected) in [
            (
                "https://otp.bank.example/verify/link",
                Some("https://otp.bank.example"),
            ),
            (
                "https://otp.bank.example:443",
                Some("https://otp.bank.example"),
            ),
            ("http://127.0.0.1:8080/link", Some("http://127.0.0.1:8080")),
            ("https://BANK.example", Some("https://bank.example")),
            ("bank.example", None),
        ] {
            assert_eq!(origin(address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn mail_03_a_request_that_another_site_made_is_recognised() {
        let cross = |headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            is_cross_site(&headers.collect(), "https://otp.bank.example")
        };
        for own in [
            &[][..],
            &[("sec-fetch-site", "same-origin")],
            &[("origin", "https://otp.bank.example")],
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://otp.bank.example"),
            ],
        ] {
            assert!(!cross(own), "{own:?}");
        }
        for other in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "")],
            &[
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "cross-site"),
            ],
            &[("origin", "https://evil.example")],
            &[("origin", "http://otp.bank.example")],
            &[("origin", "https://otp.bank.example:8443")],
            &[("origin", "https://otp.bank.example.evil.example")],
            &[("origin", "null")],
            &[("origin", "")],
        ] {
            assert!(cross(other), "{other:?}");
        }
    }
}

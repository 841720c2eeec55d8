//! `http.public_url`: the URL under which customers and providers reach the HTTP listener.

use url::{Host, Url};

use super::{Mistake, Profile, Settings};
use crate::http::pages::link::origin;

/// The paths that the service adds itself.
const OWN_PATHS: [&str; 4] = ["/link", "/callbacks", "/calls", "/dev"];

/// Checks `https://otp.bank.example`, optionally with a path; in development also `http://`. Returns it without a
/// slash at its end.
pub(super) fn parse(text: &str, is_production: bool) -> Result<String, String> {
    let known = ["https://", "http://"]
        .into_iter()
        .any(|scheme| text.starts_with(scheme));
    if !known {
        return Err("must begin with https://".to_owned());
    }
    if is_production && text.starts_with("http://") {
        return Err(
            "must begin with https://, because links and answers of providers are secret"
                .to_owned(),
        );
    }
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    let unwanted = [
        (
            !url.username().is_empty() || url.password().is_some(),
            "user information before @",
        ),
        (url.query().is_some(), "a query, which begins with ?"),
        (url.fragment().is_some(), "a fragment, which begins with #"),
    ];
    if let Some((_, what)) = unwanted.iter().find(|(has, _)| *has) {
        return Err(format!("must not have {what}"));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]".contains(c);
    if !text.chars().all(is_plain) {
        return Err(
            "must be a host and perhaps a path, such as https://otp.bank.example; write a host with other letters \
             in its xn-- form"
                .to_owned(),
        );
    }
    let bare = text.trim_end_matches('/');
    if origin(bare).is_none() {
        return Err("must have a valid host and port, such as https://otp.bank.example".to_owned());
    }
    if url.port() == Some(0) {
        return Err("must not have port 0".to_owned());
    }
    let path = &bare[bare.find("://").map_or(0, |at| at + 3)..];
    let path = path.find('/').map_or("", |at| &path[at..]);
    if path
        .split('/')
        .skip(1)
        .any(|part| matches!(part, "" | "." | ".."))
    {
        return Err("must have a path without empty parts, . and ..".to_owned());
    }
    if let Some(own) = OWN_PATHS.into_iter().find(|own| path.ends_with(own)) {
        return Err(format!(
            "must not end with {own}, which the service adds itself"
        ));
    }
    Ok(bare.to_owned())
}

/// What is permitted but looks wrong: in production, an address that customers and providers cannot reach.
pub(super) fn warning(settings: &Settings) -> Option<Mistake> {
    let text = settings.http.public_url.as_ref()?;
    if settings.profile != Profile::Production {
        return None;
    }
    let what = match Url::parse(text).ok()?.host()?.to_owned() {
        Host::Domain(name) if name == "localhost" || name.ends_with(".localhost") => {
            "is this machine only; customers and providers need a public name"
        }
        Host::Domain(name) if !name.trim_end_matches('.').contains('.') => {
            "is a name without a domain, which customers and providers cannot find"
        }
        Host::Domain(_) => return None,
        Host::Ipv4(_) | Host::Ipv6(_) => {
            "is an address; customers trust a name, and certificates are rarely issued for addresses"
        }
    };
    Some(Mistake {
        key: "http.public_url".to_owned(),
        what: what.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conf_04_a_public_url_is_a_host_and_perhaps_a_path() {
        for (given, kept) in [
            ("https://otp.bank.example", "https://otp.bank.example"),
            ("https://otp.bank.example/", "https://otp.bank.example"),
            (
                "https://otp.bank.example:8443/a/b/",
                "https://otp.bank.example:8443/a/b",
            ),
            ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
            (
                "https://xn--bcher-kva.example",
                "https://xn--bcher-kva.example",
            ),
        ] {
            assert_eq!(parse(given, true).as_deref(), Ok(kept), "{given}");
        }
        assert_eq!(
            parse("http://127.0.0.1:8080", false).as_deref(),
            Ok("http://127.0.0.1:8080")
        );
        for (given, told) in [
            ("otp.bank.example", "must begin with https://"),
            ("//otp.bank.example", "must begin with https://"),
            ("ftp://otp.bank.example", "must begin with https://"),
            ("https:otp.bank.example", "must begin with https://"),
            ("http://otp.bank.example", "must begin with https://"),
            ("https://", "is not a URL"),
            ("https://:8443", "is not a URL"),
            ("https://otp.bank.example:99999", "is not a URL"),
            (
                "https://user:s3cret@otp.bank.example",
                "must not have user information",
            ),
            ("https://otp.bank.example?x=1", "must not have a query"),
            ("https://otp.bank.example/?", "must not have a query"),
            ("https://otp.bank.example/#top", "must not have a fragment"),
            ("https://otp.bank.example/a b", "must be a host"),
            ("https://otp.bank.example/%2e", "must be a host"),
            ("https://bücher.example", "xn--"),
            ("https://otp.bank.example:0", "port 0"),
            ("https://otp.bank.example//a", "without empty parts"),
            ("https://otp.bank.example/a/../b", "without empty parts"),
            ("https://otp.bank.example/link", "must not end with /link"),
            (
                "https://otp.bank.example/a/callbacks/",
                "must not end with /callbacks",
            ),
        ] {
            let error = parse(given, true).unwrap_err();
            assert!(error.contains(told), "{given}: {error}");
        }
    }
}

//! Judges the text of a URL: scheme, host and port.

use std::net::IpAddr;

use url::{Host, Url};

use super::is_public;

/// Names that lead into inner networks, beside names without a dot.
const INNER_ENDINGS: [&str; 10] = [
    ".localhost",
    ".local",
    ".internal",
    ".svc",
    ".lan",
    ".intranet",
    ".private",
    ".corp",
    ".home",
    ".home.arpa",
];

/// Which hosts may be called.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// The hosts of the settings, in the form of `host_of`, or `*.` and an ending; every other is refused.
    pub hosts: Vec<String>,
    /// Hosts that the operator named although they are in an inner network or on another port: `host` or `host:port`.
    pub allow_hosts: Vec<String>,
    /// May be called without encryption, as in the development profile.
    pub plain: bool,
}

/// Why a URL must not be called, as the end of a sentence that begins with "the URL".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub &'static str);

/// The host of a URL as it is compared.
///
/// # Errors
/// The text is no URL that could ever be called.
pub fn host_of(text: &str) -> Result<String, Refused> {
    parse(text).map(|url| url.host_str().unwrap_or_default().to_owned())
}

/// Host and port of a URL as the header `host` has them.
pub(in crate::sender) fn host_and_port(text: &str) -> Result<String, Refused> {
    let url = parse(text)?;
    let host = url.host_str().unwrap_or_default();
    Ok(url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

impl Targets {
    /// Only this URL's host, and of the inner networks only what the operator named.
    ///
    /// # Errors
    /// The URL must not be called.
    pub fn of(url: &str, allow_hosts: Vec<String>, plain: bool) -> Result<Self, Refused> {
        let targets = Self {
            hosts: vec![host_of(url)?],
            allow_hosts,
            plain,
        };
        targets.judge(url)?;
        Ok(targets)
    }

    /// Only these hosts, each a name, or `*.` and what all names of a service end in.
    ///
    /// # Errors
    /// One of them is no name of a host.
    pub fn among(
        hosts: Vec<String>,
        allow_hosts: Vec<String>,
        plain: bool,
    ) -> Result<Self, Refused> {
        let is_name = |entry: &String| {
            let ending = entry.strip_prefix("*.");
            let name = ending.unwrap_or(entry);
            let is_plain = name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
            // All names of a whole country or kind are nobody's service.
            let is_wide = ending.is_some_and(|ending| !ending.contains('.'));
            is_plain
                && !is_wide
                && host_of(&format!("https://{name}/")).is_ok_and(|host| host == name)
        };
        if !hosts.iter().all(is_name) {
            return Err(Refused("hosts must be names, or *. and a name"));
        }
        Ok(Self {
            hosts,
            allow_hosts,
            plain,
        })
    }

    /// The URL, if its text says nothing against a call.
    pub(super) fn judge(&self, text: &str) -> Result<Url, Refused> {
        let url = parse(text)?;
        let default_port = match url.scheme() {
            "https" => 443,
            "http" if self.plain => 80,
            "http" => {
                return Err(Refused(
                    "must begin with https://; http:// is for the development profile",
                ));
            }
            _ => return Err(Refused("must begin with https://")),
        };
        let host = url.host_str().unwrap_or_default();
        if !self.hosts.iter().any(|entry| matches(entry, host)) {
            return Err(Refused("leads to another host"));
        }
        let port = url.port().unwrap_or(default_port);
        if port == 0 || (port != default_port && !self.allows(host, Some(port))) {
            return Err(Refused("has a port that allow_hosts does not name"));
        }
        let is_inner = match url.host() {
            Some(Host::Domain(name)) => {
                !name.contains('.') || INNER_ENDINGS.iter().any(|ending| name.ends_with(ending))
            }
            Some(Host::Ipv4(address)) => !is_public(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => !is_public(IpAddr::V6(address)),
            None => return Err(Refused("has no host")),
        };
        if is_inner && !self.allows(host, url.port()) {
            return Err(Refused(
                "leads into an inner network that allow_hosts does not name",
            ));
        }
        Ok(url)
    }

    /// May this name lead to this address?
    pub(super) fn permits(&self, name: &str, address: IpAddr) -> bool {
        let named = |entry: &String| {
            entry == name
                || entry
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(':'))
        };
        is_public(address) || self.allow_hosts.iter().any(named)
    }

    fn allows(&self, host: &str, port: Option<u16>) -> bool {
        let with_port = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        self.allow_hosts.contains(&with_port)
    }
}

/// A star stands for one or more labels, never for none.
fn matches(entry: &str, host: &str) -> bool {
    match entry.strip_prefix('*') {
        Some(ending) => host
            .strip_suffix(ending)
            .is_some_and(|begin| !begin.is_empty()),
        None => entry == host,
    }
}

/// Reads a URL more strictly than the standard does, so that no two readers can see two hosts in it.
fn parse(text: &str) -> Result<Url, Refused> {
    if text
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    {
        return Err(Refused("holds a space, a backslash or a control character"));
    }
    let (_, rest) = text
        .split_once("://")
        .ok_or(Refused("must begin with https://"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') || authority.contains('%') {
        return Err(Refused("must name its host plainly, without a user"));
    }
    let url = Url::parse(text).map_err(|_| Refused("is not a URL"))?;
    match url.host_str() {
        Some(host) if !host.ends_with('.') => Ok(url),
        _ => Err(Refused("must name its host plainly, without a user")),
    }
}

//! Checks the text of a URL before a call: scheme, host and port.

use std::net::IpAddr;

use url::{Host, Url};

use super::{ConnectionSettings, is_public};
use crate::sender::settings::SettingError;

/// Endings of names in internal networks; names without a dot count as internal too.
const INTERNAL_ENDINGS: [&str; 10] = [
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

/// Endings of names that never exist on the internet, and that are in no inner network either.
const RESERVED_ENDINGS: [&str; 4] = [".invalid", ".test", ".localdomain", ".onion"];

/// The hosts that may be called.
#[derive(Clone, Debug, Default)]
pub(in crate::sender) struct Targets {
    /// The hosts of the settings, in the form of `host_of`, or `*.` and an ending; every other host is refused.
    pub(super) hosts: Vec<String>,
    /// Hosts that the operator allows although they are in an internal network or on another
    /// port: `host` or `host:port`.
    pub(super) allow_hosts: Vec<String>,
    /// Whether `http://` may be called, as in the development profile.
    pub(super) plaintext: bool,
}

/// Why a URL must not be called, as the end of a sentence that begins with the URL or its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::sender) struct Refused(pub(super) &'static str);

/// The host of a URL in the form in which hosts are compared.
pub(super) fn host_of(text: &str) -> Result<String, Refused> {
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
    /// Only the host of this URL, which is the value of the setting `key`.
    pub(in crate::sender) fn of(
        key: &str,
        url: &str,
        connection: &ConnectionSettings,
    ) -> Result<Self, SettingError> {
        Self::only(url, connection.allow_hosts.clone(), connection.plaintext)
            .map_err(|refused| SettingError::new(key, format!("{url:?} {refused}")))
    }

    /// Only the host of this URL.
    pub(super) fn only(
        url: &str,
        allow_hosts: Vec<String>,
        plaintext: bool,
    ) -> Result<Self, Refused> {
        let targets = Self {
            hosts: vec![host_of(url)?],
            allow_hosts,
            plaintext,
        };
        targets.judge(url)?;
        Ok(targets)
    }

    /// Only these hosts and only over `https://`; each is a name, or `*.` and the ending that a service's names share.
    pub(in crate::sender) fn among(
        hosts: &[String],
        connection: &ConnectionSettings,
    ) -> Result<Self, SettingError> {
        if let Some(wrong) = hosts.iter().find(|entry| !is_host_pattern(entry)) {
            return Err(SettingError::new(
                "hosts",
                format!(
                    "has {wrong:?}; each must be a name such as push.example.com, or *. and a name such as example.com"
                ),
            ));
        }
        Ok(Self {
            hosts: hosts.to_vec(),
            allow_hosts: connection.allow_hosts.clone(),
            plaintext: false,
        })
    }

    /// The URL, if nothing in its text forbids the call.
    pub(super) fn judge(&self, text: &str) -> Result<Url, Refused> {
        let url = parse(text)?;
        let default_port = match url.scheme() {
            "https" => 443,
            "http" if self.plaintext => 80,
            "http" => {
                return Err(Refused(
                    "must begin with https://; http:// is for the development profile only",
                ));
            }
            _ => return Err(Refused("must begin with https://")),
        };
        let host = url.host_str().unwrap_or_default();
        if !self.hosts.iter().any(|entry| matches(entry, host)) {
            return Err(Refused("has a host that the settings do not name"));
        }
        let port = url.port().unwrap_or(default_port);
        if port == 0 || (port != default_port && !self.allows(host, Some(port))) {
            return Err(Refused(
                "has a port other than the default; name host:port in allow_hosts to permit it",
            ));
        }
        let is_internal = match url.host() {
            Some(Host::Domain(name)) => {
                !name.contains('.') || INTERNAL_ENDINGS.iter().any(|ending| name.ends_with(ending))
            }
            Some(Host::Ipv4(address)) => !is_public(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => !is_public(IpAddr::V6(address)),
            None => return Err(Refused("has no host")),
        };
        if is_internal && !self.allows(host, url.port()) {
            return Err(Refused(
                "leads into an internal network; name the host in allow_hosts to permit it",
            ));
        }
        Ok(url)
    }

    /// Whether this name may resolve to this address.
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

/// Whether an entry may stand in a list of hosts: a name in lower case, or `*.` and a name with a dot.
#[must_use]
pub fn is_host_pattern(entry: &str) -> bool {
    let ending = entry.strip_prefix("*.");
    let name = ending.unwrap_or(entry);
    let is_plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    // *.com would cover every company's names.
    let is_too_wide = ending.is_some_and(|ending| !ending.contains('.'));
    is_plain && !is_too_wide && host_of(&format!("https://{name}/")).is_ok_and(|host| host == name)
}

/// Checks the contact of an application server (VAPID): Apple refuses every message with one that nobody can reach.
///
/// # Errors
/// The form that it must have, as the end of a sentence that begins with its key.
pub fn check_contact(text: &str) -> Result<(), &'static str> {
    const FORM: &str = "must be mailto: and an e-mail address, or an https:// URL";
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(FORM);
    }
    let host = if let Some(address) = text.strip_prefix("mailto:") {
        let (local, domain) = address.rsplit_once('@').ok_or(FORM)?;
        let is_name = matches!(Host::parse(domain), Ok(Host::Domain(_)));
        (!local.is_empty() && is_name).then(|| domain.to_owned())
    } else {
        let url = parse(text).ok().filter(|url| url.scheme() == "https");
        url.ok_or(FORM)?.host_str().map(str::to_owned)
    };
    if host.is_some_and(|host| is_public_host(&host)) {
        Ok(())
    } else {
        Err("must name a public host: push services refuse a contact that nobody can reach")
    }
}

/// Whether a host may exist on the internet: a name with a dot that is not reserved for inner networks or tests, or a
/// public address.
fn is_public_host(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Domain(name)) => {
            let mut endings = INTERNAL_ENDINGS.iter().chain(&RESERVED_ENDINGS);
            name.contains('.')
                && !name.ends_with('.')
                && !endings.any(|ending| name.ends_with(ending))
        }
        Ok(Host::Ipv4(address)) => is_public(IpAddr::V4(address)),
        Ok(Host::Ipv6(address)) => is_public(IpAddr::V6(address)),
        Err(_) => false,
    }
}

/// Whether a host matches an entry; a star stands for one or more labels, never for none.
fn matches(entry: &str, host: &str) -> bool {
    match entry.strip_prefix('*') {
        Some(ending) => host
            .strip_suffix(ending)
            .is_some_and(|begin| !begin.is_empty()),
        None => entry == host,
    }
}

/// Parses a URL more strictly than the standard does, so that no two parsers can disagree about its host.
fn parse(text: &str) -> Result<Url, Refused> {
    if text
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    {
        return Err(Refused(
            "contains a space, a backslash or a control character",
        ));
    }
    let (_, rest) = text
        .split_once("://")
        .ok_or(Refused("must begin with https://"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') || authority.contains('%') {
        return Err(Refused("must name its host plainly, without a user name"));
    }
    let url = Url::parse(text).map_err(|_| Refused("is not a URL"))?;
    match url.host_str() {
        Some(host) if !host.ends_with('.') => Ok(url),
        _ => Err(Refused("must name its host plainly, without a user name")),
    }
}

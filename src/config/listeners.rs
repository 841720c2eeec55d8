//! `[grpc]`, `[http]` and `[admin]`: where the service listens, and how much load it accepts.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use super::{
    Mistake, Profile, Settings, Table, public_url,
    reader::book::Book,
    secret_file::{read_document, read_public},
};
use crate::{
    format::{certificate, secret::SecretText},
    listener::{ListenerSettings, peers::AddressRange, tls::TlsIdentity},
};

/// The placeholder for an address that could not be read; no listener is ever bound to it.
const NOWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// What differs between the listeners in the keys that they share.
struct Defaults {
    max_connections: u64,
    max_connections_per_peer: u64,
}

const GRPC: Defaults = Defaults {
    max_connections: 10_000,
    max_connections_per_peer: 1000,
};
const HTTP: Defaults = Defaults {
    max_connections: 4096,
    max_connections_per_peer: 128,
};
const ADMIN: Defaults = Defaults {
    max_connections: 256,
    max_connections_per_peer: 32,
};

/// Reads the keys that all listeners have.
fn listener(table: &mut Table<'_>, defaults: &Defaults) -> ListenerSettings {
    let listen = listen(table);
    let asks_for_tls = table.has("tls_cert_file") || table.has("tls_key_file");
    let tls = tls(table);
    let plaintext_allowed = table.switch("plaintext_allowed", false);
    if table.is_production() && !asks_for_tls && !listen.ip().is_loopback() && !plaintext_allowed {
        let what = format!(
            "is {listen} in plaintext; set tls_cert_file and tls_key_file, or plaintext_allowed if a proxy or mesh in front of it encrypts"
        );
        table.mistake("listen", what);
    }
    let per_peer: usize = table.small(
        "max_connections_per_peer",
        defaults.max_connections_per_peer,
        &(0..=1_000_000),
    );
    ListenerSettings {
        listen,
        tls,
        connections_max: table.small(
            "max_connections",
            defaults.max_connections,
            &(1..=1_000_000),
        ),
        peer_connections_max: (per_peer > 0).then_some(per_peer),
        trusted_proxies: trusted_proxies(table),
    }
}

fn trusted_proxies(table: &mut Table<'_>) -> Vec<AddressRange> {
    const KEY: &str = "trusted_proxies";
    let texts = table.list(KEY).unwrap_or_default();
    let parsed = texts
        .iter()
        .filter_map(|text| match AddressRange::parse(text) {
            Ok(range) => Some(range),
            Err(what) => {
                table.mistake(KEY, format!("has {text:?}; each {what}"));
                None
            }
        });
    parsed.collect()
}

/// The listener for callers.
#[derive(Clone, Debug)]
pub struct GrpcSettings {
    /// Its address, encryption and limits of connections.
    pub listener: ListenerSettings,
    /// The deadline of a call that sends none.
    pub deadline_default: Duration,
    /// The longest deadline of a call; a longer one is shortened to it.
    pub deadline_max: Duration,
    /// The maximum number of concurrent streams in one connection.
    pub max_streams: u32,
    /// The maximum number of calls in progress, over all connections.
    pub max_in_flight: usize,
    /// The maximum number of calls in progress per caller.
    pub max_in_flight_per_caller: usize,
    /// The maximum number of open watch streams, over all callers.
    pub max_watches: usize,
    /// The maximum number of open watch streams per caller.
    pub max_watches_per_caller: usize,
    /// How long calls are still accepted after SIGTERM, while readiness already fails.
    pub lame_duck: Duration,
}

impl GrpcSettings {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let listener = listener(&mut table, &GRPC);
        let deadline_default = table.millis("deadline_default_ms", 5000, &(1..=600_000));
        let deadline_max = table.millis("deadline_max_ms", 30_000, &(1..=600_000));
        if deadline_default > deadline_max {
            table.mistake(
                "deadline_default_ms",
                "is longer than deadline_max_ms; lower it or raise the other",
            );
        }
        let max_in_flight: usize = table.small("max_in_flight", 4096, &(1..=1_000_000));
        let share: usize = table.small("max_in_flight_per_caller", 0, &(0..=1_000_000));
        if share > max_in_flight {
            table.mistake(
                "max_in_flight_per_caller",
                "is more than max_in_flight; lower it or raise the other",
            );
        }
        let max_watches = table.small("max_watches", 10_000, &(1..=1_000_000));
        let max_watches_per_caller = table.small("max_watches_per_caller", 1000, &(1..=1_000_000));
        if max_watches_per_caller > max_watches {
            table.mistake(
                "max_watches_per_caller",
                "is more than max_watches; lower it or raise the other",
            );
        }
        let settings = Self {
            listener,
            deadline_default,
            deadline_max,
            max_streams: table.small("max_streams", 128, &(1..=10_000)),
            max_in_flight,
            max_in_flight_per_caller: if share == 0 {
                max_in_flight.div_ceil(2)
            } else {
                share
            },
            max_watches,
            max_watches_per_caller,
            lame_duck: table.millis("lame_duck_ms", 5000, &(0..=60_000)),
        };
        table.finish();
        settings
    }
}

/// The listener for pages and for the callbacks of providers.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Its address, encryption and limits of connections.
    pub listener: ListenerSettings,
    /// The URL under which customers and providers reach it, without a slash at the end; `None` if they cannot.
    pub public_url: Option<String>,
    /// Whether the link page knows the browser that asked only by a cookie that no other host can set.
    pub host_cookie_only: bool,
}

impl HttpSettings {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let is_production = table.is_production();
        let public_url =
            table.parsed_if_any("public_url", |text| public_url::parse(text, is_production));
        let host_cookie_only = table.switch("host_cookie_only", false);
        let is_https = public_url
            .as_ref()
            .is_some_and(|url| url.starts_with("https://"));
        if host_cookie_only && !is_https && !table.is_mistaken("public_url") {
            let what =
                "needs a public_url with https://, because browsers keep such cookies only there";
            table.mistake("host_cookie_only", what);
        }
        let listener = listener(&mut table, &HTTP);
        table.finish();
        Self {
            listener,
            public_url,
            host_cookie_only,
        }
    }
}

/// The listener for operators: metrics and health.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// Its address, encryption and limits of connections.
    pub listener: ListenerSettings,
}

impl AdminSettings {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let listener = listener(&mut table, &ADMIN);
        table.finish();
        Self { listener }
    }
}

/// What is permitted but looks wrong: a proxy in front of the HTTP listener that no setting names.
pub(super) fn warning(settings: &Settings) -> Option<Mistake> {
    let http = &settings.http;
    let is_behind_a_proxy = http.public_url.is_some() && http.listener.tls.is_none();
    let is_unnamed = settings.profile == Profile::Production
        && is_behind_a_proxy
        && http.listener.trusted_proxies.is_empty();
    is_unnamed.then(|| Mistake {
        key: "http.trusted_proxies".to_owned(),
        what: "is empty, so all requests that a proxy brings count as those of one peer; name the proxy's addresses".to_owned(),
    })
}

/// Two listeners cannot have one port of the same address.
pub(super) fn check_ports(settings: &Settings, book: &Book) {
    let listeners = [
        ("grpc", settings.grpc.listener.listen),
        ("http", settings.http.listener.listen),
        ("admin", settings.admin.listener.listen),
    ];
    for (at, (table, listen)) in listeners.iter().enumerate() {
        let key = |table: &str| format!("{table}.listen");
        let taken = listeners[..at]
            .iter()
            .find(|(_, other)| overlap(*other, *listen));
        if let Some((other, address)) = taken
            && !book.is_mistaken(&key(table))
            && !book.is_mistaken(&key(other))
        {
            let what = format!(
                "is {listen}, and {} is {address}; each listener needs a port of its own",
                key(other)
            );
            book.mistake(&key(table), what);
        }
    }
}

/// Whether a connection to one address could be one to the other. Port 0 takes a free port. The unspecified address of
/// IPv6 also takes connections of IPv4.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    let covers = |wide: IpAddr, ip: IpAddr| {
        wide.is_unspecified() && (wide.is_ipv6() || wide.is_ipv4() == ip.is_ipv4())
    };
    one.port() != 0 && one.port() == other.port() && (a == b || covers(a, b) || covers(b, a))
}

fn listen(table: &mut Table<'_>) -> SocketAddr {
    let Some(listen) = table.parsed("listen", socket_address) else {
        return NOWHERE.into();
    };
    if !table.is_production() && !listen.ip().is_loopback() {
        let what = format!(
            "is {listen}; the development profile listens on loopback only, such as 127.0.0.1:{}; set profile = \"production\" to serve others",
            listen.port()
        );
        table.mistake("listen", what);
    }
    listen
}

fn socket_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "must be an IP address and a port, such as 127.0.0.1:50051")
}

/// Checks a certificate or key whose other half cannot be read, so that its own flaw is reported in the same round.
pub(super) fn check_half(
    table: &Table<'_>,
    (certificate_key, key_key): (&str, &str),
    halves: (Option<&[u8]>, Option<&SecretText>),
) {
    let checked = match halves {
        (Some(chain), None) => (certificate_key, certificate::chain(chain).map(drop)),
        (None, Some(key)) => (key_key, certificate::key(key.expose().as_bytes()).map(drop)),
        // A pair is checked as one.
        (Some(_), Some(_)) | (None, None) => return,
    };
    if let (key, Err(error)) = checked {
        table.mistake(key, error);
    }
}

/// The identity from both files; `None` for plaintext if neither is set.
fn tls(table: &mut Table<'_>) -> Option<TlsIdentity> {
    match (table.has("tls_cert_file"), table.has("tls_key_file")) {
        (true, false) => table.mistake("tls_key_file", "is required with tls_cert_file"),
        (false, true) => table.mistake("tls_cert_file", "is required with tls_key_file"),
        (true, true) | (false, false) => {}
    }
    let file = |key: &str| table.peek(key).map(PathBuf::from);
    let (chain_file, key_file) = (file("tls_cert_file"), file("tls_key_file"));
    let (chain, key) = (
        table.contents("tls_cert_file"),
        table.document("tls_key_file"),
    );
    check_half(
        table,
        ("tls_cert_file", "tls_key_file"),
        (chain.as_deref(), key.as_ref()),
    );
    Some(TlsIdentity {
        chain: chain?,
        key: key?,
        chain_file: chain_file?,
        key_file: key_file?,
    })
}

/// Reads the certificate and key of a listener again.
///
/// # Errors
/// What is wrong with one of the files, which it names.
pub fn reread(identity: &TlsIdentity, profile: Profile) -> Result<TlsIdentity, String> {
    let TlsIdentity {
        chain_file,
        key_file,
        ..
    } = identity;
    let chain = read_public(chain_file)
        .map_err(|error| format!("{} cannot be read: {error}", chain_file.display()))?;
    let key = read_document(key_file, profile).map_err(|error| error.to_string())?;
    Ok(TlsIdentity {
        chain,
        key,
        ..identity.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conf_04_addresses_that_meet_are_recognised() {
        for (one, other, meet) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("[::]:1", "127.0.0.1:1", true),
            ("[::]:1", "0.0.0.0:1", true),
            ("[::]:1", "[::1]:1", true),
            ("0.0.0.0:1", "[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1", true),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let address = |text: &str| text.parse().unwrap();
            assert_eq!(overlap(address(one), address(other)), meet, "{one} {other}");
        }
    }
}

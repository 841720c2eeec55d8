//! `[grpc]`, `[http]` and `[admin]`: where the service listens, and how much load it accepts.

use std::{net::SocketAddr, time::Duration};

use super::Table;
use crate::format::secret::SecretText;

/// The placeholder for an address that could not be read; no listener is ever bound to it.
const NOWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// A server's certificate chain and its private key, both in PEM form.
#[derive(Clone, Debug)]
pub struct TlsIdentity {
    /// The certificate chain, the server's own certificate first.
    pub chain: Vec<u8>,
    /// The private key of the first certificate.
    pub key: SecretText,
}

/// The listener for callers.
#[derive(Clone, Debug)]
pub struct GrpcSettings {
    /// The address and port to bind.
    pub listen: SocketAddr,
    /// The certificate and key for TLS; `None` for plaintext.
    pub tls: Option<TlsIdentity>,
    /// The deadline of a call that sends none.
    pub deadline_default: Duration,
    /// The longest deadline of a call; a longer one is shortened to it.
    pub deadline_max: Duration,
    /// The maximum number of concurrent streams in one connection.
    pub max_streams: u32,
    /// The maximum number of open connections.
    pub max_connections: usize,
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
        let listen = listen(&mut table);
        let asks_for_tls = table.has("tls_cert_file") || table.has("tls_key_file");
        let tls = tls(&mut table);
        let plaintext_allowed = table.switch("plaintext_allowed", false);
        if table.is_production()
            && !asks_for_tls
            && !listen.ip().is_loopback()
            && !plaintext_allowed
        {
            table.mistake(
                "listen",
                format!(
                    "is {listen} in plaintext; set tls_cert_file and tls_key_file, or plaintext_allowed behind a mesh that encrypts"
                ),
            );
        }
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
        let max_watches = table.small("max_watches", 10_000, &(1..=1_000_000));
        let max_watches_per_caller = table.small("max_watches_per_caller", 1000, &(1..=1_000_000));
        if max_watches_per_caller > max_watches {
            table.mistake(
                "max_watches_per_caller",
                "is more than max_watches; lower it or raise the other",
            );
        }
        let settings = Self {
            tls,
            deadline_default,
            deadline_max,
            max_streams: table.small("max_streams", 128, &(1..=10_000)),
            max_connections: table.small("max_connections", 10_000, &(1..=1_000_000)),
            max_in_flight,
            max_in_flight_per_caller: if share == 0 {
                max_in_flight.div_ceil(2)
            } else {
                share
            },
            max_watches,
            max_watches_per_caller,
            lame_duck: table.millis("lame_duck_ms", 5000, &(0..=60_000)),
            listen,
        };
        table.finish();
        settings
    }
}

/// The listener for pages and for the callbacks of providers.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The address and port to bind.
    pub listen: SocketAddr,
    /// The URL under which customers and providers reach it, without a slash at the end; `None` if they cannot.
    pub public_url: Option<String>,
}

impl HttpSettings {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let is_production = table.is_production();
        let public_url = table.parsed_if_any("public_url", |text| public_url(text, is_production));
        let listen = only_listen(table);
        Self { listen, public_url }
    }
}

/// Parses `https://otp.bank.example`, optionally with a path; in development also `http://`.
fn public_url(text: &str, is_production: bool) -> Result<String, &'static str> {
    let plain = text.strip_prefix("http://").filter(|_| !is_production);
    let rest = text
        .strip_prefix("https://")
        .or(plain)
        .ok_or("must begin with https://")?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]".contains(c);
    if rest.is_empty() || rest.starts_with(['/', ':']) || !rest.chars().all(is_plain) {
        return Err("must be a host and perhaps a path, such as https://otp.bank.example");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The listener for operators: metrics and health.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// The address and port to bind.
    pub listen: SocketAddr,
}

impl AdminSettings {
    pub(super) fn read(table: Table<'_>) -> Self {
        Self {
            listen: only_listen(table),
        }
    }
}

fn only_listen(mut table: Table<'_>) -> SocketAddr {
    let listen = listen(&mut table);
    table.finish();
    listen
}

fn listen(table: &mut Table<'_>) -> SocketAddr {
    let Some(listen) = table.parsed("listen", socket_address) else {
        return NOWHERE.into();
    };
    if !table.is_production() && !listen.ip().is_loopback() {
        let what = format!(
            "is {listen}; the development profile listens on loopback only, such as 127.0.0.1:{}",
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

/// The identity from both files; `None` for plaintext if neither is set.
fn tls(table: &mut Table<'_>) -> Option<TlsIdentity> {
    match (table.has("tls_cert_file"), table.has("tls_key_file")) {
        (true, false) => table.mistake("tls_key_file", "is required with tls_cert_file"),
        (false, true) => table.mistake("tls_cert_file", "is required with tls_key_file"),
        (true, true) | (false, false) => {}
    }
    let (chain, key) = (
        table.contents("tls_cert_file"),
        table.document("tls_key_file"),
    );
    Some(TlsIdentity {
        chain: chain?,
        key: key?,
    })
}

//! `[grpc]`, `[http]` and `[admin]`: where the service listens, and how much it takes.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{Profile, Table};

/// A certificate chain and its key, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The chain.
    pub cert_file: PathBuf,
    /// The key.
    pub key_file: PathBuf,
}

/// The callers' listener.
#[derive(Clone, Debug)]
pub struct GrpcSettings {
    /// Where.
    pub listen: SocketAddr,
    /// Encrypted with this, or not at all.
    pub tls: Option<TlsFiles>,
    /// The deadline of a call that brings none.
    pub deadline_default: Duration,
    /// The longest deadline.
    pub deadline_max: Duration,
    /// Streams of one connection.
    pub max_streams: u32,
    /// Connections.
    pub max_connections: usize,
    /// Calls in flight over all connections.
    pub max_in_flight: usize,
    /// Watch streams of one caller.
    pub max_watches_per_caller: usize,
    /// How long calls are still taken after SIGTERM, while the process already says that it is not ready.
    pub lame_duck: Duration,
}

impl GrpcSettings {
    pub(super) fn read(mut table: Table<'_>, profile: Profile) -> Option<Self> {
        let listen = listen(&mut table, profile);
        let tls = tls(&mut table);
        let plaintext_allowed = table.switch("plaintext_allowed", false);
        if let Some(listen) = listen
            && profile == Profile::Production
            && tls.is_none()
            && !listen.ip().is_loopback()
            && !plaintext_allowed
        {
            table.mistake(
                "listen",
                "is open and not encrypted: set tls_cert_file and tls_key_file, or plaintext_allowed behind a mesh that encrypts",
            );
        }
        let deadline_default = table.millis("deadline_default_ms", 5000, &(1..=600_000));
        let deadline_max = table.millis("deadline_max_ms", 30_000, &(1..=600_000));
        if deadline_default > deadline_max {
            table.mistake("deadline_default_ms", "is longer than deadline_max_ms");
        }
        let settings = Self {
            tls,
            deadline_default,
            deadline_max,
            max_streams: table.small("max_streams", 128, &(1..=10_000)),
            max_connections: table.small("max_connections", 10_000, &(1..=1_000_000)),
            max_in_flight: table.small("max_in_flight", 4096, &(1..=1_000_000)),
            max_watches_per_caller: table.small("max_watches_per_caller", 1000, &(1..=1_000_000)),
            lame_duck: table.millis("lame_duck_ms", 5000, &(0..=60_000)),
            listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
        };
        table.finish();
        listen.map(|_| settings)
    }
}

/// The listener for pages.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Where.
    pub listen: SocketAddr,
    /// The address under which customers and providers reach it, without a slash at its end.
    pub public_url: Option<String>,
}

impl HttpSettings {
    pub(super) fn read(mut table: Table<'_>, profile: Profile) -> Option<Self> {
        let public_url = table.text("public_url").and_then(|text| {
            let fits = public_url(&text, profile);
            fits.map_err(|what| table.mistake("public_url", what)).ok()
        });
        only_listen(table, profile).map(|listen| Self { listen, public_url })
    }
}

/// `https://otp.bank.example`, perhaps with a path; in development also over plain HTTP on loopback.
fn public_url(text: &str, profile: Profile) -> Result<String, &'static str> {
    let plain = text
        .strip_prefix("http://")
        .filter(|_| profile == Profile::Development);
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

/// The operators' listener.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// Where.
    pub listen: SocketAddr,
}

impl AdminSettings {
    pub(super) fn read(table: Table<'_>, profile: Profile) -> Option<Self> {
        only_listen(table, profile).map(|listen| Self { listen })
    }
}

fn only_listen(mut table: Table<'_>, profile: Profile) -> Option<SocketAddr> {
    let listen = listen(&mut table, profile);
    table.finish();
    listen
}

fn listen(table: &mut Table<'_>, profile: Profile) -> Option<SocketAddr> {
    let parse = |text: &str| {
        text.parse::<SocketAddr>()
            .map_err(|_| "must be an address and a port, such as 127.0.0.1:50051")
    };
    let listen = table.parsed("listen", parse)?;
    if profile == Profile::Development && !listen.ip().is_loopback() {
        table.mistake(
            "listen",
            "must be a loopback address in the development profile",
        );
    }
    Some(listen)
}

fn tls(table: &mut Table<'_>) -> Option<TlsFiles> {
    match (table.text("tls_cert_file"), table.text("tls_key_file")) {
        (Some(cert), Some(key)) => Some(TlsFiles {
            cert_file: cert.into(),
            key_file: key.into(),
        }),
        (None, None) => None,
        (Some(_), None) => {
            table.mistake("tls_key_file", "is required with tls_cert_file");
            None
        }
        (None, Some(_)) => {
            table.mistake("tls_cert_file", "is required with tls_key_file");
            None
        }
    }
}

//! The connection of the commands that are clients of the service: its address, the API key, and TLS.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Args;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri},
};

use crate::format::secret::SecretText;

/// The largest key file that is read, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 4096;

/// Where the service is, and how the command proves itself to it.
#[derive(Args)]
pub(super) struct ClientArguments {
    /// The service's gRPC listener: http://HOST:PORT, or https://HOST:PORT if it has TLS.
    #[arg(
        long,
        env = "COUNTERSIGN_ADDRESS",
        default_value = "http://127.0.0.1:50051"
    )]
    address: String,
    /// File with the API key of a caller, alone or as `countersign keys api-key` prints it. The default is the key of
    /// the development profile.
    #[arg(
        long,
        env = "COUNTERSIGN_KEY_FILE",
        default_value = "countersign-data/development.key"
    )]
    key_file: PathBuf,
    /// PEM file of the certificate authorities to trust instead of the system's; for https only.
    #[arg(long, env = "COUNTERSIGN_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// Send the API key in plaintext to another machine. Only where a service mesh or sidecar encrypts.
    #[arg(long)]
    plaintext_allowed: bool,
    /// Seconds to wait for the answer.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout_s: u64,
}

/// A connection to the service, with the API key.
pub(super) struct Client {
    address: String,
    channel: Channel,
    authorization: MetadataValue<Ascii>,
    timeout: Duration,
}

impl ClientArguments {
    /// Checks the arguments and reads the files that they name; connects to nothing yet.
    ///
    /// # Errors
    /// Names the argument that cannot be used.
    pub(super) fn endpoint(&self) -> anyhow::Result<(Endpoint, MetadataValue<Ascii>)> {
        let uri: Uri = self
            .address
            .parse()
            .with_context(|| format!("--address {}: not a URL", self.address))?;
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
            bail!(
                "--address {}: must be http://HOST:PORT or https://HOST:PORT",
                self.address
            );
        };
        let timeout = Duration::from_secs(self.timeout_s);
        let endpoint = Endpoint::from(uri.clone()).connect_timeout(timeout);
        let endpoint = match scheme {
            "https" => endpoint
                .tls_config(self.tls()?)
                .context("--ca-file cannot be used")?,
            "http" if is_loopback(host) || self.plaintext_allowed => {
                if self.ca_file.is_some() {
                    bail!("--ca-file is for https only; --address is {}", self.address);
                }
                endpoint
            }
            "http" => bail!(
                "--address {}: the API key would be readable on the network; use https://, or --plaintext-allowed behind a mesh that encrypts",
                self.address
            ),
            _ => bail!(
                "--address {}: must begin with http:// or https://",
                self.address
            ),
        };
        let mut authorization: MetadataValue<Ascii> =
            format!("Bearer {}", key(&self.key_file)?.expose())
                .parse()
                .with_context(|| {
                    format!("--key-file {}: not an API key", self.key_file.display())
                })?;
        authorization.set_sensitive(true);
        Ok((endpoint, authorization))
    }

    /// Connects to the service.
    ///
    /// # Errors
    /// The service cannot be reached.
    pub(super) async fn connect(
        &self,
        endpoint: &Endpoint,
        authorization: MetadataValue<Ascii>,
    ) -> anyhow::Result<Client> {
        let channel = endpoint
            .connect()
            .await
            .with_context(|| format!("cannot reach the service at {}", self.address))?;
        Ok(Client {
            address: self.address.clone(),
            channel,
            authorization,
            timeout: Duration::from_secs(self.timeout_s),
        })
    }

    /// Trusts the authorities of `--ca-file`, else those of the system.
    fn tls(&self) -> anyhow::Result<ClientTlsConfig> {
        let authorities = match &self.ca_file {
            Some(path) => vec![
                std::fs::read_to_string(path)
                    .with_context(|| format!("--ca-file {} cannot be read", path.display()))?,
            ],
            None => rustls_native_certs::load_native_certs()
                .certs
                .iter()
                .map(|certificate| pem(certificate))
                .collect(),
        };
        Ok(ClientTlsConfig::new()
            .ca_certificates(authorities.into_iter().map(Certificate::from_pem)))
    }
}

impl Client {
    /// The connection, for a generated client.
    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A request with the API key and the deadline.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        request
            .metadata_mut()
            .insert("authorization", self.authorization.clone());
        request
    }

    /// What a failed call means to the person at the terminal.
    pub(super) fn failed(&self, status: &Status) -> anyhow::Error {
        let (address, message) = (&self.address, status.message());
        match status.code() {
            Code::Unimplemented => {
                anyhow::anyhow!("the service at {address} is of a version without this call")
            }
            Code::Unavailable | Code::DeadlineExceeded => {
                anyhow::anyhow!("no answer from {address}: {message}")
            }
            _ => anyhow::anyhow!("{message}"),
        }
    }
}

/// Whether the host is this machine, so that plaintext does not leave it.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The API key in a file: its only line, or the one that `countersign keys api-key` prints for the caller.
fn key(path: &Path) -> anyhow::Result<SecretText> {
    let read = || {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() || metadata.len() > KEY_FILE_BYTES_MAX {
            return Err(std::io::Error::other("it is not a file with a key"));
        }
        std::fs::read_to_string(path)
    };
    let text = read().with_context(|| format!("--key-file {} cannot be read", path.display()))?;
    let printed = text
        .lines()
        .find(|line| line.starts_with("key "))
        .and_then(|line| line.rsplit(':').next());
    let key = printed.unwrap_or(&text).trim();
    if key.is_empty() || key.contains(char::is_whitespace) {
        bail!("--key-file {}: must contain one API key", path.display());
    }
    Ok(SecretText::new(key.to_owned()))
}

fn pem(der: &[u8]) -> String {
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        BASE64_STANDARD.encode(der)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(address: &str, key: &str) -> (ClientArguments, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let key_file = dir.path().join("key");
        std::fs::write(&key_file, key).unwrap();
        let arguments = ClientArguments {
            address: address.to_owned(),
            key_file,
            ca_file: None,
            plaintext_allowed: false,
            timeout_s: 10,
        };
        (arguments, dir)
    }

    #[test]
    fn plaintext_leaves_this_machine_only_by_request() {
        for (address, is_fine) in [
            ("http://127.0.0.1:50051", true),
            ("http://[::1]:50051", true),
            ("http://localhost:50051", true),
            ("http://otp.bank.example:50051", false),
            ("http://10.0.0.1:50051", false),
            ("ftp://127.0.0.1:50051", false),
            ("127.0.0.1:50051", false),
            ("", false),
        ] {
            let (mut arguments, _dir) = arguments(address, "secret");
            assert_eq!(arguments.endpoint().is_ok(), is_fine, "{address}");
            arguments.plaintext_allowed = true;
            let is_http = address.starts_with("http:");
            assert_eq!(arguments.endpoint().is_ok(), is_http, "{address}");
        }
    }

    #[test]
    fn a_key_file_holds_the_key_alone_or_what_the_command_printed() {
        let printed =
            "key (for the caller, shown once):    abc\napi_key_sha256 (for the settings):   00ff\n";
        for (text, expected) in [
            ("abc", "Bearer abc"),
            (" abc\n", "Bearer abc"),
            (printed, "Bearer abc"),
        ] {
            let (arguments, _dir) = arguments("http://127.0.0.1:1", text);
            assert_eq!(arguments.endpoint().unwrap().1, expected, "{text:?}");
        }
        for text in ["", "\n", "two keys"] {
            let (arguments, _dir) = arguments("http://127.0.0.1:1", text);
            let error = arguments.endpoint().unwrap_err().to_string();
            assert!(error.starts_with("--key-file"), "{error}");
        }
    }
}

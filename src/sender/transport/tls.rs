//! TLS to servers that do not speak HTTP.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::sender::settings::SettingError;

/// Encrypts connections to one server, whose certificate must carry the server's name.
pub(in crate::sender) struct Tls {
    connector: TlsConnector,
    server: ServerName<'static>,
}

impl Tls {
    /// TLS 1.2 or later, trusting the system's certificate authorities and those of `ca_file`.
    /// Reads files, so it blocks.
    pub(in crate::sender) fn new(host: &str, ca: Option<&Path>) -> Result<Self, SettingError> {
        let server = ServerName::try_from(host.to_owned()).map_err(|_| {
            SettingError::new(
                "host",
                format!(
                    "is {host:?}, which no certificate can name; use a host name or IP address"
                ),
            )
        })?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca {
            let (added, _) = roots.add_parsable_certificates(certificates(path)?);
            if added == 0 {
                return Err(no_certificates(path));
            }
        }
        if roots.is_empty() {
            return Err(SettingError::new(
                "ca_file",
                "is required, because the system has no certificate authorities",
            ));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("the provider has the cipher suites of both versions");
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            server,
        })
    }

    /// Performs the TLS handshake over a stream.
    pub(in crate::sender) async fn encrypt<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        self.connector.connect(self.server.clone(), stream).await
    }
}

/// Whether the handshake failed because one side refused the other. A connection that broke during it may work later.
pub(in crate::sender) fn is_refusal(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>())
}

/// Reads the file of the setting `ca_file`.
pub(super) fn ca_file(path: &Path) -> Result<Vec<u8>, SettingError> {
    let read = std::fs::metadata(path).and_then(|metadata| {
        if metadata.is_file() {
            std::fs::read(path)
        } else {
            // Reading a pipe could wait for ever.
            Err(io::Error::other("it is not a regular file"))
        }
    });
    read.map_err(|error| {
        SettingError::new(
            "ca_file",
            format!("{} cannot be read: {error}", path.display()),
        )
    })
}

/// The error for a `ca_file` without certificates.
pub(super) fn no_certificates(path: &Path) -> SettingError {
    SettingError::new(
        "ca_file",
        format!("{} holds no certificates in PEM form", path.display()),
    )
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SettingError> {
    let pem = ca_file(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    certificates.map_err(|_| no_certificates(path))
}

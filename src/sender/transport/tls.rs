//! TLS towards servers that are not spoken to over HTTP.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate authorities cannot be read.
    #[error("ca_file {} cannot be read: {source}", path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The certificate authorities cannot be used.
    #[error("ca_file {} holds no certificates in PEM form", path.display())]
    Certificates {
        /// Which file.
        path: PathBuf,
    },
    /// No server could ever be trusted.
    #[error("the system has no certificate authorities; install them, or set ca_file")]
    NoAuthorities,
    /// No certificate could ever carry it.
    #[error("host {host} is no name or address that a certificate can carry")]
    Host {
        /// The host.
        host: String,
    },
}

/// Encrypts connections to one server, whose certificate must carry its name.
pub(in crate::sender) struct Tls {
    connector: TlsConnector,
    server: ServerName<'static>,
}

impl Tls {
    /// TLS 1.2 or later, with the system's certificate authorities and those of `ca_file`. Reads files, so it blocks.
    pub(in crate::sender) fn new(host: &str, ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let server = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Host {
            host: host.to_owned(),
        })?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca_file {
            let added = roots.add_parsable_certificates(certificates(path)?);
            if added.0 == 0 {
                return Err(TlsError::Certificates {
                    path: path.to_owned(),
                });
            }
        }
        if roots.is_empty() {
            return Err(TlsError::NoAuthorities);
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

    /// Shakes hands.
    pub(in crate::sender) async fn encrypt<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        self.connector.connect(self.server.clone(), stream).await
    }
}

/// Did the handshake fail because one side refused the other? A connection that broke in it may come about later.
pub(in crate::sender) fn is_refusal(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = std::fs::read(path).map_err(|source| TlsError::CaFile {
        path: path.to_owned(),
        source,
    })?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    certificates.map_err(|_| TlsError::Certificates {
        path: path.to_owned(),
    })
}

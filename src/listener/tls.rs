//! TLS for the connections of a listener, with a certificate and key in PEM form that can be replaced while it serves.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs as cryptography,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use crate::format::secret::SecretText;

/// A server's certificate chain and its private key, both in PEM form, and the files that they come from.
#[derive(Clone, Debug)]
pub struct TlsIdentity {
    /// The certificate chain, the server's own certificate first.
    pub chain: Vec<u8>,
    /// The private key of the first certificate.
    pub key: SecretText,
    /// The file of the certificate chain.
    pub chain_file: PathBuf,
    /// The file of the private key.
    pub key_file: PathBuf,
}

/// Why the certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file is not PEM, or contains no certificate.
    #[error("the file holds no usable certificate: {0}")]
    Certificate(String),
    /// The key file is not PEM, or contains no private key.
    #[error("the file holds no usable private key: {0}")]
    Key(rustls::pki_types::pem::Error),
    /// Certificate and key do not belong together, or the key cannot sign.
    #[error("the key and the certificate of tls_cert_file cannot be used together: {0}")]
    Pair(#[from] rustls::Error),
}

impl TlsError {
    /// The key in the listener's section of the settings whose file must be corrected.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "tls_cert_file",
            Self::Key(_) | Self::Pair(_) => "tls_key_file",
        }
    }
}

/// The encryption of a listener. Clones share the certificate.
#[derive(Clone)]
pub struct Encryption {
    certificate: Arc<Certificate>,
    acceptor: TlsAcceptor,
}

impl Encryption {
    /// Encrypts with TLS 1.2 or newer, and offers HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// [`TlsError`] if the certificate or the key cannot be used.
    pub fn new(identity: &TlsIdentity) -> Result<Self, TlsError> {
        let certificate = Arc::new(Certificate(ArcSwap::from_pointee(certified(identity)?)));
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(cryptography::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_cert_resolver(certificate.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            certificate,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// Uses another certificate and key for new connections.
    ///
    /// # Errors
    /// [`TlsError`] if they cannot be used; then the previous ones stay in use.
    pub fn renew(&self, identity: &TlsIdentity) -> Result<(), TlsError> {
        self.certificate.0.store(Arc::new(certified(identity)?));
        Ok(())
    }

    /// The acceptor of connections.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }
}

/// The certificate in use, with its key.
#[derive(Debug)]
struct Certificate(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn certified(identity: &TlsIdentity) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_slice_iter(&identity.chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Certificate(error.to_string()))?;
    if chain.is_empty() {
        let what = "no CERTIFICATE section".to_owned();
        return Err(TlsError::Certificate(what));
    }
    let key =
        PrivateKeyDer::from_pem_slice(identity.key.expose().as_bytes()).map_err(TlsError::Key)?;
    Ok(CertifiedKey::from_der(
        chain,
        key,
        &cryptography::default_provider(),
    )?)
}

//! TLS for the connections of a listener, with a certificate and key in PEM form that can be replaced while it serves.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs as cryptography,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use crate::format::{
    certificate::{self, CertificateError},
    secret::SecretText,
};

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
    /// [`CertificateError`] if the certificate or the key cannot be used.
    pub fn new(identity: &TlsIdentity) -> Result<Self, CertificateError> {
        let certificate = Arc::new(Certificate(ArcSwap::from_pointee(certified(identity)?)));
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(cryptography::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| CertificateError::Pair(error.to_string()))?
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
    /// [`CertificateError`] if they cannot be used; then the previous ones stay in use.
    pub fn renew(&self, identity: &TlsIdentity) -> Result<(), CertificateError> {
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

fn certified(identity: &TlsIdentity) -> Result<CertifiedKey, CertificateError> {
    let key = identity.key.expose().as_bytes();
    let (chain, key) = certificate::identity(&identity.chain, key)?;
    CertifiedKey::from_der(chain, key, &cryptography::default_provider())
        .map_err(|error| CertificateError::Pair(error.to_string()))
}

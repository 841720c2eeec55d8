//! TLS for the callers' connections, with a certificate and key in PEM form.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

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
    /// The key in `[grpc]` of the settings whose file must be corrected.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "tls_cert_file",
            Self::Key(_) | Self::Pair(_) => "tls_key_file",
        }
    }
}

/// Makes an acceptor that encrypts connections with TLS 1.2 or newer, and offers only HTTP/2.
///
/// # Errors
/// [`TlsError`] if the certificate or the key cannot be used.
pub fn acceptor(certificates: &[u8], key: &[u8]) -> Result<TlsAcceptor, TlsError> {
    let chain = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Certificate(error.to_string()))?;
    if chain.is_empty() {
        let what = "no CERTIFICATE section".to_owned();
        return Err(TlsError::Certificate(what));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

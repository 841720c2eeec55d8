//! TLS for the callers' connections, with a certificate and key in PEM form.

use std::sync::Arc;

use rustls::{ServerConfig, crypto::aws_lc_rs};
use tokio_rustls::TlsAcceptor;

use crate::format::certificate::{CertificateError, identity};

/// Makes an acceptor that encrypts connections with TLS 1.2 or newer, and offers only HTTP/2.
///
/// # Errors
/// [`CertificateError`] if the certificate or the key cannot be used.
pub fn acceptor(certificates: &[u8], key: &[u8]) -> Result<TlsAcceptor, CertificateError> {
    let (chain, key) = identity(certificates, key)?;
    let unusable = |error: rustls::Error| CertificateError::Pair(error.to_string());
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

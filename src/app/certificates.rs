//! The certificates of the listeners, which are read again on SIGHUP.

use std::sync::Arc;

use anyhow::anyhow;
use tokio_rustls::TlsAcceptor;

use crate::{
    config::{self, Profile, Settings},
    format::certificate::CertificateError,
    listener::{
        ListenerSettings,
        tls::{Encryption, TlsIdentity},
    },
};

/// The certificates of the listeners that use TLS.
#[derive(Clone)]
pub struct Certificates {
    all: Arc<[Encrypted]>,
    profile: Profile,
}

struct Encrypted {
    /// The section of the listener in the settings.
    listener: &'static str,
    identity: TlsIdentity,
    encryption: Encryption,
}

/// The sections of the listeners, each with what it says of connections.
pub(super) fn sections(settings: &Settings) -> [(&'static str, &ListenerSettings); 3] {
    [
        ("grpc", &settings.grpc.listener),
        ("http", &settings.http.listener),
        ("admin", &settings.admin.listener),
    ]
}

/// The key in a listener's section whose file must be corrected.
const fn setting(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Certificate(_) => "tls_cert_file",
        CertificateError::Key(_) | CertificateError::Pair(_) => "tls_key_file",
    }
}

impl Certificates {
    /// # Errors
    /// A certificate or key cannot be used; names its setting.
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for (listener, section) in sections(settings) {
            let Some(identity) = section.tls.clone() else {
                continue;
            };
            let encryption = Encryption::new(&identity)
                .map_err(|error| anyhow!("{listener}.{}: {error}", setting(&error)))?;
            all.push(Encrypted {
                listener,
                identity,
                encryption,
            });
        }
        Ok(Self {
            all: all.into(),
            profile: settings.profile,
        })
    }

    /// The acceptor of a listener; `None` if it is in plaintext.
    pub(super) fn acceptor(&self, listener: &str) -> Option<TlsAcceptor> {
        let of = self.all.iter().find(|one| one.listener == listener)?;
        Some(of.encryption.acceptor())
    }

    /// Reads all certificate and key files again; new connections use them. If one cannot be used, that listener keeps
    /// what it has, and a log line says so. False if no listener uses TLS.
    pub fn reload(&self) -> bool {
        for one in &*self.all {
            let listener = one.listener;
            let renewed = config::reread(&one.identity, self.profile).and_then(|identity| {
                one.encryption
                    .renew(&identity)
                    .map_err(|error| format!("{}: {error}", setting(&error)))
            });
            match renewed {
                Ok(()) => tracing::info!(listener, "certificate read again"),
                Err(error) => {
                    tracing::error!(
                        listener,
                        error,
                        "certificate not read again; the old one stays"
                    );
                }
            }
        }
        !self.all.is_empty()
    }
}

//! A process of the operator's own that is called over gRPC: where it is, and how it knows us.

use std::{path::PathBuf, sync::OnceLock, time::Duration};

use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel as Connection, ClientTlsConfig, Endpoint},
};

use super::http::{again, next_sender, unfit, unknown};
use crate::{
    domain::recipient::Channel, format::secret::SecretText, pb::v1, ports::sender::SendError,
};

/// Where the process is, and how it knows us.
#[derive(Clone, Debug)]
pub struct PeerSettings {
    /// `http://127.0.0.1:PORT` or `unix:PATH` on this machine, `https://HOST:PORT` elsewhere.
    pub address: String,
    /// Sent as `authorization: Bearer TOKEN`.
    pub token: Option<SecretText>,
    /// PEM file of the certificate authorities that vouch for it; `https` needs it.
    pub ca_file: Option<PathBuf>,
    /// Deadline of one call.
    pub timeout: Duration,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The address has another form, or would send what is asked in the clear.
    #[error("address must be http:// on loopback, unix:PATH, or https:// with ca_file")]
    Address,
    /// The certificate authorities cannot be read.
    #[error("ca_file {} cannot be read: {source}", path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up with ca_file")]
    Tls,
    /// The token does not fit into a header.
    #[error("the token holds characters that a header cannot carry")]
    Token,
}

/// The process.
pub(in crate::sender) struct Peer {
    endpoint: Endpoint,
    /// Made at the first call: it needs a runtime, and settings are also checked without one.
    connection: OnceLock<Connection>,
    authorization: Option<MetadataValue<Ascii>>,
    timeout: Duration,
}

impl Peer {
    /// Reads `ca_file`, so it blocks; connects only when there is something to say.
    pub(in crate::sender) fn new(settings: &PeerSettings) -> Result<Self, PeerError> {
        let endpoint = endpoint(settings)?.connect_timeout(settings.timeout);
        let bearer = |token: &SecretText| {
            let mut value = MetadataValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|_| PeerError::Token)?;
            value.set_sensitive(true);
            Ok::<_, PeerError>(value)
        };
        let authorization = settings.token.as_ref().map(bearer).transpose()?;
        Ok(Self {
            endpoint,
            connection: OnceLock::new(),
            authorization,
            timeout: settings.timeout,
        })
    }

    pub(in crate::sender) fn connection(&self) -> Connection {
        self.connection
            .get_or_init(|| self.endpoint.connect_lazy())
            .clone()
    }

    /// The call with our token. The process can stop, too, once nobody waits any more.
    pub(in crate::sender) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        if let Some(authorization) = &self.authorization {
            request
                .metadata_mut()
                .insert("authorization", authorization.clone());
        }
        request
    }

    /// The answer, if it comes in time.
    pub(in crate::sender) async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>> + Send,
    ) -> Result<T, SendError> {
        let answer = tokio::time::timeout(self.timeout, call).await;
        answer
            .map_err(|_| unknown("timeout"))?
            .map(Response::into_inner)
            .map_err(|status| failure(&status))
    }
}

fn endpoint(settings: &PeerSettings) -> Result<Endpoint, PeerError> {
    let is_local = settings.address.starts_with("unix:")
        || ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"]
            .iter()
            .any(|begin| settings.address.starts_with(begin));
    // A user part would hide the host that is called.
    if settings.address.contains('@') {
        return Err(PeerError::Address);
    }
    let endpoint =
        Endpoint::from_shared(settings.address.clone()).map_err(|_| PeerError::Address)?;
    match (&settings.ca_file, is_local) {
        (None, true) => Ok(endpoint),
        (Some(path), false) if settings.address.starts_with("https://") => {
            let pem = match std::fs::read(path) {
                Ok(pem) => pem,
                Err(source) => {
                    return Err(PeerError::CaFile {
                        path: path.clone(),
                        source,
                    });
                }
            };
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
            endpoint.tls_config(tls).map_err(|_| PeerError::Tls)
        }
        (Some(_) | None, _) => Err(PeerError::Address),
    }
}

/// What to do after a call without an answer. The words of the process stay here: they may hold the address.
fn failure(status: &Status) -> SendError {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => next_sender("login_refused"),
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange => unfit("sender_refused"),
        Code::Unimplemented | Code::DataLoss => next_sender("sender_refused"),
        Code::ResourceExhausted | Code::Aborted => again("busy", None),
        // The library calls its own timer a cancellation.
        Code::DeadlineExceeded | Code::Cancelled => unknown("timeout"),
        Code::Ok | Code::Unknown | Code::Internal | Code::Unavailable => again("unreachable", None),
    }
}

/// A channel, as the protos call it.
pub(in crate::sender) fn channel(channel: Channel) -> v1::Channel {
    match channel {
        Channel::Sms => v1::Channel::Sms,
        Channel::Email => v1::Channel::Email,
        Channel::Voice => v1::Channel::Voice,
        Channel::Whatsapp => v1::Channel::Whatsapp,
        Channel::Push => v1::Channel::Push,
    }
}

//! An operator's own process that is called over gRPC: its address, and the token that
//! authenticates this service.

use std::{path::PathBuf, sync::OnceLock, time::Duration};

use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel as Connection, ClientTlsConfig, Endpoint},
};

use super::{
    http::{again, later, login_refused, next_sender, unfit, unknown},
    tls::ca_file,
};
use crate::{
    domain::{delivery::reason::Reason, recipient::Channel},
    format::secret::SecretText,
    pb::v1,
    ports::sender::SendError,
    sender::settings::{SettingError, distinct},
};

const ADDRESS_FORMS: &str =
    "use http://127.0.0.1:PORT, unix:PATH, or https://HOST:PORT with ca_file";

/// The address of the process, and the credentials for it.
#[derive(Clone, Debug)]
pub struct PeerSettings {
    /// `http://127.0.0.1:PORT` or `unix:PATH` on this machine, `https://HOST:PORT` elsewhere.
    pub address: String,
    /// The token, sent as `authorization: Bearer TOKEN`; `None` sends none.
    pub token: Option<SecretText>,
    /// PEM file of the certificate authorities that sign its certificate; required with `https`.
    pub ca_file: Option<PathBuf>,
    /// Time limit of one call.
    pub timeout: Duration,
}

impl PeerSettings {
    /// All settings that cannot be used. Reads `ca_file`, so it blocks.
    pub(in crate::sender) fn problems(&self) -> Vec<SettingError> {
        let token = self.token.as_ref().map(bearer);
        distinct([
            endpoint(self).err(),
            token.and_then(Result::err),
            self.ca_file.as_deref().and_then(|file| ca_file(file).err()),
        ])
    }
}

/// A client of the process, with the token.
pub(in crate::sender) struct Peer {
    endpoint: Endpoint,
    /// Made at the first call: it needs an async runtime, and settings are also checked without one.
    connection: OnceLock<Connection>,
    authorization: Option<MetadataValue<Ascii>>,
    timeout: Duration,
}

impl Peer {
    /// A client with these settings. Reads `ca_file`, so it blocks; connects at the first call.
    pub(in crate::sender) fn new(settings: &PeerSettings) -> Result<Self, SettingError> {
        let endpoint = endpoint(settings)?.connect_timeout(settings.timeout);
        Ok(Self {
            endpoint,
            connection: OnceLock::new(),
            authorization: settings.token.as_ref().map(bearer).transpose()?,
            timeout: settings.timeout,
        })
    }

    pub(in crate::sender) fn connection(&self) -> Connection {
        self.connection
            .get_or_init(|| self.endpoint.connect_lazy())
            .clone()
    }

    /// The request with the token and the time limit, so that the process can stop when
    /// the time is over.
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

    /// The response, if it arrives within the time limit.
    pub(in crate::sender) async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>> + Send,
    ) -> Result<T, SendError> {
        let answer = tokio::time::timeout(self.timeout, call).await;
        answer
            .map_err(|_| unknown(Reason::Timeout))?
            .map(Response::into_inner)
            .map_err(|status| failure(&status))
    }
}

fn bearer(token: &SecretText) -> Result<MetadataValue<Ascii>, SettingError> {
    let mut value =
        MetadataValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| {
            SettingError::new("token_file", "holds characters that a header cannot carry")
        })?;
    value.set_sensitive(true);
    Ok(value)
}

fn endpoint(settings: &PeerSettings) -> Result<Endpoint, SettingError> {
    let address = settings.address.as_str();
    let is_local = address.starts_with("unix:")
        || ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"]
            .iter()
            .any(|begin| address.starts_with(begin));
    let wrong = |problem: &str| {
        SettingError::new("address", format!("{address:?} {problem}; {ADDRESS_FORMS}"))
    };
    let endpoint = Endpoint::from_shared(settings.address.clone())
        .ok()
        // A user name before the `@` could be mistaken for the host.
        .filter(|_| !address.contains('@'))
        .ok_or_else(|| wrong("is not an address that can be called"))?;
    match &settings.ca_file {
        None if is_local => Ok(endpoint),
        None => Err(wrong("is not on this machine, and ca_file is not set")),
        Some(_) if !address.starts_with("https://") => {
            Err(wrong("is not https://, and ca_file is set"))
        }
        Some(path) => {
            let certificate = Certificate::from_pem(ca_file(path)?);
            let tls = ClientTlsConfig::new().ca_certificate(certificate);
            endpoint.tls_config(tls).map_err(|_| {
                let what = format!("{} cannot be used for TLS", path.display());
                SettingError::new("ca_file", what)
            })
        }
    }
}

/// What to do after a call that failed. The texts of the process may contain the recipient, so they are dropped here.
fn failure(status: &Status) -> SendError {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => login_refused(),
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange => unfit(Reason::SenderRefused),
        Code::Unimplemented | Code::DataLoss => next_sender(Reason::SenderRefused),
        Code::ResourceExhausted | Code::Aborted => later(Reason::Busy, None),
        // tonic reports its own time limit as a cancellation.
        Code::DeadlineExceeded | Code::Cancelled => unknown(Reason::Timeout),
        Code::Ok | Code::Unknown | Code::Internal | Code::Unavailable => {
            again(Reason::Unreachable, None)
        }
    }
}

/// The channel in the form of the protos.
pub(in crate::sender) fn channel(channel: Channel) -> v1::Channel {
    match channel {
        Channel::Sms => v1::Channel::Sms,
        Channel::Email => v1::Channel::Email,
        Channel::Voice => v1::Channel::Voice,
        Channel::Whatsapp => v1::Channel::Whatsapp,
        Channel::Push => v1::Channel::Push,
    }
}

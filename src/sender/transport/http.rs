//! Calls to providers over HTTP: to judged addresses only, bounded in time and size, without redirects.

mod address;
mod resolve;
mod target;

use std::{error::Error, path::PathBuf, time::Duration};

use reqwest::{
    Certificate, Client, ClientBuilder, Method, Response, StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
    redirect::Policy,
    tls::Version,
};

pub(in crate::sender) use self::target::host_and_port;
pub use self::target::{Refused, Targets};
use self::{address::is_public, resolve::Resolver};
use crate::ports::sender::SendError;

/// The usual deadline of one call, from the name to the last byte of the reply.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Largest reply that is read.
const REPLY_BYTES_MAX: usize = 64 * 1024;
/// How long to wait before the same provider is tried again, unless it says so itself.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Longest wait that a provider may ask for: a code does not live much longer.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(60);

/// Where calls may go, and how long they may take.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which hosts and ports.
    pub targets: Targets,
    /// PEM file of certificate authorities to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Deadline of one call.
    pub timeout: Duration,
}

/// Why no calls can be made with the settings.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// The address must not be called.
    #[error("url {0}")]
    Url(#[from] Refused),
    /// The list of hosts cannot be used.
    #[error("{0}")]
    Hosts(Refused),
    /// The certificate authorities cannot be read.
    #[error("ca_file {} cannot be read: {source}", path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The certificate authorities cannot be used.
    #[error("ca_file {} holds no certificates in PEM form", path.display())]
    Certificates {
        /// Which file.
        path: PathBuf,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls,
}

/// One call. It holds the message, so it has no `Debug`.
pub(in crate::sender) struct Call {
    pub(in crate::sender) method: Method,
    pub(in crate::sender) url: String,
    pub(in crate::sender) headers: HeaderMap,
    pub(in crate::sender) body: Vec<u8>,
}

/// What came back. It may repeat the message, so it has no `Debug`.
pub(in crate::sender) struct Reply {
    pub(in crate::sender) status: StatusCode,
    /// How long the provider asks to be left alone.
    pub(in crate::sender) retry_after: Option<Duration>,
    /// None: it was larger than what is read.
    pub(in crate::sender) body: Option<Vec<u8>>,
}

/// Makes calls.
#[derive(Clone)]
pub(in crate::sender) struct Outgoing {
    client: Client,
    targets: Targets,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Outgoing").field(&self.targets).finish()
    }
}

impl Outgoing {
    /// Reads `ca_file`, so it blocks; connects only when there is something to send.
    pub(in crate::sender) fn new(settings: Settings) -> Result<Self, OutgoingError> {
        Self::build(settings, |builder| builder)
    }

    /// The same over HTTP/2 and nothing else, for providers that speak nothing else.
    pub(in crate::sender) fn http2(settings: Settings) -> Result<Self, OutgoingError> {
        Self::build(settings, ClientBuilder::http2_prior_knowledge)
    }

    fn build(
        settings: Settings,
        more: fn(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, OutgoingError> {
        // The library takes the process's provider, and panics without one. An error says that there is one already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .timeout(settings.timeout)
            .tls_version_min(Version::TLS_1_2)
            .dns_resolver(Resolver::of_the_system(settings.targets.clone()))
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = settings.ca_file {
            builder = builder.tls_certs_merge(certificates(path)?);
        }
        Ok(Self {
            client: more(builder).build().map_err(|_| OutgoingError::Tls)?,
            targets: settings.targets,
        })
    }

    /// Makes one call. An answer of any status is a reply.
    pub(in crate::sender) async fn call(&self, call: Call) -> Result<Reply, SendError> {
        let url = self
            .targets
            .judge(&call.url)
            .map_err(|_| next_sender("address_refused"))?;
        let request = self
            .client
            .request(call.method, url)
            .headers(call.headers)
            .body(call.body);
        let mut response = request.send().await.map_err(|error| failure(&error))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let body = read(&mut response).await?;
        Ok(Reply {
            status,
            retry_after,
            body,
        })
    }
}

fn certificates(path: PathBuf) -> Result<Vec<Certificate>, OutgoingError> {
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(source) => return Err(OutgoingError::CaFile { path, source }),
    };
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(OutgoingError::Certificates { path }),
    }
}

async fn read(response: &mut Response) -> Result<Option<Vec<u8>>, SendError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + chunk.len() > REPLY_BYTES_MAX {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// In whole seconds, or until a date: this one is compared with the provider's own, so that no two clocks need agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(asked).ok()?;
    let now = httpdate::parse_http_date(text(DATE)?).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

/// What to do after a call without an answer. The words of the library stay here: they hold the URL.
fn failure(error: &reqwest::Error) -> SendError {
    let causes = || {
        std::iter::successors(Some(error as &(dyn Error + 'static)), |&cause| {
            cause.source()
        })
    };
    if causes().any(|cause| cause.is::<Refused>()) {
        next_sender("address_refused")
    } else if causes().any(is_tls) {
        next_sender("tls_failed")
    } else if error.is_timeout() {
        unknown("timeout")
    } else if causes().any(|cause| cause.is::<resolve::Unresolved>()) {
        again("name_unresolved", None)
    } else if error.is_connect() {
        again("unreachable", None)
    } else if error.is_builder() {
        give_up("bad_message")
    } else {
        unknown("connection_lost")
    }
}

/// An I/O error hides what it holds from `source`, and may hold another.
fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    let held = cause
        .downcast_ref::<std::io::Error>()
        .and_then(|error| error.get_ref());
    cause.is::<rustls::Error>() || held.is_some_and(|held| is_tls(held))
}

/// To be tried again, after a pause that is never none and never longer than is of use.
pub(in crate::sender) fn again(reason: &str, after: Option<Duration>) -> SendError {
    let after = after
        .unwrap_or(AGAIN_AFTER)
        .clamp(Duration::from_secs(1), AGAIN_AFTER_MAX);
    SendError::Retry {
        after,
        reason: reason.to_owned(),
    }
}

/// It may have been taken: the delivery id lets the provider know the repeat, if it looks at it.
pub(in crate::sender) fn unknown(reason: &str) -> SendError {
    SendError::Unknown {
        after: AGAIN_AFTER,
        reason: reason.to_owned(),
    }
}

pub(in crate::sender) fn unfit(reason: &str) -> SendError {
    SendError::Unfit {
        reason: reason.to_owned(),
    }
}

pub(in crate::sender) fn next_sender(reason: &str) -> SendError {
    SendError::NextSender {
        reason: reason.to_owned(),
    }
}

pub(in crate::sender) fn give_up(reason: &str) -> SendError {
    SendError::GiveUp {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;

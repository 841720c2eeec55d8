//! HTTP calls to providers: to checked addresses only, bounded in time and size, without redirects.

mod address;
mod resolve;
mod target;

use std::{
    error::Error,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{
    Certificate, Client, ClientBuilder, Method, Response, StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
    redirect::Policy,
    tls::Version,
};

pub(in crate::sender) use self::target::{Targets, host_and_port};
pub use self::target::{check_contact, is_host_pattern};
use self::{address::is_public, resolve::Resolver, target::Refused};
use super::tls::{ca_file, no_certificates};
use crate::{
    domain::delivery::{blame::Stage, reason::Reason},
    ports::sender::SendError,
    sender::settings::SettingError,
};

/// Largest response body that is read, in bytes: some gateways answer with the state of the whole account.
const REPLY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Wait before the same provider is tried again, unless the provider names a wait itself.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Longest wait that a provider may ask for, because a code lives for a few minutes only.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(60);

/// The connection to a provider: the settings that all senders with an HTTP API share.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// Hosts that may be called although they are in an internal network or on another port than
    /// the scheme's default: `host` or `host:port`.
    pub allow_hosts: Vec<String>,
    /// Whether `http://` may be called, as in the development profile.
    pub plaintext: bool,
    /// PEM file of certificate authorities to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// Time limit of one call, from the DNS lookup to the last byte of the response.
    pub timeout: Duration,
}

impl ConnectionSettings {
    /// Why `ca_file` cannot be used; `None` if it can or is not set. Reads it, so it blocks.
    pub(in crate::sender) fn problem(&self) -> Option<SettingError> {
        certificates(self.ca_file.as_deref()?).err()
    }
}

/// One HTTP request. It contains the message, so it has no `Debug`.
pub(in crate::sender) struct Call {
    pub(in crate::sender) method: Method,
    pub(in crate::sender) url: String,
    pub(in crate::sender) headers: HeaderMap,
    pub(in crate::sender) body: Vec<u8>,
}

/// The response. It may repeat the message, so it has no `Debug`.
pub(in crate::sender) struct Reply {
    pub(in crate::sender) status: StatusCode,
    /// The wait that the provider asks for.
    pub(in crate::sender) retry_after: Option<Duration>,
    /// `None` if it was larger than `REPLY_BYTES_MAX`.
    pub(in crate::sender) body: Option<Vec<u8>>,
}

/// An HTTP client that calls only the permitted hosts.
#[derive(Clone)]
pub(in crate::sender) struct HttpClient {
    client: Client,
    targets: Targets,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HttpClient").field(&self.targets).finish()
    }
}

impl HttpClient {
    /// A client for these hosts. Reads `ca_file`, so it blocks; connects only when there is something to send.
    pub(in crate::sender) fn new(
        targets: Targets,
        connection: &ConnectionSettings,
    ) -> Result<Self, SettingError> {
        Self::build(targets, connection, |builder| builder)
    }

    /// The same, but with HTTP/2 only, for providers that speak nothing else.
    pub(in crate::sender) fn http2(
        targets: Targets,
        connection: &ConnectionSettings,
    ) -> Result<Self, SettingError> {
        Self::build(targets, connection, ClientBuilder::http2_prior_knowledge)
    }

    fn build(
        targets: Targets,
        connection: &ConnectionSettings,
        more: fn(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, SettingError> {
        // reqwest uses the TLS provider of the process and panics without one. An error here means
        // that one is installed already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .timeout(connection.timeout)
            .tls_version_min(Version::TLS_1_2)
            .dns_resolver(Resolver::of_the_system(targets.clone()))
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &connection.ca_file {
            builder = builder.tls_certs_merge(certificates(path)?);
        }
        let client = more(builder).build();
        Ok(Self {
            client: client.map_err(|_| SettingError::new("", "TLS cannot be set up"))?,
            targets,
        })
    }

    /// Whether the settings let this client call the URL at all.
    pub(in crate::sender) fn may_call(&self, url: &str) -> bool {
        self.targets.judge(url).is_ok()
    }

    /// Makes one call. A response of any status is a reply, not an error.
    pub(in crate::sender) async fn call(&self, call: Call) -> Result<Reply, SendError> {
        let url = self
            .targets
            .judge(&call.url)
            .map_err(|_| always_ours(Reason::AddressRefused))?;
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

fn certificates(path: &Path) -> Result<Vec<Certificate>, SettingError> {
    let pem = ca_file(path)?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(no_certificates(path)),
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

/// The header `retry-after`: seconds, or a date. A date is compared with the response's own `date`,
/// so that the two clocks need not agree.
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

/// What to do after a call without a response. The library's error texts contain the URL, so they are dropped here.
fn failure(error: &reqwest::Error) -> SendError {
    let causes = || {
        std::iter::successors(Some(error as &(dyn Error + 'static)), |&cause| {
            cause.source()
        })
    };
    if causes().any(|cause| cause.is::<Refused>()) {
        always_ours(Reason::AddressRefused)
    } else if causes().any(is_tls) {
        next_sender(Reason::TlsFailed)
    } else if error.is_timeout() {
        unknown(Reason::Timeout)
    } else if causes().any(|cause| cause.is::<resolve::Unresolved>()) {
        again(Reason::NameUnresolved, None)
    } else if error.is_connect() {
        again(Reason::Unreachable, None)
    } else if error.is_builder() {
        ours(Reason::BadMessage)
    } else {
        unknown(Reason::ConnectionLost)
    }
}

/// Whether TLS failed. An I/O error does not show the error inside it as its `source`, so it is unwrapped.
fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    let held = cause
        .downcast_ref::<std::io::Error>()
        .and_then(|error| error.get_ref());
    cause.is::<rustls::Error>() || held.is_some_and(|held| is_tls(held))
}

/// The wait before the same provider is tried again: the one it asked for, kept between 1 s and 60 s.
fn wait(after: Option<Duration>) -> Duration {
    after
        .unwrap_or(AGAIN_AFTER)
        .clamp(Duration::from_secs(1), AGAIN_AFTER_MAX)
}

/// The provider fails for every message; try it again after a wait.
pub(in crate::sender) fn again(reason: Reason, after: Option<Duration>) -> SendError {
    SendError::failing(wait(after), reason)
}

/// The provider may accept this message after a wait, and others before.
pub(in crate::sender) fn later(reason: Reason, after: Option<Duration>) -> SendError {
    SendError::later(wait(after), reason)
}

/// The provider refuses our login.
pub(in crate::sender) fn login_refused() -> SendError {
    SendError::login_refused(AGAIN_AFTER)
}

/// The provider may have accepted the message. The delivery id in the repeat lets it recognise a duplicate.
pub(in crate::sender) fn unknown(reason: Reason) -> SendError {
    SendError::unanswered(AGAIN_AFTER, reason)
}

/// The provider refuses this message, and does not say because of what.
pub(in crate::sender) fn unfit(reason: Reason) -> SendError {
    SendError::unclear(reason)
}

/// The provider refuses this message because of us or our settings.
pub(in crate::sender) fn ours(reason: Reason) -> SendError {
    SendError::ours(reason)
}

/// The provider refuses every message because of us or our settings.
pub(in crate::sender) fn always_ours(reason: Reason) -> SendError {
    SendError::ours(reason).at(Stage::BeforeRecipient)
}

/// The provider accepts no message at present, and waiting will not help this one.
pub(in crate::sender) fn next_sender(reason: Reason) -> SendError {
    SendError::broken(reason)
}

/// No provider can deliver to this recipient.
pub(in crate::sender) fn give_up(reason: Reason) -> SendError {
    SendError::about_recipient(reason)
}

#[cfg(test)]
mod tests;

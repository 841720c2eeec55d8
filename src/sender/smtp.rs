//! Sends e-mail over SMTP.

mod connection;
mod mail;

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use lettre::{
    message::Mailbox,
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, TlsParameters},
        extension::ClientId,
    },
};

use self::connection::{Connections, Encryption, Road};
use super::secret::SecretText;
use crate::ports::sender::{Message, SendError, Sender, Sent};

/// The usual deadline of one hand-over, from dialling to the server's last word.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// How long to wait before the same server is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// How the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// Not at all: for a server on the same machine, and for trying out.
    None,
    /// By STARTTLS; a server that does not offer it gets nothing.
    StartTls,
    /// From the first byte on.
    Implicit,
}

/// The server and how to talk to it.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// Its name, which its certificate must carry, or its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who the mail is from: `Bank <no-reply@bank.example>` or the address alone.
    pub from: String,
    /// How the connection is encrypted.
    pub tls: SmtpTls,
    /// User name and password, if it wants them.
    pub credentials: Option<(String, SecretText)>,
    /// PEM file of certificate authorities to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Deadline of one hand-over, from dialling to the server's last word.
    pub timeout: Duration,
    /// Most connections at a time.
    pub pool_max: u32,
    /// What we call ourselves in EHLO; the machine's name if absent.
    pub hello_name: Option<String>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    /// The sender's address has another form.
    #[error("from must be an address such as `Bank <no-reply@bank.example>`")]
    From,
    /// The name for EHLO has another form.
    #[error("hello_name must be a host name")]
    HelloName,
    /// No connection could ever be made.
    #[error("pool_max must be at least 1")]
    PoolMax,
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
    #[error("TLS cannot be set up for host {host}")]
    Tls {
        /// For which host.
        host: String,
    },
}

/// Sends e-mail over connections that it keeps.
#[derive(Debug)]
pub struct Smtp {
    from: Mailbox,
    connections: Connections,
    timeout: Duration,
}

impl Smtp {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: SmtpSettings) -> Result<Self, SmtpError> {
        let from = parse_from(&settings.from)?;
        if settings.pool_max == 0 {
            return Err(SmtpError::PoolMax);
        }
        let road = Road {
            encryption: match settings.tls {
                SmtpTls::None => Encryption::None,
                SmtpTls::StartTls => Encryption::StartTls(tls_parameters(&settings)?),
                SmtpTls::Implicit => Encryption::Implicit(tls_parameters(&settings)?),
            },
            hello: hello(settings.hello_name)?,
            credentials: settings.credentials.map(|(user, password)| Credentials::new(user, password.expose().to_owned())),
            host: settings.host,
            port: settings.port,
        };
        Ok(Self { from, connections: Connections::new(road, settings.pool_max), timeout: settings.timeout })
    }
}

#[async_trait]
impl Sender for Smtp {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let mail = mail::compose(&self.from, message)?;
        let sent = tokio::time::timeout(self.timeout, self.connections.send(&mail)).await;
        sent.unwrap_or_else(|_| Err(unknown("timeout"))).map(|()| Sent::default())
    }
}

fn retry(reason: &str) -> SendError {
    SendError::Retry { after: RETRY_AFTER, reason: reason.to_owned() }
}

/// The mail may have been taken before the server fell silent.
fn unknown(reason: &str) -> SendError {
    SendError::Unknown { after: RETRY_AFTER, reason: reason.to_owned() }
}

fn deferred(reason: &str) -> SendError {
    SendError::Deferred { after: RETRY_AFTER, reason: reason.to_owned() }
}

fn next_sender(reason: &str) -> SendError {
    SendError::NextSender { reason: reason.to_owned() }
}

fn give_up(reason: &str) -> SendError {
    SendError::GiveUp { reason: reason.to_owned() }
}

fn parse_from(text: &str) -> Result<Mailbox, SmtpError> {
    let mailbox: Mailbox = text.parse().map_err(|_| SmtpError::From)?;
    // An address beyond ASCII would need SMTPUTF8, which few servers speak.
    let address: &str = mailbox.email.as_ref();
    if address.is_ascii() && !text.chars().any(char::is_control) { Ok(mailbox) } else { Err(SmtpError::From) }
}

fn hello(name: Option<String>) -> Result<ClientId, SmtpError> {
    let Some(name) = name else { return Ok(ClientId::default()) };
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    if fits { Ok(ClientId::Domain(name)) } else { Err(SmtpError::HelloName) }
}

/// TLS 1.2 or later, with the system's certificate authorities and those of `ca_file`.
fn tls_parameters(settings: &SmtpSettings) -> Result<TlsParameters, SmtpError> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = settings.ca_file.clone() {
        let pem = match std::fs::read(&path) {
            Ok(pem) => pem,
            Err(source) => return Err(SmtpError::CaFile { path, source }),
        };
        // The parser takes a file without any.
        let holds_one = String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----");
        match Certificate::from_pem(&pem) {
            Ok(certificate) if holds_one => builder = builder.add_root_certificate(certificate),
            Ok(_) | Err(_) => return Err(SmtpError::Certificates { path }),
        }
    }
    builder.build().map_err(|_| SmtpError::Tls { host: settings.host.clone() })
}

#[cfg(test)]
mod tests;

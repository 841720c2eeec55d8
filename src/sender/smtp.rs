//! Sends e-mail over SMTP.

mod connection;
mod dkim;
mod mail;
mod pool;
mod refusal;
mod server;
mod wire;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use lettre::message::Mailbox;

pub use self::dkim::{DkimError, DkimKey, DkimSettings};
use self::{
    dkim::Signer,
    mail::Author,
    pool::Connections,
    server::{Encryption, Server},
};
use super::transport::tls::Tls;
pub use super::transport::tls::TlsError;
use crate::{
    format::secret::SecretText,
    ports::{
        sender::{Message, SendError, Sender, Sent},
        system::Clock,
    },
};

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
    /// Who signs the mails; unsigned if absent.
    pub dkim: Option<DkimSettings>,
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
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Mails cannot be signed.
    #[error(transparent)]
    Dkim(#[from] DkimError),
}

/// Sends e-mail over connections that it keeps.
pub struct Smtp {
    author: Author,
    connections: Connections,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smtp")
            .field("author", &self.author)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

impl Smtp {
    /// A sender with these settings. Reads `ca_file`, so it blocks; connects only when there is something to send.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: SmtpSettings, clock: Arc<dyn Clock>) -> Result<Self, SmtpError> {
        let from = parse_from(&settings.from)?;
        if settings.pool_max == 0 {
            return Err(SmtpError::PoolMax);
        }
        let signer = settings
            .dkim
            .map(|dkim| Signer::new(dkim, from.email.domain()))
            .transpose()?;
        let tls = || Tls::new(&settings.host, settings.ca_file.as_deref());
        let server = Server {
            encryption: match settings.tls {
                SmtpTls::None => Encryption::None,
                SmtpTls::StartTls => Encryption::StartTls(tls()?),
                SmtpTls::Implicit => Encryption::Implicit(tls()?),
            },
            hello: hello(settings.hello_name)?,
            credentials: settings.credentials,
            host: settings.host,
            port: settings.port,
        };
        let connections = Connections::new(server, settings.pool_max);
        Ok(Self {
            author: Author { from, signer },
            connections,
            timeout: settings.timeout,
            clock,
        })
    }
}

#[async_trait]
impl Sender for Smtp {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let mail = self.author.compose(message, self.clock.now())?;
        self.connections
            .send(&mail, self.timeout)
            .await
            .map(|()| Sent::default())
    }
}

fn retry(reason: &str) -> SendError {
    SendError::Retry {
        after: RETRY_AFTER,
        reason: reason.to_owned(),
    }
}

/// The mail may have been taken before the server fell silent.
fn unknown(reason: &str) -> SendError {
    SendError::Unknown {
        after: RETRY_AFTER,
        reason: reason.to_owned(),
    }
}

fn deferred(reason: &str) -> SendError {
    SendError::Deferred {
        after: RETRY_AFTER,
        reason: reason.to_owned(),
    }
}

fn next_sender(reason: &str) -> SendError {
    SendError::NextSender {
        reason: reason.to_owned(),
    }
}

fn give_up(reason: &str) -> SendError {
    SendError::GiveUp {
        reason: reason.to_owned(),
    }
}

fn parse_from(text: &str) -> Result<Mailbox, SmtpError> {
    let mailbox: Mailbox = text.parse().map_err(|_| SmtpError::From)?;
    // An address beyond ASCII would need SMTPUTF8, which few servers speak.
    let address: &str = mailbox.email.as_ref();
    if address.is_ascii() && !text.chars().any(char::is_control) {
        Ok(mailbox)
    } else {
        Err(SmtpError::From)
    }
}

/// The name of the settings, or the machine's; an address in brackets where that is no name (RFC 5321 §4.1.3).
fn hello(name: Option<String>) -> Result<String, SmtpError> {
    let fits = |name: &String| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
    };
    if let Some(name) = name {
        return Some(name).filter(fits).ok_or(SmtpError::HelloName);
    }
    let of_machine = hostname::get()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(fits);
    Ok(of_machine.unwrap_or_else(|| "[127.0.0.1]".to_owned()))
}

#[cfg(test)]
mod tests;

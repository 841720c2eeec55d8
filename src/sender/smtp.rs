//! Sends e-mail to a mail server over SMTP.

mod connection;
mod dkim;
mod hello;
mod mail;
mod pool;
mod refusal;
mod server;
mod wire;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use lettre::message::Mailbox;

pub use self::dkim::{DkimKey, DkimSettings};
use self::{
    dkim::DkimSigner,
    hello::hello,
    mail::Author,
    pool::Connections,
    server::{Encryption, Server},
};
use super::{
    settings::{SenderParts, SenderSettings, SettingError, distinct},
    transport::tls::Tls,
};
use crate::{
    domain::{delivery::reason::Reason, recipient::Channel},
    format::secret::SecretText,
    ports::{
        sender::{Message, SendError, Sender, Sent},
        system::Clock,
    },
};

/// How long to wait before the same server is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// How the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// Not encrypted: for a server on the same machine, and for tests.
    None,
    /// Encrypted by STARTTLS. A server that does not offer it gets no mail.
    StartTls,
    /// Encrypted from the first byte.
    Implicit,
}

/// The settings of a mail server and of the mails to it.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// Name of the server, which its certificate must carry, or its IP address.
    pub host: String,
    /// TCP port of the server.
    pub port: u16,
    /// Sender of the mails: `Bank <no-reply@bank.example>` or the address alone.
    pub from: String,
    /// How the connection is encrypted.
    pub tls: SmtpTls,
    /// User name and password; `None` for no login.
    pub credentials: Option<(String, SecretText)>,
    /// PEM file of certificate authorities to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// Time limit of one hand-over, from connecting to the server's last reply.
    pub timeout: Duration,
    /// Maximum number of connections at the same time.
    pub pool_max: u32,
    /// The name in EHLO; the machine's host name if absent.
    pub hello_name: Option<String>,
    /// The DKIM signatures; `None` leaves mails unsigned.
    pub dkim: Option<DkimSettings>,
}

impl SenderSettings for SmtpSettings {
    fn carries(&self, channel: Channel) -> bool {
        channel == Channel::Email
    }

    fn warnings(&self) -> Vec<SettingError> {
        hello::warning(self.hello_name.as_deref())
            .into_iter()
            .collect()
    }

    fn build(&self, parts: &SenderParts) -> Result<Arc<dyn Sender>, SettingError> {
        Ok(Arc::new(Smtp::new(self, parts.clock.clone())?))
    }

    fn problems(&self, parts: &SenderParts) -> Vec<SettingError> {
        let from = parse_from(&self.from);
        let domain = from.as_ref().ok().map(|from| from.email.domain());
        let signer = self.dkim.as_ref();
        let signer = signer.map(|dkim| DkimSigner::problems(dkim, domain));
        let signer = signer.unwrap_or_default().into_iter().map(Some);
        let others = [
            from.as_ref().err().cloned(),
            encryption(self).err(),
            hello(self.hello_name.clone()).err(),
            self.build(parts).err(),
        ];
        distinct(signer.chain(others))
    }
}

/// Sends e-mail over connections that are kept open for a while.
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
    /// The first setting that cannot be used.
    pub fn new(settings: &SmtpSettings, clock: Arc<dyn Clock>) -> Result<Self, SettingError> {
        let from = parse_from(&settings.from)?;
        if settings.pool_max == 0 {
            return Err(SettingError::new(
                "pool_max",
                "is 0, and must be at least 1",
            ));
        }
        let signer = settings.dkim.as_ref();
        let signer = signer.map(|dkim| DkimSigner::new(dkim, from.email.domain()));
        let server = Server {
            encryption: encryption(settings)?,
            hello: hello(settings.hello_name.clone())?,
            credentials: settings.credentials.clone(),
            host: settings.host.clone(),
            port: settings.port,
        };
        Ok(Self {
            author: Author {
                from,
                signer: signer.transpose()?,
            },
            connections: Connections::new(server, settings.pool_max),
            timeout: settings.timeout,
            clock,
        })
    }
}

fn encryption(settings: &SmtpSettings) -> Result<Encryption, SettingError> {
    let tls = || Tls::new(&settings.host, settings.ca_file.as_deref());
    Ok(match settings.tls {
        SmtpTls::None => Encryption::None,
        SmtpTls::StartTls => Encryption::StartTls(tls()?),
        SmtpTls::Implicit => Encryption::Implicit(tls()?),
    })
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

    fn slots(&self) -> Option<usize> {
        Some(self.connections.max())
    }
}

fn retry(reason: Reason) -> SendError {
    SendError::failing(RETRY_AFTER, reason)
}

/// The server may have accepted the mail before it stopped answering.
fn unknown(reason: Reason) -> SendError {
    SendError::unanswered(RETRY_AFTER, reason)
}

fn deferred(reason: Reason) -> SendError {
    SendError::later(RETRY_AFTER, reason)
}

fn login_refused() -> SendError {
    SendError::login_refused(RETRY_AFTER)
}

fn next_sender(reason: Reason) -> SendError {
    SendError::broken(reason)
}

fn ours(reason: Reason) -> SendError {
    SendError::ours(reason)
}

fn parse_from(text: &str) -> Result<Mailbox, SettingError> {
    let mailbox: Option<Mailbox> = text.parse().ok();
    // An address outside ASCII would need SMTPUTF8, which few servers support.
    let is_plain = |mailbox: &Mailbox| {
        let address: &str = mailbox.email.as_ref();
        address.is_ascii() && !text.chars().any(char::is_control)
    };
    mailbox.filter(is_plain).ok_or_else(|| {
        SettingError::new(
            "from",
            format!(
                "is {text:?}; it must be an ASCII address such as `Bank <no-reply@bank.example>`"
            ),
        )
    })
}

#[cfg(test)]
mod tests;

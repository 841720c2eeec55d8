//! Keeps connections to the server, and says at which step and why one failed.
//!
//! `lettre`'s own pool is not used: it tells a refused login from a refused recipient by the reply code
//! alone, bounds no command in time, and leaves Nagle's algorithm on, which costs 40 ms a mail.

use std::{
    error::Error as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lettre::transport::smtp::{
    Error,
    authentication::{Credentials, Mechanism},
    client::{AsyncSmtpConnection, TlsParameters},
    commands::{Data, Mail as MailFrom, Rcpt},
    extension::ClientId,
};
use tokio::{net::TcpStream, sync::Semaphore, time::Instant};

use super::{deferred, give_up, mail::Mail, next_sender, retry, unknown};
use crate::ports::sender::SendError;

/// How long a connection is kept without use; servers close theirs after five minutes (RFC 5321 §4.5.3.2.7).
const IDLE_MAX: Duration = Duration::from_secs(60);

/// How the connection is encrypted, with what that takes.
pub(super) enum Encryption {
    None,
    StartTls(TlsParameters),
    Implicit(TlsParameters),
}

/// Where the server is and how it is entered.
pub(super) struct Road {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) encryption: Encryption,
    pub(super) credentials: Option<Credentials>,
    pub(super) hello: ClientId,
}

/// A bounded number of connections to one server.
pub(super) struct Connections {
    road: Road,
    slots: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

/// The step at which the server said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connect,
    Encrypt,
    Login,
    From,
    Recipient,
    Data,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connections({}:{})", self.road.host, self.road.port)
    }
}

impl Connections {
    pub(super) fn new(road: Road, max: u32) -> Self {
        let slots = usize::try_from(max).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { road, slots: Semaphore::new(slots), idle: Mutex::default() }
    }

    /// Hands one mail over. A connection on which anything failed, or whose caller went away, is dropped.
    pub(super) async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let _slot = self.slots.acquire().await.map_err(|_| retry("closed"))?;
        let mut connection = match self.take_idle().await {
            Some(connection) => connection,
            None => self.road.connect().await?,
        };
        transmit(&mut connection, mail).await?;
        self.park(connection);
        Ok(())
    }

    /// A connection that was kept and still answers.
    async fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        // Ends: each turn takes one away, and only holders of a slot put one back.
        loop {
            let mut kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if kept.since.elapsed() < IDLE_MAX && kept.connection.test_connected().await {
                return Some(kept.connection);
            }
        }
    }

    fn park(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| kept.since.elapsed() < IDLE_MAX);
        idle.push(Idle { connection, since: Instant::now() });
    }
}

impl Road {
    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let mut connection = match &self.encryption {
            Encryption::None => self.dial().await?,
            Encryption::StartTls(tls) => {
                let mut connection = self.dial().await?;
                connection.starttls(tls.clone(), &self.hello).await.map_err(|error| judge(Step::Encrypt, &error))?;
                connection
            }
            Encryption::Implicit(tls) => {
                // Here lettre dials, because it takes no stream of ours.
                let (server, tls) = ((self.host.as_str(), self.port), Some(tls.clone()));
                let connection = AsyncSmtpConnection::connect_tokio1(server, None, &self.hello, tls, None).await;
                connection.map_err(|error| judge(Step::Connect, &error))?
            }
        };
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection.auth(&mechanisms, credentials).await.map_err(|error| judge(Step::Login, &error))?;
        }
        Ok(connection)
    }

    async fn dial(&self) -> Result<AsyncSmtpConnection, SendError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|_| retry("unreachable"))?;
        stream.set_nodelay(true).map_err(|_| retry("unreachable"))?;
        let connection = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello).await;
        connection.map_err(|error| judge(Step::Connect, &error))
    }
}

async fn transmit(connection: &mut AsyncSmtpConnection, mail: &Mail) -> Result<(), SendError> {
    let from = MailFrom::new(Some(mail.from.clone()), Vec::new());
    connection.command(from).await.map_err(|error| judge(Step::From, &error))?;
    let to = Rcpt::new(mail.to.clone(), Vec::new());
    connection.command(to).await.map_err(|error| judge(Step::Recipient, &error))?;
    connection.command(Data).await.map_err(|error| judge(Step::Data, &error))?;
    connection.message(&mail.bytes).await.map_err(|error| judge(Step::Data, &error))?;
    Ok(())
}

/// What to do after a failure. The words of the server stay here: they tend to hold the address.
fn judge(step: Step, error: &Error) -> SendError {
    if step == Step::Encrypt || is_tls(error) {
        return next_sender("tls_failed");
    }
    if error.is_transient() {
        let is_recipients = matches!(step, Step::Recipient | Step::Data) && is_about_recipient(error);
        return if is_recipients { deferred("busy") } else { retry("busy") };
    }
    match step {
        // A client error is that the server offers no way to log in that we know.
        Step::Login if error.is_permanent() || error.is_client() => next_sender("login_refused"),
        Step::Connect | Step::From if error.is_permanent() => next_sender("sender_refused"),
        Step::Recipient | Step::Data if is_about_us(error) => next_sender("sender_refused"),
        Step::Recipient | Step::Data if error.is_permanent() => give_up("refused"),
        // The mail may have been taken before the connection broke.
        Step::Data => unknown("connection_lost"),
        Step::Connect | Step::Encrypt | Step::Login | Step::From | Step::Recipient => retry("unreachable"),
    }
}

/// The address or its mailbox is what cannot be reached for now (enhanced status 4.1 and 4.2, RFC 3463); the server is well.
fn is_about_recipient(error: &Error) -> bool {
    let words = error.source().map(ToString::to_string).unwrap_or_default();
    words.starts_with("4.1.") || words.starts_with("4.2.")
}

/// A refusal for policy (enhanced status 5.7, RFC 3463: relaying denied, looks like spam) or for a missing
/// login (530, RFC 4954) is about us, not about the recipient.
fn is_about_us(error: &Error) -> bool {
    let words = error.source().map(ToString::to_string).unwrap_or_default();
    error.is_permanent() && (words.starts_with("5.7.") || error.status().is_some_and(|code| code.to_string() == "530"))
}

/// `lettre` calls a failed handshake a failed connection; the cause tells them apart.
fn is_tls(error: &Error) -> bool {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    error.is_tls() || causes.any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(holds_tls))
}

fn holds_tls(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.downcast_ref::<rustls::Error>().is_some())
}

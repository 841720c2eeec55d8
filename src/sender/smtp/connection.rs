//! Keeps connections to the server, hands mail over on them, and says at which step and why one failed.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};

use super::{
    deferred, give_up,
    mail::Mail,
    next_sender, retry,
    road::Road,
    unknown,
    wire::{Lost, Reply, Wire},
};
use crate::ports::sender::SendError;

/// How long a connection is kept without use; servers close theirs after five minutes (RFC 5321 §4.5.3.2.7).
const IDLE_MAX: Duration = Duration::from_secs(60);
/// The server is about to close the connection.
const CLOSING: u16 = 421;
/// The server wants a login first (RFC 4954).
const LOGIN_WANTED: u16 = 530;

/// A bounded number of connections to one server.
pub(super) struct Connections {
    road: Road,
    slots: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection that takes mail.
pub(super) struct Connection {
    pub(super) wire: Wire,
    /// May several commands be said before the first reply (RFC 2920)?
    pub(super) pipelining: bool,
}

/// The step at which the server said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    Login,
    From,
    Recipient,
    Data,
}

/// Why a mail was not asked for.
enum Stop {
    Lost,
    Refused(Step, Reply),
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
        let mut connection = match self.resume(mail).await? {
            Some(connection) => connection,
            None => self.begin(mail).await?,
        };
        connection.hand_over(mail).await?;
        self.park(connection);
        Ok(())
    }

    /// Offers the mail on a connection that was kept. One that the server has closed meanwhile is no failure: nothing was
    /// handed over yet.
    async fn resume(&self, mail: &Mail) -> Result<Option<Connection>, SendError> {
        // Ends: each turn takes one away, and only holders of a slot put one back.
        while let Some(mut kept) = self.take_idle() {
            match kept.offer(mail).await {
                Ok(()) => return Ok(Some(kept)),
                Err(Stop::Lost) => {}
                Err(Stop::Refused(_, reply)) if reply.code == CLOSING => {}
                Err(Stop::Refused(step, reply)) => return Err(judge(step, &reply)),
            }
        }
        Ok(None)
    }

    async fn begin(&self, mail: &Mail) -> Result<Connection, SendError> {
        let mut connection = self.road.connect().await?;
        match connection.offer(mail).await {
            Ok(()) => Ok(connection),
            Err(Stop::Lost) => Err(retry("unreachable")),
            Err(Stop::Refused(step, reply)) => Err(judge(step, &reply)),
        }
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The one that was used last is the likeliest to be open still; if it is too old, so are all others.
        idle.pop().filter(|kept| kept.since.elapsed() < IDLE_MAX).map(|kept| kept.connection)
    }

    fn park(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| kept.since.elapsed() < IDLE_MAX);
        idle.push(Idle { connection, since: Instant::now() });
    }
}

impl Connection {
    /// Says who it is from and for whom, until the server asks for the mail: in one write if it takes that.
    async fn offer(&mut self, mail: &Mail) -> Result<(), Stop> {
        let commands = [
            (Step::From, 2, format!("MAIL FROM:<{}>\r\n", mail.from)),
            (Step::Recipient, 2, format!("RCPT TO:<{}>\r\n", mail.to)),
            (Step::Data, 3, "DATA\r\n".to_owned()),
        ];
        if self.pipelining {
            let all: String = commands.iter().map(|(_, _, command)| command.as_str()).collect();
            self.wire.say(&all).await?;
        }
        for (step, hundred, command) in commands {
            if !self.pipelining {
                self.wire.say(&command).await?;
            }
            let reply = self.wire.hear().await?;
            if !reply.is(hundred) {
                return Err(Stop::Refused(step, reply));
            }
        }
        Ok(())
    }

    /// Hands the mail over. Whoever loses the connection here does not know whether it was taken.
    async fn hand_over(&mut self, mail: &Mail) -> Result<(), SendError> {
        let reply = self.wire.ask(&mail.data).await.map_err(|Lost| unknown("connection_lost"))?;
        if reply.is(2) { Ok(()) } else { Err(judge(Step::Data, &reply)) }
    }
}

impl From<Lost> for Stop {
    fn from(_: Lost) -> Self {
        Self::Lost
    }
}

/// What to do after a refusal. The words of the server stay here: they tend to hold the address.
pub(super) fn judge(step: Step, reply: &Reply) -> SendError {
    match step {
        Step::Recipient | Step::Data if reply.is(4) && is_about_recipient(reply) => deferred("busy"),
        _ if reply.is(4) => retry("busy"),
        // Neither yes nor no: it does not speak as it should.
        _ if !reply.is(5) => retry("unreachable"),
        Step::Login => next_sender("login_refused"),
        Step::Connect | Step::From => next_sender("sender_refused"),
        Step::Recipient | Step::Data if is_about_us(reply) => next_sender("sender_refused"),
        Step::Recipient | Step::Data => give_up("refused"),
    }
}

/// The address or its mailbox is what cannot be reached for now (enhanced status 4.1 and 4.2, RFC 3463); the server is well.
fn is_about_recipient(reply: &Reply) -> bool {
    ["4.1.", "4.2."].iter().any(|begin| reply.lines[0].starts_with(begin))
}

/// A refusal for policy (enhanced status 5.7, RFC 3463: relaying denied, looks like spam) or for a missing login is about
/// us, not about the recipient.
fn is_about_us(reply: &Reply) -> bool {
    reply.code == LOGIN_WANTED || reply.lines[0].starts_with("5.7.")
}

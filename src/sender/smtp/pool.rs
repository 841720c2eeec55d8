//! Keeps connections to the server, and hands mails over on them within a time limit.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

use super::{
    connection::{Connection, Progress, Stop},
    mail::Mail,
    refusal::judge,
    retry,
    server::Server,
    unknown,
};
use crate::{
    domain::delivery::{blame::Stage, reason::Reason},
    ports::sender::SendError,
};

/// How long an unused connection is kept; servers close theirs after five minutes (RFC 5321 §4.5.3.2.7).
const IDLE_MAX: Duration = Duration::from_secs(60);
/// The reply of a server that is about to close the connection.
const CLOSING: u16 = 421;

/// A bounded number of connections to one server.
pub(super) struct Connections {
    server: Server,
    max: usize,
    slots: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connections({}:{})", self.server.host, self.server.port)
    }
}

impl Connections {
    pub(super) fn new(server: Server, max: u32) -> Self {
        let max = usize::try_from(max)
            .unwrap_or(usize::MAX)
            .min(Semaphore::MAX_PERMITS);
        Self {
            server,
            max,
            slots: Semaphore::new(max),
            idle: Mutex::default(),
        }
    }

    /// The largest number of connections at the same time.
    pub(super) const fn max(&self) -> usize {
        self.max
    }

    /// Hands one mail over. A connection is dropped if anything failed on it or if this future is dropped.
    pub(super) async fn send(&self, mail: &Mail, timeout: Duration) -> Result<(), SendError> {
        let deadline = Instant::now() + timeout;
        // Before the offer is accepted, the server cannot have the mail; after it, the server may have it.
        let progress = Progress::default();
        let (_slot, mut connection) = timeout_at(deadline, self.offer(mail, &progress))
            .await
            .unwrap_or_else(|_| Err(retry(Reason::Timeout).at(progress.stage_at_limit())))?;
        timeout_at(deadline, connection.hand_over(mail))
            .await
            .unwrap_or_else(|_| Err(unknown(Reason::Timeout).at(Stage::WithRecipient)))?;
        self.park(connection);
        Ok(())
    }

    /// A connection on which the server has asked for the mail.
    async fn offer(
        &self,
        mail: &Mail,
        progress: &Progress,
    ) -> Result<(SemaphorePermit<'_>, Connection), SendError> {
        let slot = if let Ok(slot) = self.slots.try_acquire() {
            slot
        } else {
            progress.wait();
            let slot = self.slots.acquire().await;
            slot.map_err(|_| retry(Reason::Closed))?
        };
        let connection = match self.resume(mail, progress).await? {
            Some(connection) => connection,
            None => self.begin(mail, progress).await?,
        };
        Ok((slot, connection))
    }

    /// Offers the mail on a kept connection; `None` if there is none. If the server has closed one
    /// in the meantime, that is not a failure: nothing was handed over yet.
    async fn resume(
        &self,
        mail: &Mail,
        progress: &Progress,
    ) -> Result<Option<Connection>, SendError> {
        // This loop ends: each turn removes a kept connection, and only holders of a slot add one.
        while let Some(mut kept) = self.take_idle() {
            match kept.offer(mail, progress).await {
                Ok(()) => return Ok(Some(kept)),
                Err(Stop::Lost) => progress.begin(),
                Err(Stop::Refused(_, reply)) if reply.code == CLOSING => progress.begin(),
                Err(Stop::Refused(step, reply)) => return Err(judge(step, &reply)),
            }
        }
        Ok(None)
    }

    async fn begin(&self, mail: &Mail, progress: &Progress) -> Result<Connection, SendError> {
        let mut connection = self.server.connect().await?;
        match connection.offer(mail, progress).await {
            Ok(()) => Ok(connection),
            Err(Stop::Lost) => Err(retry(Reason::Unreachable).at(progress.stage())),
            Err(Stop::Refused(step, reply)) => Err(judge(step, &reply)),
        }
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The most recently used connection is the likeliest to be open; if it is too old, so are all others.
        idle.pop()
            .filter(|kept| kept.since.elapsed() < IDLE_MAX)
            .map(|kept| kept.connection)
    }

    fn park(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| kept.since.elapsed() < IDLE_MAX);
        idle.push(Idle {
            connection,
            since: Instant::now(),
        });
    }
}

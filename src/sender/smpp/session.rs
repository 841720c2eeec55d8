//! One session: sends messages and reads their answers, reads receipts and answers them, until it ends.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rusmpp::{
    CommandId, CommandStatus, Pdu,
    pdus::{DataSmResp, DeliverSmResp, SubmitSm},
};
use tokio::{
    sync::{
        mpsc::{Receiver, error::TrySendError},
        oneshot,
    },
    time::{Instant, sleep_until, timeout},
};

use super::{
    centre::BIND,
    ids::ReceiptIds,
    receipt::{self, Said},
    status::{judge, unknown},
    wire::{CommandReader, CommandWriter, Received, SessionLost},
};
use crate::{
    domain::{delivery::reason::Reason, ids::SenderName},
    ports::sender::{
        SendError, Sent,
        receipts::{About, Arrival, ProviderReceipt, Receipts},
    },
};

/// The highest sequence number; after it they begin again.
const SEQUENCE_MAX: u32 = 0x7fff_ffff;
/// The bit that marks an answer in a command id.
const ANSWER: u32 = 0x8000_0000;
/// How often time limits of the session are checked.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a message centre may take to answer `unbind`.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// A message on its way to a session, with the channel for its result.
pub(super) struct Job {
    pub(super) message: SubmitSm,
    /// Whoever sets this first decides: the session writes the message, or the sender gave up and it is never sent.
    pub(super) claimed: Arc<AtomicBool>,
    pub(super) answer: oneshot::Sender<Result<Sent, SendError>>,
}

impl Job {
    fn claim(&self) -> bool {
        !self.claimed.swap(true, Ordering::SeqCst) && !self.answer.is_closed()
    }

    /// Reports that the message was not written.
    pub(super) fn fail(self, error: SendError) {
        if self.claim() {
            let _ = self.answer.send(Err(error));
        }
    }
}

/// The settings of a session.
pub(super) struct Rules {
    /// The sender's name in the settings, which its receipts carry.
    pub(super) name: SenderName,
    pub(super) receipts: Receipts,
    /// How receipts spell the ids of messages.
    pub(super) ids: ReceiptIds,
    /// Maximum number of messages that wait for their answers.
    pub(super) window: usize,
    /// How long an answer may take.
    pub(super) timeout: Duration,
    /// Silence after which the connection is tested with `enquire_link`.
    pub(super) enquire_every: Duration,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// This side ended it: the sender is gone, or nobody reads receipts any more.
    Idle,
    /// The connection broke, or the message centre ended it.
    SessionLost,
}

struct Waiting {
    answer: oneshot::Sender<Result<Sent, SendError>>,
    since: Instant,
}

struct Session<'a> {
    rules: &'a Rules,
    writer: CommandWriter,
    /// The messages without an answer, by sequence number.
    waiting: HashMap<u32, Waiting>,
    sequence: u32,
    heard_at: Instant,
    /// When `enquire_link` was sent, if nothing has arrived since.
    asked_at: Option<Instant>,
}

/// Sends messages until the session ends. Messages that were written and not answered by then may have been accepted.
pub(super) async fn run(
    rules: &Rules,
    (mut reader, writer): (CommandReader, CommandWriter),
    first: Option<Job>,
    jobs: &mut Receiver<Job>,
) -> End {
    let (waiting, heard_at) = (HashMap::new(), Instant::now());
    let mut session = Session {
        rules,
        writer,
        waiting,
        sequence: BIND,
        heard_at,
        asked_at: None,
    };
    let ended = session.carry(&mut reader, first, jobs).await;
    for (_, waiting) in session.waiting.drain() {
        let _ = waiting.answer.send(Err(unknown(Reason::ConnectionLost)));
    }
    match ended {
        Ok(()) => {
            // If the message centre does not answer, the connection is simply closed.
            let _ = timeout(GOODBYE_MAX, session.unbind(&mut reader)).await;
            End::Idle
        }
        Err(SessionLost) => End::SessionLost,
    }
}

impl Session<'_> {
    async fn carry(
        &mut self,
        reader: &mut CommandReader,
        first: Option<Job>,
        jobs: &mut Receiver<Job>,
    ) -> Result<(), SessionLost> {
        if let Some(job) = first {
            self.submit(job).await?;
        }
        let mut look = pin!(sleep_until(Instant::now() + LOOK_EVERY));
        let receipts = self.rules.receipts.clone();
        loop {
            let (has_room, is_idle) = (
                self.waiting.len() < self.rules.window,
                self.waiting.is_empty(),
            );
            tokio::select! {
                biased;
                () = &mut look => {
                    look.as_mut().reset(Instant::now() + LOOK_EVERY);
                    self.check_deadlines().await?;
                }
                job = jobs.recv(), if has_room => match job {
                    Some(job) => self.submit(job).await?,
                    None => return Ok(()),
                },
                heard = reader.read() => self.hear(&heard?).await?,
                // Nobody reads receipts any more: the service is shutting down.
                () = receipts.closed(), if is_idle => return Ok(()),
            }
        }
    }

    async fn submit(&mut self, job: Job) -> Result<(), SessionLost> {
        if !job.claim() {
            return Ok(());
        }
        let (sequence, since) = (self.next(), Instant::now());
        self.waiting.insert(
            sequence,
            Waiting {
                answer: job.answer,
                since,
            },
        );
        self.writer
            .write(CommandStatus::EsmeRok, sequence, job.message)
            .await
    }

    /// The next sequence number that no message uses.
    fn next(&mut self) -> u32 {
        // This loop ends: far fewer messages wait than there are numbers.
        loop {
            self.sequence = if self.sequence >= SEQUENCE_MAX {
                BIND
            } else {
                self.sequence + 1
            };
            if !self.waiting.contains_key(&self.sequence) {
                return self.sequence;
            }
        }
    }

    async fn hear(&mut self, heard: &Received) -> Result<(), SessionLost> {
        (self.heard_at, self.asked_at) = (Instant::now(), None);
        let sequence = heard.sequence;
        match heard.id {
            CommandId::SubmitSmResp | CommandId::GenericNack => {
                self.answer_submission(heard);
                Ok(())
            }
            CommandId::DeliverSm => {
                let status = self.take(receipt::of_deliver_sm(&heard.body));
                self.writer
                    .write(status, sequence, DeliverSmResp::default())
                    .await
            }
            CommandId::DataSm => {
                let status = self.take(receipt::of_data_sm(&heard.body));
                self.writer
                    .write(status, sequence, DataSmResp::default())
                    .await
            }
            CommandId::EnquireLink => {
                self.writer
                    .write(CommandStatus::EsmeRok, sequence, Pdu::EnquireLinkResp)
                    .await
            }
            CommandId::Unbind => {
                self.writer
                    .write(CommandStatus::EsmeRok, sequence, Pdu::UnbindResp)
                    .await?;
                Err(SessionLost)
            }
            // Notifications that need no answer, and answers that nobody waits for any more.
            CommandId::AlertNotification | CommandId::Outbind => Ok(()),
            id if u32::from(id) & ANSWER != 0 => Ok(()),
            _ => {
                self.writer
                    .write(CommandStatus::EsmeRinvcmdid, sequence, Pdu::GenericNack)
                    .await
            }
        }
    }

    /// Passes on the answer to a message; an answer that arrives too late is dropped.
    fn answer_submission(&mut self, heard: &Received) {
        let Some(waiting) = self.waiting.remove(&heard.sequence) else {
            return;
        };
        let answer = match heard.status {
            CommandStatus::EsmeRok => {
                Ok(self.rules.ids.accepted(&receipt::message_id(&heard.body)))
            }
            status => Err(judge(status)),
        };
        let _ = waiting.answer.send(answer);
    }

    /// Passes a receipt on. Only if the queue is full, the message centre is asked to repeat it: one that cannot be
    /// used would come again and again. Other messages, such as replies of customers, are ignored.
    fn take(&self, said: Said) -> CommandStatus {
        let name = self.rules.name.clone();
        let arrival = match said {
            Said::Other | Said::Nothing => return CommandStatus::EsmeRok,
            Said::Unreadable(why) => {
                // If there is no room, only the count is short of one.
                let _ = self.rules.receipts.try_send(Arrival::Unreadable(name, why));
                return CommandStatus::EsmeRok;
            }
            Said::Receipt(found) => Arrival::Receipt(ProviderReceipt {
                sender: name,
                about: About::References(self.rules.ids.named(&found)),
                receipt: found.receipt,
            }),
        };
        match self.rules.receipts.try_send(arrival) {
            Ok(()) => CommandStatus::EsmeRok,
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => CommandStatus::EsmeRxTAppn,
        }
    }

    /// Checks that the message centre is alive. A single answer may be lost; silence beyond the
    /// time limit ends the session.
    async fn check_deadlines(&mut self) -> Result<(), SessionLost> {
        let late = |since: &Instant| since.elapsed() > self.rules.timeout;
        let is_silent = |since: &Instant| late(since) && *since > self.heard_at;
        if self.asked_at.as_ref().is_some_and(late)
            || self
                .waiting
                .values()
                .any(|waiting| is_silent(&waiting.since))
        {
            return Err(SessionLost);
        }
        self.waiting
            .retain(|_, waiting| waiting.since.elapsed() <= self.rules.timeout);
        if self.asked_at.is_none() && self.heard_at.elapsed() > self.rules.enquire_every {
            self.asked_at = Some(Instant::now());
            let sequence = self.next();
            self.writer
                .write(CommandStatus::EsmeRok, sequence, Pdu::EnquireLink)
                .await?;
        }
        Ok(())
    }

    /// Sends `unbind`, and waits for the answer.
    async fn unbind(&mut self, reader: &mut CommandReader) -> Result<(), SessionLost> {
        let sequence = self.next();
        self.writer
            .write(CommandStatus::EsmeRok, sequence, Pdu::Unbind)
            .await?;
        // This loop ends: the caller sets a time limit.
        while reader.read().await?.id != CommandId::UnbindResp {}
        Ok(())
    }
}

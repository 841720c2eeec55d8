//! One connection to a server: offers a mail, and hands it over.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    mail::Mail,
    refusal::{Step, judge},
    unknown,
    wire::{Lost, ServerReply, Wire},
};
use crate::{
    domain::delivery::{blame::Stage, reason::Reason},
    ports::sender::SendError,
};

/// A connection that is ready for mail.
pub(super) struct Connection {
    pub(super) wire: Wire,
    /// Whether several commands may be sent before the first reply (RFC 2920).
    pub(super) pipelining: bool,
}

/// How far a mail has come, also if its future is dropped at a time limit.
#[derive(Default)]
pub(super) struct Progress {
    has_waited: AtomicBool,
    names_recipient: AtomicBool,
}

impl Progress {
    /// Notes that the server is judging the recipient, or has done so.
    fn name_recipient(&self) {
        self.names_recipient.store(true, Ordering::Relaxed);
    }

    /// Notes that other mails have all connections, so that this one has less than its time for the server.
    pub(super) fn wait(&self) {
        self.has_waited.store(true, Ordering::Relaxed);
    }

    /// Begins on a connection, perhaps after another one was lost.
    pub(super) fn begin(&self) {
        self.names_recipient.store(false, Ordering::Relaxed);
    }

    /// What a failure now says of other mails: little once the server judges the recipient.
    pub(super) fn stage(&self) -> Stage {
        if self.names_recipient.load(Ordering::Relaxed) {
            Stage::WithRecipient
        } else {
            Stage::BeforeRecipient
        }
    }

    /// What the time limit says of other mails: nothing if this one has waited for them.
    pub(super) fn stage_at_limit(&self) -> Stage {
        if self.has_waited.load(Ordering::Relaxed) {
            Stage::Alone
        } else {
            self.stage()
        }
    }
}

/// Why the server did not ask for the mail.
pub(super) enum Stop {
    Lost,
    Refused(Step, ServerReply),
}

impl Connection {
    /// Names sender and recipient, and waits until the server asks for the mail. With pipelining,
    /// all commands go in one write.
    pub(super) async fn offer(&mut self, mail: &Mail, progress: &Progress) -> Result<(), Stop> {
        let commands = [
            (Step::From, 2, format!("MAIL FROM:<{}>\r\n", mail.from)),
            (Step::Recipient, 2, format!("RCPT TO:<{}>\r\n", mail.to)),
            (Step::Data, 3, "DATA\r\n".to_owned()),
        ];
        if self.pipelining {
            let all: String = commands
                .iter()
                .map(|(_, _, command)| command.as_str())
                .collect();
            self.wire.say(&all).await?;
        }
        for (step, hundred, command) in commands {
            if step == Step::Recipient {
                progress.name_recipient();
            }
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

    /// Hands the mail over. If the connection is lost here, the server may or may not have accepted the mail.
    pub(super) async fn hand_over(&mut self, mail: &Mail) -> Result<(), SendError> {
        let reply = self
            .wire
            .ask(&mail.data)
            .await
            .map_err(|Lost| unknown(Reason::ConnectionLost).at(Stage::WithRecipient))?;
        if reply.is(2) {
            Ok(())
        } else {
            Err(judge(Step::Data, &reply))
        }
    }
}

impl From<Lost> for Stop {
    fn from(_: Lost) -> Self {
        Self::Lost
    }
}

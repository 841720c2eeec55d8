//! Decides whose fault a server's refusal is, and what to do next.

mod parties;
mod phrases;
mod status;
mod words;

use self::{
    status::Enhanced,
    words::{Meaning, Text},
};
use super::{deferred, login_refused, retry, wire::ServerReply};
use crate::{
    domain::delivery::{
        blame::{Blame, Stage},
        reason::Reason,
    },
    ports::sender::SendError,
};

/// The reply of a server that requires a login (RFC 4954).
const LOGIN_WANTED: u16 = 530;
/// The reply that names another address of the recipient (RFC 5321 §3.4).
const NOT_LOCAL: u16 = 551;

/// The step that the server refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    Login,
    From,
    Recipient,
    Data,
}

impl Step {
    const fn stage(self) -> Stage {
        match self {
            Self::Connect | Self::Login | Self::From => Stage::BeforeRecipient,
            Self::Recipient | Self::Data => Stage::WithRecipient,
        }
    }
}

/// What to do after a refusal. The server's texts tend to contain the address, so they are dropped here.
pub(super) fn judge(step: Step, reply: &ServerReply) -> SendError {
    let stage = step.stage();
    if !reply.is(4) && !reply.is(5) {
        // Neither yes nor no: the server does not follow the protocol.
        return retry(Reason::Unreachable).at(stage);
    }
    let refusal = Refusal::read(step, reply);
    match refusal.blame() {
        Blame::Ours if refusal.is_about_login() => login_refused().at(stage),
        Blame::Ours if refusal.is_for_now => SendError {
            blame: Blame::Ours,
            reason: Reason::SenderRefused,
            ..deferred(Reason::Busy).at(stage)
        },
        Blame::Ours => SendError::ours(Reason::SenderRefused).at(stage),
        Blame::Unclear => SendError::unclear(Reason::Refused).at(stage),
        Blame::Sender | Blame::Later if refusal.is_about_recipient() => {
            deferred(Reason::Busy).at(Stage::Alone)
        }
        Blame::Sender | Blame::Later => deferred(Reason::Busy).at(stage),
        Blame::Recipient => SendError::about_recipient(Reason::Refused),
    }
}

/// A refusal, with what its words and codes say.
struct Refusal {
    step: Step,
    code: u16,
    is_for_now: bool,
    text: Text,
    meaning: Option<Meaning>,
    status: Option<Enhanced>,
}

impl Refusal {
    fn read(step: Step, reply: &ServerReply) -> Self {
        let text = Text::of(&reply.lines);
        Self {
            step,
            code: reply.code,
            is_for_now: reply.is(4),
            meaning: text.meaning(step == Step::Recipient),
            status: Enhanced::of(&reply.lines),
            text,
        }
    }

    /// Whether the server refuses the login, or wants one that there is none for.
    fn is_about_login(&self) -> bool {
        !self.is_for_now && (self.step == Step::Login || self.code == LOGIN_WANTED)
    }

    /// Whether a deferral is of this recipient, and no other message would have met it.
    fn is_about_recipient(&self) -> bool {
        self.step.stage() == Stage::WithRecipient
            && (self.meaning == Some(Meaning::Recipient)
                || self.text.names_recipient()
                || self.text.is_greylisting()
                || self.status.is_some_and(Enhanced::is_about_mailbox))
    }

    /// Whose fault it is, by the step, the codes and the words. Only what clearly names the recipient is the
    /// recipient's: a customer must not lose a message because a server refuses us.
    fn blame(&self) -> Blame {
        if self.is_for_now {
            return self.blame_for_now();
        }
        match self.step {
            Step::Connect | Step::Login | Step::From => return Blame::Ours,
            Step::Recipient | Step::Data => {}
        }
        match self.meaning {
            _ if self.code == LOGIN_WANTED => Blame::Ours,
            Some(Meaning::Us) => Blame::Ours,
            Some(Meaning::Recipient) => Blame::Recipient,
            Some(Meaning::UsPerhaps | Meaning::Doubt) | None => self.blame_by_status(),
        }
    }

    /// Whose fault a deferral is: ours if waiting does not help.
    fn blame_for_now(&self) -> Blame {
        let is_said = self.meaning == Some(Meaning::Us) && !self.text.is_passing();
        if is_said || self.status.is_some_and(Enhanced::is_about_us) {
            Blame::Ours
        } else {
            Blame::Later
        }
    }

    fn blame_by_status(&self) -> Blame {
        let is_named = self.text.names_recipient();
        let is_protocol = self.status.is_some_and(Enhanced::is_about_protocol);
        match self.status.and_then(Enhanced::blame) {
            // `need fully-qualified address`: a breach of the protocol by whoever wrote the address.
            Some(Blame::Ours) if is_named && is_protocol => Blame::Recipient,
            Some(Blame::Ours) => Blame::Ours,
            _ if self.meaning == Some(Meaning::Doubt) => Blame::Unclear,
            Some(blame) => blame,
            None if self.meaning == Some(Meaning::UsPerhaps) => Blame::Ours,
            None if is_named || self.code == NOT_LOCAL => Blame::Recipient,
            None if self.text.names_network() => Blame::Ours,
            None => Blame::Unclear,
        }
    }
}

#[cfg(test)]
mod tests;

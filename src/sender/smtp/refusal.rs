//! Decides whose fault a server's refusal is, and what to do next.

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
    let is_for_now = reply.is(4);
    match blame(step, reply) {
        Blame::Ours if is_about_login(step, reply) => login_refused().at(stage),
        Blame::Ours if is_for_now => SendError {
            blame: Blame::Ours,
            reason: Reason::SenderRefused,
            ..deferred(Reason::Busy)
        },
        Blame::Ours => SendError::ours(Reason::SenderRefused),
        Blame::Unclear => SendError::unclear(Reason::Refused),
        Blame::Sender | Blame::Later => deferred(Reason::Busy),
        Blame::Recipient => SendError::about_recipient(Reason::Refused),
    }
    .at(stage)
}

/// Whether the server refuses the login, or wants one that there is none for.
fn is_about_login(step: Step, reply: &ServerReply) -> bool {
    reply.is(5) && (step == Step::Login || reply.code == LOGIN_WANTED)
}

/// Whose fault a refusal is, by the step, the codes and the words of the reply. Only what clearly names the recipient is
/// the recipient's: a customer must not lose a message because a server refuses us.
fn blame(step: Step, reply: &ServerReply) -> Blame {
    let text = Text::of(&reply.lines);
    let (meaning, status) = (text.meaning(), Enhanced::of(&reply.lines));
    if reply.is(4) {
        // Greylisting is for everybody, whatever else the text says.
        let is_ours = meaning == Some(Meaning::Us) && !text.is_greylisting();
        return if is_ours { Blame::Ours } else { Blame::Later };
    }
    match step {
        Step::Connect | Step::Login | Step::From => return Blame::Ours,
        Step::Recipient | Step::Data => {}
    }
    match meaning {
        Some(Meaning::Us) => return Blame::Ours,
        Some(Meaning::Recipient) => return Blame::Recipient,
        Some(Meaning::Doubt) | None => {}
    }
    let by_status = status.and_then(Enhanced::blame);
    match by_status {
        _ if reply.code == LOGIN_WANTED => Blame::Ours,
        Some(Blame::Ours) => Blame::Ours,
        _ if meaning == Some(Meaning::Doubt) => Blame::Unclear,
        Some(blame) => blame,
        None if text.names_recipient() || reply.code == NOT_LOCAL => Blame::Recipient,
        None => Blame::Unclear,
    }
}

#[cfg(test)]
mod tests;

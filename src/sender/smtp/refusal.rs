//! Decides what to do after a server has refused something.

use super::{deferred, give_up, next_sender, retry, wire::ServerReply};
use crate::{domain::delivery::reason::Reason, ports::sender::SendError};

/// The reply of a server that requires a login (RFC 4954).
const LOGIN_WANTED: u16 = 530;

/// The step that the server refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    Login,
    From,
    Recipient,
    Data,
}

/// What to do after a refusal. The server's texts tend to contain the address, so they are dropped here.
pub(super) fn judge(step: Step, reply: &ServerReply) -> SendError {
    match step {
        Step::Recipient | Step::Data if reply.is(4) && is_about_recipient(reply) => {
            deferred(Reason::Busy)
        }
        _ if reply.is(4) => retry(Reason::Busy),
        // Neither yes nor no: the server does not follow the protocol.
        _ if !reply.is(5) => retry(Reason::Unreachable),
        Step::Login => next_sender(Reason::LoginRefused),
        Step::Connect | Step::From => next_sender(Reason::SenderRefused),
        Step::Recipient | Step::Data if is_about_us(reply) => next_sender(Reason::SenderRefused),
        Step::Recipient | Step::Data => give_up(Reason::Refused),
    }
}

/// Whether the address or its mailbox cannot be reached at the moment (enhanced status 4.1
/// and 4.2, RFC 3463).
fn is_about_recipient(reply: &ServerReply) -> bool {
    ["4.1.", "4.2."]
        .iter()
        .any(|begin| reply.lines[0].starts_with(begin))
}

/// Whether the refusal concerns this service and not the recipient: policy (enhanced status 5.7,
/// RFC 3463: relaying denied, spam) or a missing login.
fn is_about_us(reply: &ServerReply) -> bool {
    reply.code == LOGIN_WANTED || reply.lines[0].starts_with("5.7.")
}

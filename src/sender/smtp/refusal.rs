//! Judges what a server said no to: what to do next.

use super::{deferred, give_up, next_sender, retry, wire::Reply};
use crate::ports::sender::SendError;

/// The server wants a login first (RFC 4954).
const LOGIN_WANTED: u16 = 530;

/// The step at which the server said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    Login,
    From,
    Recipient,
    Data,
}

/// What to do after a refusal. The words of the server stay here: they tend to hold the address.
pub(super) fn judge(step: Step, reply: &Reply) -> SendError {
    match step {
        Step::Recipient | Step::Data if reply.is(4) && is_about_recipient(reply) => {
            deferred("busy")
        }
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
    ["4.1.", "4.2."]
        .iter()
        .any(|begin| reply.lines[0].starts_with(begin))
}

/// A refusal for policy (enhanced status 5.7, RFC 3463: relaying denied, looks like spam) or for a missing login is about
/// us, not about the recipient.
fn is_about_us(reply: &Reply) -> bool {
    reply.code == LOGIN_WANTED || reply.lines[0].starts_with("5.7.")
}

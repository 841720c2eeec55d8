//! Reads a provider's answer: whether it accepted the message, and if not, what to do next.

use reqwest::StatusCode;
use serde_json::Value;

use super::super::transport::http::{
    Reply, again, always_ours, give_up, later, login_refused, next_sender, ours, unfit,
};
use crate::{
    domain::{
        delivery::{blame::Stage, reason::Reason},
        ids::ProviderReference,
    },
    ports::sender::{SendError, Sent},
};

/// How the answers of a provider are read. Codes are the values at `code_pointer`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerRules {
    /// Statuses that mean success. Empty: 200 to 299.
    pub success_status: Vec<u16>,
    /// Statuses of temporary errors, in addition to 408, 425, 429 and 500 to 599: the message may be accepted later.
    pub retry_status: Vec<u16>,
    /// Statuses that mean that no sender can deliver to this recipient.
    pub give_up_status: Vec<u16>,
    /// JSON pointer (RFC 6901) to the provider's code of success or failure.
    pub code_pointer: Option<String>,
    /// Codes that mean success. If not empty, an answer without one of them is a failure, whatever its status.
    pub success_codes: Vec<String>,
    /// Codes of temporary errors: the message may be accepted later.
    pub retry_codes: Vec<String>,
    /// Codes of errors on our side: another sender might accept the message.
    pub next_codes: Vec<String>,
    /// Codes of a login that the provider refuses, in addition to the statuses 401 and 403.
    pub login_codes: Vec<String>,
    /// Codes that mean that no sender can deliver to this recipient.
    pub give_up_codes: Vec<String>,
    /// JSON pointer to the state of the message in an answer of success.
    pub state_pointer: Option<String>,
    /// States that mean that the provider did not send the message, although it answered with success.
    pub failed_states: Vec<String>,
    /// JSON pointer to the provider's code in an answer with one of these states. `None`: `code_pointer`.
    pub state_code_pointer: Option<String>,
    /// JSON pointer to the provider's id of the message. If set, an answer without an id is a failure.
    pub reference_pointer: Option<String>,
}

/// Reads an answer. The provider's texts tend to contain the address, so they are dropped here.
pub(in super::super) fn judge(rules: &AnswerRules, reply: &Reply) -> Result<Sent, SendError> {
    let json: Option<Value> = reply
        .body
        .as_ref()
        .and_then(|body| serde_json::from_slice(body).ok());
    let at = |pointer: &Option<String>| json.as_ref()?.pointer(pointer.as_ref()?).and_then(text);
    let takes = takes(rules, reply.status);
    let has_failed =
        takes && at(&rules.state_pointer).is_some_and(|state| rules.failed_states.contains(&state));
    let code = if has_failed && rules.state_code_pointer.is_some() {
        at(&rules.state_code_pointer)
    } else {
        at(&rules.code_pointer)
    };
    let is_in = |codes: &[String]| code.as_ref().is_some_and(|code| codes.contains(code));
    let status = reply.status.as_u16();
    if is_in(&rules.give_up_codes) || rules.give_up_status.contains(&status) {
        return Err(give_up(Reason::Refused));
    }
    if is_in(&rules.login_codes) {
        return Err(login_refused());
    }
    if is_in(&rules.retry_codes) || rules.retry_status.contains(&status) {
        return Err(later(Reason::Busy, reply.retry_after));
    }
    if is_busy(reply.status) {
        return Err(busy(reply));
    }
    if is_in(&rules.next_codes) {
        return Err(ours(Reason::SenderRefused));
    }
    if !takes {
        return Err(refusal(reply.status));
    }
    if has_failed {
        return Err(unfit(Reason::SenderRefused));
    }
    if reply.body.is_none()
        && (rules.reference_pointer.is_some() || !rules.success_codes.is_empty())
    {
        return Err(next_sender(Reason::OversizedReply));
    }
    if !rules.success_codes.is_empty() && !is_in(&rules.success_codes) {
        return Err(if code.is_some() {
            unfit(Reason::SenderRefused)
        } else {
            next_sender(Reason::MalformedReply)
        });
    }
    let reference = at(&rules.reference_pointer);
    if rules.reference_pointer.is_some() && reference.is_none() {
        // Something else answered in the provider's place: a proxy or a login page.
        return Err(next_sender(Reason::MalformedReply));
    }
    Ok(Sent {
        reference: reference.and_then(|reference| ProviderReference::parse(&reference).ok()),
        ..Sent::default()
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn takes(rules: &AnswerRules, status: StatusCode) -> bool {
    if rules.success_status.is_empty() {
        status.is_success()
    } else {
        rules.success_status.contains(&status.as_u16())
    }
}

/// Whether the status means a temporary error: time-out, too early, too many requests, or a server error.
pub(in super::super) fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error()
}

/// What to do after such a status. A provider that fails does so for every message; one that asks for patience may mean
/// this recipient alone.
pub(in super::super) fn busy(reply: &Reply) -> SendError {
    if reply.status.is_server_error() {
        again(Reason::Busy, reply.retry_after)
    } else {
        later(Reason::Busy, reply.retry_after)
    }
}

/// What to do after a failure with this status. A refused login, an unpaid account, and an answer that is not the
/// provider's would happen to every message; any other refusal may concern this message, also 403, which some providers
/// answer for a country that the account may not send to.
pub(in super::super) fn refusal(status: StatusCode) -> SendError {
    match status {
        StatusCode::UNAUTHORIZED => login_refused(),
        StatusCode::FORBIDDEN => login_refused().at(Stage::WithRecipient),
        StatusCode::PAYMENT_REQUIRED => always_ours(Reason::SenderRefused),
        _ if status.is_redirection() => always_ours(Reason::Redirected),
        _ if status.is_success() => next_sender(Reason::UnknownAnswer),
        _ => unfit(Reason::SenderRefused),
    }
}

//! Reads a provider's answer: whether it accepted the message, and if not, what to do next.

use reqwest::StatusCode;

use super::super::transport::http::{
    Reply, again, always_ours, give_up, later, login_refused, next_sender, ours, unfit,
};
use super::reply::{AnswerForm, Content, Pattern};
use crate::{
    domain::{
        delivery::{blame::Stage, reason::Reason},
        ids::ProviderReference,
    },
    ports::sender::{SendError, Sent},
};

/// How the answers of a provider are read. Codes are the values at `code_pointer`, in text the lines; `*` in a code stands
/// for any characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerRules {
    /// The form of the answers.
    pub form: AnswerForm,
    /// Statuses that mean success. Empty: 200 to 299.
    pub success_status: Vec<u16>,
    /// Statuses of temporary errors, in addition to 408, 425, 429 and 500 to 599: the message may be accepted later.
    pub retry_status: Vec<u16>,
    /// Statuses that mean that no sender can deliver to this recipient.
    pub give_up_status: Vec<u16>,
    /// JSON pointer (RFC 6901) to the provider's code of success or failure, with `*` for each item of a list, all of which
    /// must then have succeeded. The same in the other pointers.
    pub code_pointer: Option<String>,
    /// Codes that mean success. If not empty, an answer without one of them is a failure, whatever its status.
    pub success_codes: Vec<Pattern>,
    /// Codes of temporary errors: the message may be accepted later.
    pub retry_codes: Vec<Pattern>,
    /// Codes of errors on our side: another sender might accept the message.
    pub next_codes: Vec<Pattern>,
    /// Codes of a login that the provider refuses, in addition to the statuses 401 and 403.
    pub login_codes: Vec<Pattern>,
    /// Codes that mean that no sender can deliver to this recipient.
    pub give_up_codes: Vec<Pattern>,
    /// JSON pointer to the state of the message in an answer of success.
    pub state_pointer: Option<String>,
    /// States that mean that the provider did not send the message, although it answered with success.
    pub failed_states: Vec<String>,
    /// JSON pointer to the provider's code in an answer with one of these states. `None`: `code_pointer`.
    pub state_code_pointer: Option<String>,
    /// JSON pointer to the provider's id of the message. If set, an answer without an id is a failure.
    pub reference_pointer: Option<String>,
    /// The same for text: a line with the place of the id.
    pub reference_pattern: Option<Pattern>,
}

/// Reads an answer. The provider's texts tend to contain the address, so they are dropped here.
pub(in super::super) fn judge(rules: &AnswerRules, reply: &Reply) -> Result<Sent, SendError> {
    let found = Found::new(rules, reply);
    let is_in = |codes: &[Pattern]| found.is_refused_by(codes);
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
    if !takes(rules, reply.status) {
        return Err(refusal(reply.status));
    }
    if found.has_failed {
        return Err(unfit(Reason::SenderRefused));
    }
    let needs_reference = rules.reference_pointer.is_some() || rules.reference_pattern.is_some();
    if reply.body.is_none() && (needs_reference || !rules.success_codes.is_empty()) {
        return Err(next_sender(Reason::OversizedReply));
    }
    if !rules.success_codes.is_empty() && !found.all_succeeded() {
        return Err(if found.codes.iter().any(Option::is_some) {
            unfit(Reason::SenderRefused)
        } else {
            next_sender(Reason::MalformedReply)
        });
    }
    if needs_reference && found.references.is_empty() {
        // Something else answered in the provider's place: a proxy or a login page.
        return Err(next_sender(Reason::MalformedReply));
    }
    let names = found.references.iter();
    let mut names = names.filter_map(|name| ProviderReference::parse(name).ok());
    Ok(Sent {
        reference: names.next(),
        aliases: names.collect(),
    })
}

/// What the rules find in an answer. An answer about several items, such as the parts of a long message, has several of
/// each; `None` is an item without a code.
struct Found<'a> {
    success_codes: &'a [Pattern],
    codes: Vec<Option<String>>,
    /// Whether the answer says that the message failed, although its status is a success.
    has_failed: bool,
    references: Vec<String>,
}

impl<'a> Found<'a> {
    fn new(rules: &'a AnswerRules, reply: &Reply) -> Self {
        let body = reply.body.as_deref().unwrap_or_default();
        let content = Content::read(rules.form, body);
        let at = |pointer: &Option<String>| {
            let values = pointer.as_ref().map(|pointer| content.values(pointer));
            values.unwrap_or_default()
        };
        let has_failed = takes(rules, reply.status)
            && at(&rules.state_pointer)
                .iter()
                .flatten()
                .any(|state| rules.failed_states.contains(state));
        let codes = match rules.form {
            AnswerForm::Text => content.lines().iter().cloned().map(Some).collect(),
            AnswerForm::Json | AnswerForm::Xml
                if has_failed && rules.state_code_pointer.is_some() =>
            {
                at(&rules.state_code_pointer)
            }
            AnswerForm::Json | AnswerForm::Xml => at(&rules.code_pointer),
        };
        let in_lines = |pattern: &Pattern| -> Vec<String> {
            let lines = content.lines().iter();
            let names = lines.filter_map(|line| pattern.id_in(line));
            names.map(|name| name.trim().to_owned()).collect()
        };
        let references = match &rules.reference_pattern {
            Some(pattern) => in_lines(pattern),
            None => at(&rules.reference_pointer).into_iter().flatten().collect(),
        };
        Self {
            success_codes: &rules.success_codes,
            codes,
            has_failed,
            references: references
                .into_iter()
                .filter(|name| !name.is_empty())
                .collect(),
        }
    }

    /// Whether every item was accepted, and there is one.
    fn all_succeeded(&self) -> bool {
        !self.codes.is_empty() && self.codes.iter().all(|code| self.is_success(code.as_ref()))
    }

    fn is_success(&self, code: Option<&String>) -> bool {
        code.is_some_and(|code| is_one_of(self.success_codes, code))
    }

    /// Whether an item that was not accepted has one of these codes.
    fn is_refused_by(&self, codes: &[Pattern]) -> bool {
        let mut refused = self
            .codes
            .iter()
            .filter(|code| !self.is_success(code.as_ref()));
        refused.any(|code| code.as_ref().is_some_and(|code| is_one_of(codes, code)))
    }
}

fn is_one_of(codes: &[Pattern], code: &str) -> bool {
    codes.iter().any(|known| known.matches(code))
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

//! Asks the operator's hook before a message goes out.

use std::{sync::Arc, time::Duration};

use super::{Service, hand_over::Ready};
use crate::{
    domain::{recipient::Channel, subject::SubjectRecord},
    ports::hook::{Answer, Hook, NoAnswer, Question},
};

/// The hook, and what holds when it does not answer.
#[derive(Clone)]
pub struct HookRule {
    /// Who is asked.
    pub hook: Arc<dyn Hook>,
    /// For which channels.
    pub channels: Vec<Channel>,
    /// How long it may take.
    pub timeout: Duration,
    /// Without an answer: may the message go out?
    pub allow_without_answer: bool,
}

impl Service {
    /// How long the hook may take.
    pub(super) fn hook_time(&self) -> Duration {
        self.parts.hook.as_ref().map_or(Duration::ZERO, |rule| rule.timeout)
    }

    /// The message, with the time that is left of it, if the hook lets it go; else why not, as a word for machines. For a
    /// decoy nobody is asked: there is no message.
    pub(super) async fn past_hook(&self, record: Option<&SubjectRecord>, ready: Ready) -> Result<Ready, String> {
        let verification = record.and_then(|record| record.find(&ready.draft.verification));
        let (Some(rule), Some(verification), false) = (&self.parts.hook, verification, ready.decoy) else { return Ok(ready) };
        let question = Question {
            delivery: ready.draft.delivery,
            verification: verification.id,
            tenant: verification.tenant.clone(),
            action: verification.action.clone(),
            recipient: ready.draft.recipient.clone(),
        };
        let asked_at = self.parts.clock.now();
        if let Some(objection) = rule.objection(&question).await {
            return Err(objection);
        }
        let time_left = ready.time_left.saturating_sub(self.parts.clock.now().since(asked_at));
        if time_left.is_zero() { Err("verification_closed".to_owned()) } else { Ok(Ready { time_left, ..ready }) }
    }
}

impl HookRule {
    /// Why a message may not go out, as a word for machines; `None`: it may.
    pub(super) async fn objection(&self, question: &Question) -> Option<String> {
        if !self.channels.contains(&question.recipient.channel()) {
            return None;
        }
        let late = |_| Err(NoAnswer("timeout".to_owned()));
        let answer = tokio::time::timeout(self.timeout, self.hook.judge(question)).await.unwrap_or_else(late);
        let (outcome, objection) = match answer {
            Ok(Answer::Allow) => ("allowed", None),
            Ok(Answer::Deny { reason }) if reason.is_empty() => ("denied", Some("hook_denied".to_owned())),
            Ok(Answer::Deny { reason }) => ("denied", Some(format!("hook_denied:{reason}"))),
            Err(error) => {
                let delivery = question.delivery;
                tracing::warn!(%delivery, %error, allowed = self.allow_without_answer, "The hook gave no answer.");
                if self.allow_without_answer {
                    ("no_answer_allowed", None)
                } else {
                    ("no_answer_denied", Some("hook_failed".to_owned()))
                }
            }
        };
        metrics::counter!("countersign_hook_answers_total", "outcome" => outcome).increment(1);
        objection
    }
}

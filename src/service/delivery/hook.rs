//! Asks the operator's hook before a message goes out.

use std::{sync::Arc, time::Duration};

use super::{Courier, draft::Draft, fate::Fate, hand_over::Ready};
use crate::{
    domain::{delivery::reason::Reason, recipient::Channel, verification::Verification},
    ports::hook::{Hook, HookDecision, NoAnswer, Question},
};

/// The hook, and what happens if it does not answer.
#[derive(Clone)]
pub struct HookRule {
    /// The connection to the operator's own service.
    pub hook: Arc<dyn Hook>,
    /// The channels whose messages it judges.
    pub channels: Vec<Channel>,
    /// The longest time to wait for its answer.
    pub timeout: Duration,
    /// Whether a message goes out when the hook does not answer.
    pub allow_without_answer: bool,
}

impl Courier {
    /// The longest time to wait for the hook; zero without a hook.
    pub(super) fn hook_time(&self) -> Duration {
        self.hook
            .as_ref()
            .map_or(Duration::ZERO, |rule| rule.timeout)
    }

    /// The question for the hook about a message; `None` if no hook judges its channel.
    pub(super) fn question(&self, verification: &Verification, draft: &Draft) -> Option<Question> {
        let rule = self.hook.as_ref()?;
        rule.channels
            .contains(&draft.recipient.channel())
            .then(|| Question {
                delivery: draft.delivery,
                verification: verification.id,
                tenant: verification.tenant.clone(),
                action: verification.action.clone(),
                recipient: draft.recipient.clone(),
            })
    }

    /// Asks the hook, unless it has no say in this message. Returns the message with the time that is left, or why it
    /// may not be sent.
    pub(super) async fn past_hook(&self, mut ready: Ready) -> Result<Ready, Reason> {
        let (Some(rule), Some(question)) = (&self.hook, ready.question.take()) else {
            return Ok(ready);
        };
        let asked_at = self.clock.now();
        if let Some(objection) = rule.objection(&question).await {
            ready.draft.log_outcome(None, Fate::Failed(&objection));
            return Err(objection);
        }
        let time_left = ready
            .time_left
            .saturating_sub(self.clock.now().since(asked_at));
        if time_left.is_zero() {
            // The commit of the report logs this reason.
            Err(Reason::VerificationClosed)
        } else {
            Ok(Ready { time_left, ..ready })
        }
    }
}

impl HookRule {
    /// Why a message may not go out; `None`: it may.
    pub(super) async fn objection(&self, question: &Question) -> Option<Reason> {
        let late = |_| Err(NoAnswer(Reason::Timeout));
        let answer = tokio::time::timeout(self.timeout, self.hook.judge(question))
            .await
            .unwrap_or_else(late);
        let (outcome, objection) = match answer {
            Ok(HookDecision::Allow) => ("allowed", None),
            Ok(HookDecision::Deny { reason }) => ("denied", Some(reason)),
            Err(error) => {
                let (verification_id, delivery_id) = (question.verification, question.delivery);
                tracing::warn!(%verification_id, %delivery_id, %error, allowed = self.allow_without_answer, "hook gave no answer");
                if self.allow_without_answer {
                    ("no_answer_allowed", None)
                } else {
                    ("no_answer_denied", Some(Reason::HookFailed))
                }
            }
        };
        metrics::counter!("countersign_hook_answers_total", "outcome" => outcome).increment(1);
        objection
    }
}

//! The hook: a check of the operator's own that may stop a message just before it is sent.

use async_trait::async_trait;

use crate::domain::{
    delivery::reason::Reason,
    ids::{ActionName, DeliveryId, TenantId, VerificationId},
    recipient::Recipient,
};

/// The question to the hook: may this message be sent? Contains neither the code nor what is being approved.
#[derive(Clone, Debug)]
pub struct Question {
    /// The delivery that the message belongs to; the same for every attempt.
    pub delivery: DeliveryId,
    /// The verification that the delivery belongs to.
    pub verification: VerificationId,
    /// The tenant that the customer belongs to.
    pub tenant: TenantId,
    /// The action that the customer is to approve.
    pub action: ActionName,
    /// The address that the message would be sent to.
    pub recipient: Recipient,
}

/// The hook's decision on one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookDecision {
    /// The message may be sent.
    Allow,
    /// The message must not be sent.
    Deny {
        /// `hook_denied`, with the hook's own word if it gives one.
        reason: Reason,
    },
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(pub Reason);

impl HookDecision {
    /// A denial with this reason. A reason that is not a short word of `a-z` and `_` is dropped, because it would
    /// be stored and logged.
    #[must_use]
    pub fn deny(reason: &str) -> Self {
        Self::Deny {
            reason: Reason::from_hook(reason),
        }
    }
}

/// A check that decides on each message before it is sent. Called for every attempt.
#[async_trait]
pub trait Hook: Send + Sync {
    /// Asks whether a message may be sent.
    ///
    /// # Errors
    /// [`NoAnswer`]; the caller decides whether the message is sent all the same.
    async fn judge(&self, question: &Question) -> Result<HookDecision, NoAnswer>;
}

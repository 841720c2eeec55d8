//! The hook: somebody of the operator's own who may stop a message just before it goes out.

use async_trait::async_trait;

use crate::domain::{
    delivery::reason::Reason,
    ids::{ActionName, DeliveryId, TenantId, VerificationId},
    recipient::Recipient,
};

/// What is asked: may this message go out? It tells neither the code nor what is approved.
#[derive(Clone, Debug)]
pub struct Question {
    /// The delivery: the same for every try.
    pub delivery: DeliveryId,
    /// The verification it belongs to.
    pub verification: VerificationId,
    /// Whose customer.
    pub tenant: TenantId,
    /// What for.
    pub action: ActionName,
    /// Where to.
    pub recipient: Recipient,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It may go out.
    Allow,
    /// It may not.
    Deny {
        /// `hook_denied`, with the hook's own word if it gives one.
        reason: Reason,
    },
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(pub Reason);

impl Answer {
    /// A denial for this reason, if it is a word that may be stored and logged.
    #[must_use]
    pub fn deny(reason: &str) -> Self {
        Self::Deny {
            reason: Reason::from_hook(reason),
        }
    }
}

/// Judges messages.
#[async_trait]
pub trait Hook: Send + Sync {
    /// May it go out?
    ///
    /// # Errors
    /// [`NoAnswer`]: what follows then is not for the hook to say.
    async fn judge(&self, question: &Question) -> Result<Answer, NoAnswer>;
}

//! A message that a decision would send, as the quotas count it.

use crate::domain::{
    delivery::reason::Reason,
    ids::{ActionName, CallerName, Reference, SubjectId, TenantId},
    limit::quota::Network,
    recipient::Recipient,
    verification::{Contact, Pending, Verification},
};

/// A message that a decision would send. Whatever sends one names it here, so no message leaves the quotas out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The tenant of the customer.
    pub tenant: TenantId,
    /// The caller that started the verification.
    pub caller: CallerName,
    /// The action to be approved.
    pub action: ActionName,
    /// The customer.
    pub subject: SubjectId,
    /// The address.
    pub recipient: Recipient,
    /// What brings the message about.
    pub occasion: Occasion,
    /// Whether the subject has no record yet.
    pub new_subject: bool,
    /// Whether no message went from the subject to this address within a day.
    pub new_recipient: bool,
}

/// What brings a message about. Every message counts for its address, its subject and its tenant; a start also counts for
/// whoever asks. A resend asks for nothing new: its start was counted, and it has few sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A start.
    Start(Asker),
    /// A resend.
    Resend,
    /// The next step of a plan: nobody calls. It counts as a resend does.
    Plan,
}

/// Who asks for a start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// The contact that asks, and its agent.
    pub contact: Option<Contact>,
    /// The network of the customer's address.
    pub network: Option<Network>,
    /// The caller's own keys to limit by.
    pub keys: Vec<Reference>,
}

/// A message of a plan that may not be sent, so that its channel is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedMessage {
    /// The message.
    pub message: Outgoing,
    /// Which limit it would exceed.
    pub reason: Reason,
}

impl Outgoing {
    /// One more message of a verification, to a recipient that the record does not count yet.
    pub(super) fn again(
        verification: &Verification,
        pending: &Pending,
        recipient: &Recipient,
        occasion: Occasion,
    ) -> Self {
        Self {
            tenant: verification.tenant.clone(),
            caller: verification.caller.clone(),
            action: verification.action.clone(),
            subject: pending.subject.clone(),
            recipient: recipient.clone(),
            occasion,
            new_subject: false,
            new_recipient: false,
        }
    }
}

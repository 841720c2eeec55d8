//! A message that a decision would send, as the quotas count it.

use crate::domain::{
    delivery::reason::Reason,
    ids::{ActionName, CallerName, Reference, SubjectId, TenantId},
    limit::quota::Network,
    recipient::Recipient,
    verification::{Contact, Pending, Verification, rules::Origin},
};

/// A message that a decision would send. Every decision that sends one returns it, so no
/// message bypasses the quotas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The tenant of the customer.
    pub tenant: TenantId,
    /// The caller that started the verification.
    pub caller: CallerName,
    /// The action to be approved.
    pub action: ActionName,
    /// The customer, by the caller's id.
    pub subject: SubjectId,
    /// The address that the message goes to.
    pub recipient: Recipient,
    /// What causes the message.
    pub occasion: Occasion,
    /// Who could have started the verification: each origin is counted apart.
    pub origin: Origin,
    /// Whether the store has no record of the subject yet.
    pub new_subject: bool,
    /// Whether no message of the subject went to this address within the last day.
    pub new_recipient: bool,
    /// Whether nothing is sent, because there is no such customer. It counts like a message to a customer who is known at
    /// the address, so that the limits do not tell one from the other.
    pub decoy: bool,
}

/// What causes a message. Every message counts for its address, its subject and its tenant. A start
/// also counts for whoever asks; a resend does not, because its start was counted and
/// its sends are limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A start, asked for by this contact.
    Start(Asker),
    /// A resend that the caller asked for.
    Resend,
    /// The next step of a plan, without a call. It counts like a resend.
    Plan,
}

/// Who asks for a start, as far as the quotas limit it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// The contact in which it is asked for, with its agent.
    pub contact: Option<Contact>,
    /// The network of the customer's IP address, if the caller gave one.
    pub network: Option<Network>,
    /// Further keys to limit by, chosen by the caller.
    pub keys: Vec<Reference>,
}

/// A plan's message that the quotas refused, so its channel is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedMessage {
    /// The message that was refused.
    pub message: Outgoing,
    /// Which limit it would exceed.
    pub reason: Reason,
}

impl Outgoing {
    /// Whether the recipient counts as new to the subject.
    #[must_use]
    pub fn is_new_recipient(&self) -> bool {
        self.new_recipient && !self.decoy
    }

    /// A further message of a verification. `new_recipient` is set later, once the record
    /// has counted the recipient.
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
            origin: verification.origin,
            new_subject: false,
            new_recipient: false,
            decoy: pending.decoy,
        }
    }
}

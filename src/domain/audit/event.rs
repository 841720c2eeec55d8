//! Audit events: who did what, when, where, and with which outcome.

use crate::domain::{
    delivery::reason::Reason,
    ids::{ActionName, CallerName, Reference, SenderName, VerificationId},
    limit::quota::Dimension,
    recipient::{Channel, rules::Unfit},
    time::Timestamp,
    verification::{Judgement, Outcome, Verification, rules::Origin},
};

/// One entry of the audit trail. It has no address, no code and no subject id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// The caller; `None` if the service acted by itself.
    pub caller: Option<CallerName>,
    /// The agent who served the contact.
    pub agent: Option<Reference>,
    /// The contact in which it happened.
    pub contact: Option<Reference>,
    /// The verification that it concerns.
    pub verification: Option<VerificationId>,
    /// The action of the verification.
    pub action: Option<ActionName>,
    /// What happened.
    pub what: What,
}

/// The kind of an event, with its details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A verification started.
    Started {
        /// The channel of the first message.
        channel: Channel,
    },
    /// A recipient of the start may get no message, so the start uses another one.
    PassedOver {
        /// The channel of the recipient.
        channel: Channel,
        /// Why it may get no message.
        why: Unfit,
    },
    /// A caller had the code sent again.
    Resent {
        /// The channel of the message.
        channel: Channel,
    },
    /// The channel plan moved on to its next step.
    MovedOn {
        /// The channel of the message.
        channel: Channel,
    },
    /// A guess counted.
    Checked {
        /// Whether it was right.
        judgement: Judgement,
    },
    /// A call was refused, or a guess came after the end.
    Refused {
        /// The name of the call.
        call: &'static str,
        /// The reason, as in the API.
        reason: &'static str,
        /// The quota that was exceeded, if that is the reason.
        quota: Option<Dimension>,
    },
    /// A message was sent although the guard, which only records, would have refused it.
    WouldRefuse {
        /// The count of the guard that was exceeded.
        quota: Dimension,
    },
    /// The verification ended: exactly one for each start.
    Closed {
        /// How it ended.
        outcome: Outcome,
    },
    /// A sender accepted the message.
    Sent {
        /// The channel of the message.
        channel: Channel,
        /// The sender of the settings.
        sender: SenderName,
    },
    /// The message was given up.
    SendFailed {
        /// The channel of the message.
        channel: Channel,
        /// Why it was given up.
        reason: Reason,
    },
    /// The provider says that the message arrived.
    Delivered {
        /// The channel of the message.
        channel: Channel,
        /// The sender of the settings.
        sender: SenderName,
    },
    /// The provider says that the message did not arrive.
    Undelivered {
        /// The channel of the message.
        channel: Channel,
        /// The sender of the settings.
        sender: SenderName,
        /// Why it did not arrive.
        reason: Reason,
    },
    /// An approval came after three failures or more: the customer should be told.
    ApprovedAfterFailures {
        /// The number of failures.
        failures: u32,
    },
    /// The failure limit is reached.
    Disabled {
        /// For starts of this origin.
        origin: Origin,
    },
}

impl Event {
    /// An event of a verification that no call caused.
    #[must_use]
    pub fn of(verification: &Verification, at: Timestamp, what: What) -> Self {
        let contact = verification.contact.as_ref();
        Self {
            at,
            caller: None,
            agent: contact.and_then(|contact| contact.agent.clone()),
            contact: contact.map(|contact| contact.id.clone()),
            verification: Some(verification.id),
            action: Some(verification.action.clone()),
            what,
        }
    }

    /// The same event, caused by a call of this caller.
    #[must_use]
    pub fn by(self, caller: &CallerName) -> Self {
        Self {
            caller: Some(caller.clone()),
            ..self
        }
    }
}

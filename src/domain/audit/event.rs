//! What is written down of each decision: who, when, where, what, with which outcome.

use crate::domain::{
    ids::{ActionName, CallerName, Reference, SenderName, VerificationId},
    limit::quota::Dimension,
    recipient::{Channel, rules::Unfit},
    time::Timestamp,
    verification::{Judgement, Outcome, Verification, rules::Origin},
};

/// One line of the audit trail. It holds no address, no code and no subject id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// The caller; none if the service acted by itself.
    pub caller: Option<CallerName>,
    /// The agent of the contact.
    pub agent: Option<Reference>,
    /// The contact.
    pub contact: Option<Reference>,
    /// The verification.
    pub verification: Option<VerificationId>,
    /// Its action.
    pub action: Option<ActionName>,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A verification started.
    Started {
        /// The first road.
        channel: Channel,
    },
    /// A recipient of a start that went to another one may get no message, and never will by this verification.
    PassedOver {
        /// The road.
        channel: Channel,
        /// Why.
        why: Unfit,
    },
    /// Its code was asked for again.
    Resent {
        /// The road.
        channel: Channel,
    },
    /// The plan moved on to its next road.
    MovedOn {
        /// The road.
        channel: Channel,
    },
    /// A guess counted.
    Checked {
        /// What was said.
        judgement: Judgement,
    },
    /// A call was refused, or a guess came after the end.
    Refused {
        /// The call.
        call: &'static str,
        /// The reason, as in the API.
        reason: &'static str,
        /// The quota that was used up, if that is the reason.
        quota: Option<Dimension>,
    },
    /// A message was sent though the guard, which only records, would have refused it.
    WouldRefuse {
        /// The count of the guard that was used up.
        quota: Dimension,
    },
    /// The verification ended: exactly one for each start.
    Closed {
        /// How.
        outcome: Outcome,
    },
    /// A sender took the message.
    Sent {
        /// The road.
        channel: Channel,
        /// The sender of the settings.
        sender: SenderName,
    },
    /// The message was given up.
    SendFailed {
        /// The road.
        channel: Channel,
        /// Why, as a word for machines.
        reason: String,
    },
    /// The provider says that the message arrived.
    Delivered {
        /// The road.
        channel: Channel,
        /// The sender of the settings.
        sender: SenderName,
    },
    /// The provider says that the message did not arrive.
    Undelivered {
        /// The road.
        channel: Channel,
        /// The sender of the settings.
        sender: SenderName,
        /// Why, as a word for machines.
        reason: String,
    },
    /// An approval came after three failures or more: the customer should be told.
    ApprovedAfterFailures {
        /// How many.
        failures: u32,
    },
    /// The failure limit is reached.
    Disabled {
        /// For starts of this origin.
        origin: Origin,
    },
}

impl Event {
    /// An event of a verification, by nobody's call.
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

    /// The same by this caller's call.
    #[must_use]
    pub fn by(self, caller: &CallerName) -> Self {
        Self {
            caller: Some(caller.clone()),
            ..self
        }
    }
}

//! Audit events: who did what, when, on which contact, and with which outcome.

use std::collections::BTreeMap;

use crate::domain::{
    delivery::reason::Reason,
    ids::{ActionName, CallerName, Reference, SenderName, TenantId, UnlockReason, VerificationId},
    limit::bucket::BucketKind,
    recipient::{Channel, rules::Unfit},
    time::Timestamp,
    verification::{Judgement, Outcome, Verification, rules::Origin},
};

/// One entry of the audit trail. Contains no address, no code and no subject id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it happened, by the service's clock.
    pub at: Timestamp,
    /// The tenant of the caller, or of the verification if the service acted on its own.
    pub tenant: TenantId,
    /// The caller; `None` if the service acted on its own.
    pub caller: Option<CallerName>,
    /// The agent who served the contact; `None` if no agent was involved or the caller named none.
    pub agent: Option<Reference>,
    /// The contact in which it happened; `None` if the caller named none.
    pub contact: Option<Reference>,
    /// The verification concerned; `None` if a call was refused before there was one.
    pub verification: Option<VerificationId>,
    /// The action of the verification.
    pub action: Option<ActionName>,
    /// The kind of event, with its details.
    pub what: What,
}

/// Which call was refused, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefusedCall {
    /// The name of the call.
    pub call: &'static str,
    /// The reason, as in the API's `ErrorReason`.
    pub reason: &'static str,
    /// The quota that was exceeded; `None` if the reason is another.
    pub quota: Option<BucketKind>,
}

/// The kind of an event, with its details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A verification started; it will end with a [`What::Closed`].
    Started {
        /// The channel of the first message.
        channel: Channel,
    },
    /// A recipient of the start must not get a message, so the start uses another one.
    PassedOver {
        /// The channel of the recipient.
        channel: Channel,
        /// Why the recipient must not get a message.
        why: Unfit,
    },
    /// The code was sent again at a caller's request.
    Resent {
        /// The channel of the message.
        channel: Channel,
    },
    /// The channel plan moved on to its next step.
    MovedOn {
        /// The channel of the message.
        channel: Channel,
    },
    /// A guess was judged and counted.
    Checked {
        /// Whether it was right, and how many attempts are left.
        judgement: Judgement,
    },
    /// A call was refused, or a guess came after the end of the verification.
    Refused(RefusedCall),
    /// Such refusals came again and again. They were counted since their last event, each once.
    RefusedAgain {
        /// How often each was.
        counts: BTreeMap<RefusedCall, u64>,
    },
    /// A message was sent although the pumping guard, which only records, would have refused it.
    WouldRefuse {
        /// The count of the guard that was exceeded.
        quota: BucketKind,
    },
    /// The verification ended. There is exactly one such event for each start.
    Closed {
        /// The outcome with which it ended.
        outcome: Outcome,
    },
    /// A sender accepted the message.
    Sent {
        /// The channel of the message.
        channel: Channel,
        /// The name of the sender in the settings.
        sender: SenderName,
    },
    /// The message could not be sent, and no further attempt will be made.
    SendFailed {
        /// The channel of the message.
        channel: Channel,
        /// Why it was given up.
        reason: Reason,
    },
    /// The provider reports that the message arrived.
    Delivered {
        /// The channel of the message.
        channel: Channel,
        /// The name of the sender in the settings.
        sender: SenderName,
    },
    /// The provider reports that the message did not arrive.
    Undelivered {
        /// The channel of the message.
        channel: Channel,
        /// The name of the sender in the settings.
        sender: SenderName,
        /// Why it did not arrive.
        reason: Reason,
    },
    /// An approval came after three or more failures: the customer should be told.
    ApprovedAfterFailures {
        /// The number of failures before the approval.
        failures: u32,
    },
    /// Unusually many guesses fail, over all subjects: somebody may try one guess on each of many.
    ManyFailures {
        /// Whether the failures of one caller are many, which the event names, or those of all callers of the tenant.
        of_caller: bool,
        /// The failures in the current hour.
        failures: u32,
        /// The mean of the hours before.
        mean: u32,
    },
    /// An operator unlocked the subject: the failure limit counts from 0 again.
    Unlocked {
        /// Why, in the operator's words.
        reason: UnlockReason,
        /// The member of staff, if the caller named one.
        operator: Option<Reference>,
        /// The failures after anonymous starts that counted towards the limit.
        anonymous: u32,
        /// The failures after vouched starts that counted towards the limit.
        vouched: u32,
    },
    /// The failure limit is reached, so further guesses are refused.
    Disabled {
        /// The origin whose starts are affected.
        origin: Origin,
    },
}

impl Event {
    /// An event of a verification that was not caused by a call.
    #[must_use]
    pub fn of(verification: &Verification, at: Timestamp, what: What) -> Self {
        let contact = verification.contact.as_ref();
        Self {
            at,
            tenant: verification.tenant.clone(),
            caller: None,
            agent: contact.and_then(|contact| contact.agent.clone()),
            contact: contact.map(|contact| contact.id.clone()),
            verification: Some(verification.id),
            action: Some(verification.action.clone()),
            what,
        }
    }

    /// How many times it happened: more than once for refusals that were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.what {
            What::RefusedAgain { counts } => counts.values().sum(),
            What::Started { .. }
            | What::PassedOver { .. }
            | What::Resent { .. }
            | What::MovedOn { .. }
            | What::Checked { .. }
            | What::Refused(_)
            | What::WouldRefuse { .. }
            | What::Closed { .. }
            | What::Sent { .. }
            | What::SendFailed { .. }
            | What::Delivered { .. }
            | What::Undelivered { .. }
            | What::ApprovedAfterFailures { .. }
            | What::ManyFailures { .. }
            | What::Unlocked { .. }
            | What::Disabled { .. } => 1,
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

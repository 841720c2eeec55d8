//! A verification: one bounded effort to verify a subject, from its start to its end.

pub mod binding;
mod level;
pub mod rules;

use super::{
    code::{
        CodeFields, derive, derive_link,
        guess::Digits,
        link::{BrowserMark, LinkToken},
    },
    crypto::keyring::{Keyring, Kid, Mark},
    delivery::{Delivery, DeliveryStatus, reason::Reason},
    ids::{ActionName, CallerName, Locale, Reference, SubjectId, TenantId, VerificationId},
    recipient::{Channel, Recipient, test_recipients::TestRecipients},
    time::{Generation, Now, Timestamp},
    verification::{
        binding::Binding,
        rules::{CLOSED_MARGIN, EXPIRY_GRACE, EntryMode, Limits, Origin, SubjectRules},
    },
};

/// The contact in which the proof is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The caller's id of the contact.
    pub id: Reference,
    /// The case it belongs to.
    pub case: Option<Reference>,
    /// The contact channel, by the caller's own name for it.
    pub channel: Option<String>,
    /// The agent who serves it.
    pub agent: Option<Reference>,
}

/// Recognises a repeated request, and a request whose id was used before with another body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestMark {
    /// Keyed hash of caller and request id.
    pub id: Mark,
    /// Keyed hash of the body.
    pub body: Mark,
}

/// The judgement of a guess that counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The guess was right.
    Approved,
    /// The guess was wrong.
    Wrong {
        /// The guesses left after it, possibly 0.
        left: u8,
    },
}

/// A guess that counted, kept so that a repeated call gets the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Keyed hash of caller and attempt id.
    pub id: Mark,
    /// Keyed fingerprint of the guess, its only trace.
    pub fingerprint: Mark,
    /// The judgement that was given.
    pub judgement: Judgement,
}

/// The data that only a pending verification has. It is dropped at the end, and with it the inputs of the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The subject to be verified.
    pub subject: SubjectId,
    /// The 128 random bits from which the code is derived.
    pub nonce: [u8; 16],
    /// The addresses of the subject.
    pub recipients: Vec<Recipient>,
    /// The details that the customer approves.
    pub binding: Binding,
    /// The limits, as they were at the start.
    pub limits: Limits,
    /// The earliest time for a resend.
    pub next_resend_at: Timestamp,
    /// The browser that asked, if the caller marked it. A link works only there.
    pub browser: Option<BrowserMark>,
    /// Decoy: nothing is sent, no answer is accepted, and callers cannot tell.
    pub decoy: bool,
    /// Keyed hash of the network that the start came from; `None` if the caller named none.
    pub network: Option<Mark>,
}

impl Pending {
    /// The recipient on a channel and its index, if the limits permit the channel.
    #[must_use]
    pub fn recipient_on(&self, channel: Channel) -> Option<(usize, &Recipient)> {
        let permitted = self.limits.channels.contains(&channel);
        self.recipients
            .iter()
            .enumerate()
            .find(|(_, recipient)| permitted && recipient.channel() == channel)
    }

    /// The permitted channels that have a recipient, best first.
    #[must_use]
    pub fn reachable(&self) -> Vec<Channel> {
        let permitted = self.limits.channels.iter().copied();
        permitted
            .filter(|channel| self.recipient_on(*channel).is_some())
            .collect()
    }
}

/// Why a verification was canceled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelCause {
    /// The caller canceled it.
    Requested,
    /// A newer start took its place.
    Superseded,
    /// The store's generation changed, so the record may be out of date.
    Generation,
}

/// The outcome of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The right code was given in time.
    Approved,
    /// All attempts were used up by wrong codes.
    Rejected,
    /// The customer said "not me".
    Denied,
    /// It was canceled, for this cause.
    Canceled(CancelCause),
    /// The code expired before the right answer.
    Expired,
}

/// The phase of a verification, with the data of that phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for the code.
    Pending(Box<Pending>),
    /// It has ended, and its inputs of the code are dropped.
    Closed {
        /// How the verification ended.
        outcome: Outcome,
        /// The time of the end.
        at: Timestamp,
    },
}

/// One bounded effort to verify a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The id that callers use.
    pub id: VerificationId,
    /// The tenant of the subject.
    pub tenant: TenantId,
    /// The caller that started it.
    pub caller: CallerName,
    /// The action to be approved.
    pub action: ActionName,
    /// Whether the start was vouched for, or anybody could have made it.
    pub origin: Origin,
    /// The contact in which it was started, if the caller named one.
    pub contact: Option<Contact>,
    /// The customer's language; `None` if the caller did not give one.
    pub locale: Option<Locale>,
    /// The id of the key that its code is derived with.
    pub kid: Kid,
    /// The store's generation at the start.
    pub generation: Generation,
    /// The time of the start.
    pub created_at: Timestamp,
    /// When its code expires; fixed at the start.
    pub expires_at: Timestamp,
    /// The requests that led to messages: the start, then each resend.
    pub requests: Vec<RequestMark>,
    /// The guesses that counted, oldest first.
    pub answers: Vec<Answer>,
    /// The deliveries of its code, oldest first; at least one.
    pub deliveries: Vec<Delivery>,
    /// The phase as stored. Readers ask for [`Verification::status`], which knows about expiry.
    pub phase: Phase,
}

/// The status of a verification at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Waiting for the code.
    Pending,
    /// Closed with this outcome.
    Closed(Outcome),
}

impl Verification {
    /// The status at `now`. Expiry is computed by every reader, never stored first.
    #[must_use]
    pub fn status(&self, now: Now) -> Status {
        match &self.phase {
            Phase::Closed { outcome, .. } => Status::Closed(*outcome),
            Phase::Pending(_) if now.is_past(self.expires_at) => Status::Closed(Outcome::Expired),
            Phase::Pending(_) => Status::Pending,
        }
    }

    /// The data of a live verification: one that is pending and not expired.
    #[must_use]
    pub fn live(&self, now: Now) -> Option<&Pending> {
        match &self.phase {
            Phase::Pending(pending) if !now.is_past(self.expires_at) => Some(pending),
            Phase::Pending(_) | Phase::Closed { .. } => None,
        }
    }

    /// The latest delivery of the code. A step of the plan that was passed over counts only if there
    /// is no other delivery.
    #[must_use]
    pub fn latest_delivery(&self) -> Option<&Delivery> {
        let is_passed_over = |delivery: &&Delivery| {
            matches!(delivery.status, DeliveryStatus::Failed { .. }) && delivery.tries == 0
        };
        self.deliveries
            .iter()
            .rev()
            .find(|delivery| !is_passed_over(delivery))
            .or(self.deliveries.last())
    }

    /// When it ended; for an expired verification, its expiry.
    #[must_use]
    pub fn closed_at(&self, now: Now) -> Option<Timestamp> {
        match &self.phase {
            Phase::Closed { at, .. } => Some(*at),
            Phase::Pending(_) => now.is_past(self.expires_at).then_some(self.expires_at),
        }
    }

    /// Its code; `None` if it is closed or its key is no longer in the keyring. The code of a test
    /// recipient comes from the settings.
    #[must_use]
    pub fn code(&self, keyring: &Keyring, tests: &TestRecipients) -> Option<Digits> {
        let Phase::Pending(pending) = &self.phase else {
            return None;
        };
        if let Some(known) = tests.code_of_all(&pending.recipients) {
            return Some(known.clone());
        }
        derive(
            keyring,
            &self.kid,
            &self.code_fields(pending, &pending.binding.digest()),
        )
    }

    /// The token of its link; `None` if it has none, is closed, or its key is no longer in the keyring.
    #[must_use]
    pub fn link(&self, keyring: &Keyring) -> Option<LinkToken> {
        let Phase::Pending(pending) = &self.phase else {
            return None;
        };
        if pending.browser.is_none() || !pending.limits.entry_modes.contains(&EntryMode::Link) {
            return None;
        }
        let secret = derive_link(
            keyring,
            &self.kid,
            &self.code_fields(pending, &pending.binding.digest()),
        )?;
        Some(LinkToken {
            verification: self.id,
            secret,
        })
    }

    fn code_fields<'a>(&'a self, pending: &'a Pending, binding: &'a [u8; 32]) -> CodeFields<'a> {
        CodeFields {
            tenant: &self.tenant,
            subject: &pending.subject,
            action: &self.action,
            verification: &self.id,
            nonce: &pending.nonce,
            binding,
            length: pending.limits.code_length,
        }
    }

    /// Closes it: the inputs of the code are dropped, and messages that still wait are not sent.
    #[must_use]
    pub fn close(mut self, outcome: Outcome, at: Timestamp) -> Self {
        self.phase = Phase::Closed { outcome, at };
        let stop_sending = |delivery: Delivery| match delivery.status {
            DeliveryStatus::Queued { .. } => delivery.fail(Reason::VerificationClosed, at),
            // The holder of the lease may be handing it over right now, and will report.
            DeliveryStatus::Leased(_)
            | DeliveryStatus::Sent
            | DeliveryStatus::Delivered
            | DeliveryStatus::Undelivered { .. }
            | DeliveryStatus::Failed { .. } => delivery,
        };
        self.deliveries = self.deliveries.into_iter().map(stop_sending).collect();
        self
    }

    /// When the record may drop it; `None` while it is pending.
    #[must_use]
    pub fn forget_at(&self, rules: &SubjectRules) -> Option<Timestamp> {
        match &self.phase {
            Phase::Closed { at, .. } => Some(
                at.plus(rules.closed_retention)
                    .max(self.expires_at.plus(CLOSED_MARGIN)),
            ),
            Phase::Pending(_) => None,
        }
    }

    /// When it is next due: for a delivery, a step of its plan, its expiry, or to be forgotten.
    #[must_use]
    pub fn wake_at(&self, now: Now, rules: &SubjectRules) -> Timestamp {
        let end = self
            .forget_at(rules)
            .unwrap_or_else(|| self.expires_at.plus(EXPIRY_GRACE));
        let next_step = self.live(now).and(self.next_step()).map(|step| step.at);
        self.deliveries
            .iter()
            .filter_map(Delivery::wake_at)
            .chain(next_step)
            .fold(end, Timestamp::min)
    }
}

//! One bounded effort to prove, from start to closed.

pub mod binding;
pub mod rules;

use super::{
    code::{
        CodeFields, derive, derive_link,
        guess::Digits,
        link::{BrowserMark, LinkToken},
    },
    crypto::keyring::{Keyring, Kid, Mark},
    delivery::{Delivery, DeliveryStatus},
    ids::{ActionName, CallerName, Locale, Reference, SubjectId, TenantId, VerificationId},
    recipient::{Channel, Recipient, test_recipients::TestRecipients},
    time::{Generation, Now, Timestamp},
    verification::{
        binding::Binding,
        rules::{CLOSED_MARGIN, EXPIRY_GRACE, EntryMode, Limits, Origin, SubjectRules},
    },
};

/// The contact that asks for the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The caller's id of the contact.
    pub id: Reference,
    /// The case it belongs to.
    pub case: Option<Reference>,
    /// How it takes place, as a word.
    pub channel: Option<String>,
    /// The agent who serves it.
    pub agent: Option<Reference>,
}

/// Recognises a repeated request: which one it is, and whether its body is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestMark {
    /// Keyed hash of caller and request id.
    pub id: Mark,
    /// Keyed hash of the body.
    pub body: Mark,
}

/// What was said of a guess that counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Right.
    Approved,
    /// Wrong; so many guesses are left, possibly none.
    Wrong {
        /// Guesses left after it.
        left: u8,
    },
}

/// A guess that counted, so that its repeat gets the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Keyed hash of caller and attempt id.
    pub id: Mark,
    /// Keyed fingerprint of the guess; the only trace of it.
    pub fingerprint: Mark,
    /// What was said.
    pub judgement: Judgement,
}

/// What only a live verification has. It is dropped at the end, and with it all that the code is derived from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The person.
    pub subject: SubjectId,
    /// Fresh 128 bits that the code is derived from.
    pub nonce: [u8; 16],
    /// Where the person can be reached.
    pub recipients: Vec<Recipient>,
    /// What is approved.
    pub binding: Binding,
    /// The rules, as they were at the start.
    pub limits: Limits,
    /// The earliest moment for another send.
    pub next_resend_at: Timestamp,
    /// The browser that asked, if the caller marked it: a link works there and nowhere else.
    pub browser: Option<BrowserMark>,
    /// Is there nobody behind it? Then nothing is sent and no answer is right, and it looks like any other.
    pub decoy: bool,
}

impl Pending {
    /// The recipient on a channel, if the rules permit that channel.
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
    /// The caller asked.
    Requested,
    /// A newer start took its place.
    Superseded,
    /// The store that made it is not the store that is there now.
    Generation,
}

/// How a verification ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The right code came in time.
    Approved,
    /// All attempts were wrong.
    Rejected,
    /// The customer said "not me".
    Denied,
    /// Somebody or something ended it.
    Canceled(CancelCause),
    /// The code's life ended.
    Expired,
}

/// Live or over; each with what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for the code.
    Pending(Box<Pending>),
    /// Ended.
    Closed {
        /// How.
        outcome: Outcome,
        /// When.
        at: Timestamp,
    },
}

/// One bounded effort to prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Its name.
    pub id: VerificationId,
    /// Whose customer.
    pub tenant: TenantId,
    /// Who started it.
    pub caller: CallerName,
    /// What for.
    pub action: ActionName,
    /// Could anybody have started it?
    pub origin: Origin,
    /// The contact that asked.
    pub contact: Option<Contact>,
    /// Language of the customer.
    pub locale: Option<Locale>,
    /// The key of its code.
    pub kid: Kid,
    /// The generation of the store that made it.
    pub generation: Generation,
    /// When it started.
    pub created_at: Timestamp,
    /// When its code dies; fixed at the start.
    pub expires_at: Timestamp,
    /// The requests that made it: the start, then each resend.
    pub requests: Vec<RequestMark>,
    /// The guesses that counted, oldest first.
    pub answers: Vec<Answer>,
    /// The efforts to bring its message, oldest first; at least one.
    pub deliveries: Vec<Delivery>,
    /// Live or over.
    pub phase: Phase,
}

/// What readers see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Waiting for the code.
    Pending,
    /// Ended so.
    Closed(Outcome),
}

impl Verification {
    /// Where it stands at `now`; every reader computes expiry by itself.
    #[must_use]
    pub fn status(&self, now: Now) -> Status {
        match &self.phase {
            Phase::Closed { outcome, .. } => Status::Closed(*outcome),
            Phase::Pending(_) if now.is_past(self.expires_at) => Status::Closed(Outcome::Expired),
            Phase::Pending(_) => Status::Pending,
        }
    }

    /// What it has while it is live: pending by its record, and in time.
    #[must_use]
    pub fn live(&self, now: Now) -> Option<&Pending> {
        match &self.phase {
            Phase::Pending(pending) if !now.is_past(self.expires_at) => Some(pending),
            Phase::Pending(_) | Phase::Closed { .. } => None,
        }
    }

    /// The delivery by which the code set out last: a step of the plan that was passed over is none, unless there is no
    /// other.
    #[must_use]
    pub fn last_road(&self) -> Option<&Delivery> {
        let is_passed_over = |delivery: &&Delivery| {
            matches!(delivery.status, DeliveryStatus::Failed { .. }) && delivery.tries == 0
        };
        self.deliveries
            .iter()
            .rev()
            .find(|delivery| !is_passed_over(delivery))
            .or(self.deliveries.last())
    }

    /// When it ended, as readers see it.
    #[must_use]
    pub fn closed_at(&self, now: Now) -> Option<Timestamp> {
        match &self.phase {
            Phase::Closed { at, .. } => Some(*at),
            Phase::Pending(_) => now.is_past(self.expires_at).then_some(self.expires_at),
        }
    }

    /// Its code, while it is pending and its key is in the ring; that of a test recipient is in the settings.
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

    /// What its link carries, while it is pending and its key is in the ring; none if it has no link.
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

    /// Ends it: all that the code is derived from is dropped, and no waiting message goes out any more.
    #[must_use]
    pub fn close(mut self, outcome: Outcome, at: Timestamp) -> Self {
        self.phase = Phase::Closed { outcome, at };
        let settle = |delivery: Delivery| match delivery.status {
            DeliveryStatus::Queued { .. } => delivery.fail("verification_closed", at),
            // The holder of a lease may be handing it over right now, and will report.
            DeliveryStatus::Leased(_)
            | DeliveryStatus::Sent
            | DeliveryStatus::Delivered
            | DeliveryStatus::Undelivered { .. }
            | DeliveryStatus::Failed { .. } => delivery,
        };
        self.deliveries = self.deliveries.into_iter().map(settle).collect();
        self
    }

    /// When it may be forgotten; `None` while it is pending.
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

    /// When it next wants attention.
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

//! A sender: our adapter to the company or machine that brings messages.

pub mod outbox;
pub mod receipts;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::domain::{
    code::guess::Digits,
    delivery::{reason::Reason, receipt::ReceiptToken},
    ids::{DeliveryId, ProviderReference, VerificationId},
    recipient::Recipient,
    time::Timestamp,
};

/// A message, ready to go.
#[derive(Clone, Debug)]
pub struct Message {
    /// The delivery, and the idempotency id towards the provider: the same for every try.
    pub delivery: DeliveryId,
    /// The verification it belongs to.
    pub verification: VerificationId,
    /// Finds the delivery again, for providers that bring it back with their receipts.
    pub receipt: ReceiptToken,
    /// The address.
    pub recipient: Recipient,
    /// What it says.
    pub content: Arc<Content>,
    /// The code that it carries, for senders that pass it on apart from the text.
    pub code: Digits,
    /// When the code ends: what is brought later is of no use.
    pub expires_at: Timestamp,
}

/// What a message says, per form. It holds the code, so it prints nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// One line; empty on channels without subjects.
    pub subject: String,
    /// Plain text. Of a push message it is what a locked screen may show, so it holds no code.
    pub text: String,
    /// The same as HTML; `None` on channels without it.
    pub html: Option<String>,
    /// How it is spoken; `None` on channels that are read.
    pub speech: Option<Speech>,
    /// What an app shows once it is opened, with the code; `None` on channels but push.
    pub opened: Option<String>,
    /// The language that it is written in, as a tag: `nl`.
    pub language: &'static str,
}

/// What a call says. A machine that answers the telephone presses no key, so it learns nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Speech {
    /// Said at once: who calls, and that a key must be pressed. Holds no code.
    pub greeting: String,
    /// Said after a key press, as SSML 1.1: each digit apart, and twice.
    pub ssml: String,
    /// The language of the voice, with its country: `nl-NL`.
    pub voice: &'static str,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content(hidden)")
    }
}

/// What the other side said when it took a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// What it calls the message; its receipts name it. None: it did not say.
    pub reference: Option<ProviderReference>,
}

/// Why a message was not taken; each variant is what to do next, and says whether the sender is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It was not taken, because the sender is down or busy. Later, by this sender or at once by another.
    #[error("{reason}; again after {after:?}")]
    Retry {
        /// How much later.
        after: Duration,
        /// Why it was not taken.
        reason: Reason,
    },
    /// The same, but it may have been taken: the other side fell silent after it had the message.
    #[error("{reason}, and it may have been taken; again after {after:?}")]
    Unknown {
        /// How much later.
        after: Duration,
        /// Why the outcome is unknown.
        reason: Reason,
    },
    /// This one message may be taken later; the sender is well.
    #[error("{reason}; this message again after {after:?}")]
    Deferred {
        /// How much later.
        after: Duration,
        /// Why it was not taken.
        reason: Reason,
    },
    /// This sender takes nothing as things are; another might.
    #[error("{reason}; the next sender may take it")]
    NextSender {
        /// Why it was not taken.
        reason: Reason,
    },
    /// This sender is well and will not take this one message; another might.
    #[error("{reason}; the next sender may take this message")]
    Unfit {
        /// Why it was not taken.
        reason: Reason,
    },
    /// No sender can take it.
    #[error("{reason}; no sender can take it")]
    GiveUp {
        /// Why it was not taken.
        reason: Reason,
    },
}

impl SendError {
    /// Why the message was not taken.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        match self {
            Self::Retry { reason, .. }
            | Self::Unknown { reason, .. }
            | Self::Deferred { reason, .. }
            | Self::NextSender { reason }
            | Self::Unfit { reason }
            | Self::GiveUp { reason } => reason,
        }
    }

    /// Is the sender at fault? Else it is the message or its recipient, and the sender did its part.
    #[must_use]
    pub fn is_senders_fault(&self) -> bool {
        match self {
            Self::Retry { .. } | Self::Unknown { .. } | Self::NextSender { .. } => true,
            Self::Deferred { .. } | Self::Unfit { .. } | Self::GiveUp { .. } => false,
        }
    }
}

/// How the receipts of a provider find the delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptPath {
    /// It sends none.
    #[default]
    None,
    /// They bring back the token of the message.
    ByToken,
    /// They name the message as the provider did when it took it.
    ByReference,
}

/// What a sender can do beside sending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Does the provider take the delivery's id as a key, so that the same message handed over twice goes out once?
    pub idempotent: bool,
    /// How its receipts find the delivery.
    pub receipts: ReceiptPath,
}

/// Hands messages over.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Hands one message over. Returns only when the other side has taken it. Errors hold no address and no code.
    ///
    /// # Errors
    /// [`SendError`] says what to do next.
    async fn send(&self, message: &Message) -> Result<Sent, SendError>;

    /// Whether it can reach such an address at all; one that cannot is never asked. Every address of its channels, unless it
    /// says otherwise.
    fn carries(&self, _recipient: &Recipient) -> bool {
        true
    }

    /// What it can do beside sending; nothing, unless it says so.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}

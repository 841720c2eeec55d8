//! The sender port: the adapter to the provider or server that delivers messages.

pub mod outbox;
pub mod receipts;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::domain::{
    code::guess::Digits,
    delivery::{
        blame::{Blame, Stage},
        reason::Reason,
        receipt::ReceiptToken,
    },
    ids::{DeliveryId, ProviderReference, VerificationId},
    recipient::Recipient,
    time::Timestamp,
};

/// A message that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Message {
    /// The delivery's id. It is also the idempotency key for the provider: the same for every attempt.
    pub delivery: DeliveryId,
    /// The verification that the delivery belongs to.
    pub verification: VerificationId,
    /// Identifies the delivery in receipts, for providers that return a reference chosen by us.
    pub receipt: ReceiptToken,
    /// The address to send to; it also names the channel.
    pub recipient: Recipient,
    /// The text in each form that the channel can use.
    pub content: Arc<Content>,
    /// The code in the message, for senders that pass it on separately from the text.
    pub code: Digits,
    /// When the code expires; a message delivered later is useless.
    pub expires_at: Timestamp,
}

/// The text of a message in each form. It contains the code, so `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// The subject, one line; empty on channels that have none.
    pub subject: String,
    /// Plain text. In a push message this is what a locked screen may show, so it contains no code.
    pub text: String,
    /// The same text as HTML; `None` on channels that show no HTML.
    pub html: Option<String>,
    /// The text of a voice call; `None` on all other channels.
    pub speech: Option<Speech>,
    /// What the app shows after the customer opens it, with the code; `None` on all channels except push.
    pub opened: Option<String>,
    /// The language of the text, as a tag such as `nl` or `pt-BR`.
    pub language: Arc<str>,
}

/// The text of a voice call. The code is spoken only after a key press, so voice mail never records it.
#[derive(Clone, PartialEq, Eq)]
pub struct Speech {
    /// Spoken at once: who is calling, and that a key must be pressed. Contains no code.
    pub greeting: String,
    /// Spoken after the key press, as SSML 1.1: each digit separately, and all of them twice.
    pub ssml: String,
    /// The language of the voice with its country, such as `nl-NL`.
    pub voice: Arc<str>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content(hidden)")
    }
}

/// The provider's answer when it accepted a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The provider's name for the message, used in its receipts; `None` if it gave none.
    pub reference: Option<ProviderReference>,
    /// Other names by which its receipts may refer to the message: other spellings of the reference, and those of other
    /// parts of a long message. Only the first [`ALIASES_MAX`] are kept.
    pub aliases: Vec<ProviderReference>,
}

/// The largest number of [`Sent::aliases`] that are kept.
pub const ALIASES_MAX: usize = 8;

/// Why a message was not accepted, and whose fault it is: the blame says what happens next, and with the stage what it
/// means for the sender's breaker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}, blame {blame}")]
pub struct SendError {
    /// Whose fault it is.
    pub blame: Blame,
    /// Why it was not accepted.
    pub reason: Reason,
    /// Whether the sender knew the recipient when it failed.
    pub stage: Stage,
    /// How long to wait before the next attempt with this sender; `None`: it will never accept this message.
    pub again: Option<Duration>,
    /// Whether the message may have been accepted all the same: the other side got it and then did not answer.
    pub maybe_accepted: bool,
}

impl SendError {
    /// The sender fails for every message at present; it may work again after this time.
    #[must_use]
    pub fn failing(after: Duration, reason: Reason) -> Self {
        Self {
            blame: Blame::Sender,
            reason,
            stage: Stage::BeforeRecipient,
            again: Some(after),
            maybe_accepted: false,
        }
    }

    /// As [`Self::failing`], but the other side got the message and then did not answer.
    #[must_use]
    pub fn unanswered(after: Duration, reason: Reason) -> Self {
        Self {
            maybe_accepted: true,
            ..Self::failing(after, reason)
        }
    }

    /// The sender fails for every message, and waiting will not help this one.
    #[must_use]
    pub fn broken(reason: Reason) -> Self {
        Self {
            blame: Blame::Sender,
            reason,
            stage: Stage::BeforeRecipient,
            again: None,
            maybe_accepted: false,
        }
    }

    /// The sender refuses our login. Without another sender the message is kept, because the operator may mend that while
    /// its code is valid.
    #[must_use]
    pub fn login_refused(after: Duration) -> Self {
        Self {
            blame: Blame::Ours,
            ..Self::failing(after, Reason::LoginRefused)
        }
    }

    /// The sender refuses this message because of us, knowing its recipient.
    #[must_use]
    pub fn ours(reason: Reason) -> Self {
        Self {
            blame: Blame::Ours,
            stage: Stage::WithRecipient,
            ..Self::broken(reason)
        }
    }

    /// The sender refuses this message without saying because of what, knowing its recipient.
    #[must_use]
    pub fn unclear(reason: Reason) -> Self {
        Self {
            blame: Blame::Unclear,
            stage: Stage::WithRecipient,
            ..Self::broken(reason)
        }
    }

    /// The sender may accept this message after this time. It knew the recipient, so others may be accepted now.
    #[must_use]
    pub fn later(after: Duration, reason: Reason) -> Self {
        Self {
            blame: Blame::Later,
            stage: Stage::WithRecipient,
            ..Self::failing(after, reason)
        }
    }

    /// No sender can deliver the message, for example because the address does not exist.
    #[must_use]
    pub fn about_recipient(reason: Reason) -> Self {
        Self {
            blame: Blame::Recipient,
            stage: Stage::WithRecipient,
            ..Self::broken(reason)
        }
    }

    /// The same failure, at another stage.
    #[must_use]
    pub fn at(self, stage: Stage) -> Self {
        Self { stage, ..self }
    }
}

/// How a provider's receipts identify the delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptPath {
    /// The provider sends no receipts.
    #[default]
    None,
    /// Receipts return the [`ReceiptToken`] that was sent with the message.
    ByToken,
    /// Receipts contain the reference that the provider gave when it accepted the message.
    ByReference,
}

/// Optional abilities of a sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether the provider uses the delivery id as an idempotency key, so that a message submitted
    /// twice is sent once.
    pub idempotent: bool,
    /// How its receipts identify the delivery.
    pub receipts: ReceiptPath,
}

/// Sends messages over one provider or server.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Sends one message. Returns only after the other side has accepted it. Errors contain no address and no code.
    ///
    /// # Errors
    /// [`SendError`] says what to do next.
    async fn send(&self, message: &Message) -> Result<Sent, SendError>;

    /// Whether this sender can reach this kind of address at all; if not, it is never given the message. By default it
    /// can reach every address of its channels.
    fn carries(&self, _recipient: &Recipient) -> bool {
        true
    }

    /// Opens what the sender keeps open, such as a session over which receipts of earlier messages wait to be delivered.
    /// Called once when the service begins to serve, within an async runtime. By default there is nothing to open.
    fn open(&self) {}

    /// How many messages it can send at the same time; `None`: as many as it is given.
    fn slots(&self) -> Option<usize> {
        None
    }

    /// Why the settings never let this sender reach this one address, as the end of a sentence that begins with the
    /// address; `None`: it may. A start is refused if no sender of the route may. By default every address may.
    fn objection(&self, _recipient: &Recipient) -> Option<&'static str> {
        None
    }

    /// The sender's optional abilities; by default none.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}

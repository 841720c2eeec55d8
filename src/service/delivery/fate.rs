//! Logs and counts the outcome of each hand-over.

use super::draft::Draft;
use crate::{
    domain::{
        delivery::{HandOver, blame::Blame, reason::Reason},
        ids::{DeliveryId, SenderName, VerificationId},
        recipient::Channel,
    },
    ports::sender::SendError,
};

/// The outcome of a hand-over, for logs and metrics.
#[derive(Clone, Copy)]
pub(super) enum Fate<'a> {
    /// A sender accepted it.
    Accepted,
    /// It counts as sent for this reason, and no sender was asked.
    Skipped(Exemption),
    /// It waits for this, and no sender was asked.
    Held(Obstacle),
    /// A sender did not accept it, and the next one gets it.
    NextSender(&'a SendError),
    /// A sender did not accept it, and it is tried again later.
    Retried(&'a SendError),
    /// A sender did not accept it, and it is given up.
    Refused(&'a SendError),
    /// It is given up for this reason, and no sender was asked.
    Failed(&'a Reason),
}

/// Why no sender is asked about a message that counts as sent.
#[derive(Clone, Copy)]
pub(super) enum Exemption {
    /// The settings list the address as a test recipient, whose code is known beforehand.
    TestRecipient,
    /// The verification is a decoy: there is nobody behind the address.
    Decoy,
}

impl Exemption {
    const fn word(self) -> &'static str {
        match self {
            Self::TestRecipient => "test_recipient",
            Self::Decoy => "decoy",
        }
    }
}

/// What a message waits for before a sender can be asked.
#[derive(Clone, Copy)]
pub(super) enum Obstacle {
    /// All hands of the sender whose turn it is are taken.
    SenderBusy,
    /// The breakers of all senders that may take it are open.
    SendersOpen,
}

impl Obstacle {
    const fn word(self) -> &'static str {
        match self {
            Self::SenderBusy => "sender_busy",
            Self::SendersOpen => "senders_open",
        }
    }
}

impl<'a> Fate<'a> {
    pub(super) fn refused(outcome: &HandOver, error: &'a SendError) -> Self {
        match outcome {
            HandOver::Again { after, .. } | HandOver::PassedOn { after, .. } => {
                if after.is_zero() {
                    Self::NextSender(error)
                } else {
                    Self::Retried(error)
                }
            }
            HandOver::Kept { .. } | HandOver::Held { .. } => Self::Retried(error),
            HandOver::GivenUp { .. } | HandOver::Taken { .. } => Self::Refused(error),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Accepted | Self::Skipped(_) => "sent",
            Self::Held(_) => "held",
            Self::NextSender(_) => "next_sender",
            Self::Retried(_) => "retried",
            Self::Refused(_) | Self::Failed(_) => "failed",
        }
    }
}

impl Draft {
    /// Counts and logs the outcome. `sender` is the one that was asked, if any.
    pub(super) fn log_outcome(&self, sender: Option<&SenderName>, fate: Fate<'_>) {
        let ids = (&self.verification, &self.delivery);
        log_outcome(ids, self.recipient.channel(), sender, fate);
    }
}

/// The same for what never became a message.
pub(super) fn log_outcome(
    (verification_id, delivery_id): (&VerificationId, &DeliveryId),
    channel: Channel,
    sender: Option<&SenderName>,
    fate: Fate<'_>,
) {
    let (channel, sender) = (channel.as_str(), sender.map_or("", SenderName::as_str));
    let outcome = fate.word();
    // What no sender was asked for is no hand-over.
    if !matches!(fate, Fate::Skipped(_)) {
        metrics::counter!("countersign_deliveries_total", "channel" => channel, "sender" => sender.to_owned(), "outcome" => outcome)
            .increment(1);
    }
    match fate {
        Fate::Accepted => {
            tracing::info!(%verification_id, %delivery_id, channel, sender, outcome, "message accepted by sender");
        }
        Fate::Skipped(exemption) => {
            let reason = exemption.word();
            tracing::info!(%verification_id, %delivery_id, channel, sender, outcome, reason, "message counts as sent without asking a sender");
        }
        Fate::Held(obstacle) => {
            let reason = obstacle.word();
            tracing::info!(%verification_id, %delivery_id, channel, sender, outcome, reason, "message waits for a sender");
        }
        Fate::NextSender(error) | Fate::Retried(error) | Fate::Refused(error) => {
            let (reason, blame) = (error.reason.as_str(), error.blame.as_str());
            count_failure(sender, error.blame);
            tracing::warn!(%verification_id, %delivery_id, channel, sender, outcome, reason, blame, "message not accepted by sender");
        }
        Fate::Failed(reason) => {
            let reason = reason.as_str();
            tracing::warn!(%verification_id, %delivery_id, channel, outcome, reason, "message given up without asking a sender");
        }
    }
}

/// Counts a message that a sender did not accept, by whose fault it is.
fn count_failure(sender: &str, blame: Blame) {
    metrics::counter!("countersign_send_failures_total", "sender" => sender.to_owned(), "blame" => blame.as_str())
        .increment(1);
}

//! Says in the log and in the metrics what became of each message.

use super::draft::Draft;
use crate::domain::{
    delivery::{HandOver, reason::Reason},
    ids::SenderName,
};

/// What became of a message, for logs and metrics.
#[derive(Clone, Copy)]
pub(super) enum Fate<'a> {
    /// A sender took it.
    Accepted,
    /// It waits for this, and no sender was asked.
    Held(Obstacle),
    /// A sender refused it for this reason, and the next one gets it.
    NextSender(&'a Reason),
    /// A sender refused it for this reason, and it is tried again later.
    Retried(&'a Reason),
    /// It is given up for this reason.
    Failed(&'a Reason),
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
    pub(super) fn refused(outcome: &HandOver, reason: &'a Reason) -> Self {
        match outcome {
            HandOver::Again { after, .. } | HandOver::PassedOn { after, .. } => {
                if after.is_zero() {
                    Self::NextSender(reason)
                } else {
                    Self::Retried(reason)
                }
            }
            HandOver::Held { .. } => Self::Retried(reason),
            HandOver::GivenUp { .. } | HandOver::Taken { .. } => Self::Failed(reason),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "sent",
            Self::Held(_) => "held",
            Self::NextSender(_) => "next_sender",
            Self::Retried(_) => "retried",
            Self::Failed(_) => "failed",
        }
    }
}

impl Draft {
    /// Counts and logs what became of the message. `sender` is the one that was asked, if any.
    pub(super) fn note(&self, sender: Option<&SenderName>, fate: Fate<'_>) {
        let (verification_id, delivery_id) = (&self.verification, &self.delivery);
        let (channel, sender) = (
            self.recipient.channel().as_str(),
            sender.map_or("", SenderName::as_str),
        );
        let outcome = fate.word();
        metrics::counter!("countersign_deliveries_total", "channel" => channel, "sender" => sender.to_owned(), "outcome" => outcome)
            .increment(1);
        match fate {
            Fate::Accepted => {
                tracing::info!(%verification_id, %delivery_id, channel, sender, outcome, "message accepted by sender");
            }
            Fate::Held(obstacle) => {
                let reason = obstacle.word();
                tracing::info!(%verification_id, %delivery_id, channel, sender, outcome, reason, "message waits for a sender");
            }
            Fate::NextSender(reason) | Fate::Retried(reason) | Fate::Failed(reason)
                if !sender.is_empty() =>
            {
                let reason = reason.as_str();
                tracing::warn!(%verification_id, %delivery_id, channel, sender, outcome, reason, "message refused by sender");
            }
            Fate::NextSender(reason) | Fate::Retried(reason) | Fate::Failed(reason) => {
                let reason = reason.as_str();
                tracing::warn!(%verification_id, %delivery_id, channel, outcome, reason, "message given up without asking a sender");
            }
        }
    }
}

//! Hands one message to the sender whose turn it is, and says what follows.

use std::time::Duration;

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, OptionFuture},
};
use tokio::time::Instant;

use super::routes::NamedSender;
use crate::{
    domain::{
        code::guess::Digits,
        crypto::keyring::Keyring,
        delivery::{
            HandOver,
            receipt::ReceiptToken,
            route::{Choice, Onward, Stand, choose, onward, spread},
        },
        ids::{DeliveryId, ProviderReference, VerificationId},
        recipient::{Channel, Recipient},
        record::side::Side,
        time::{Now, Timestamp},
        verification::rules::CLOSED_MARGIN,
    },
    ports::{
        hook::Question,
        sender::{Content, Message, ReceiptPath, SendError, Sender, Sent},
        system::fresh,
    },
    service::Service,
};

/// How long to wait while the breakers move so fast that no choice holds.
const UNSETTLED: Duration = Duration::from_secs(1);
/// After a sender that let the deadline pass.
const AFTER_DEADLINE: Duration = Duration::from_secs(2);

/// A message, but for what its sender alone is told.
#[derive(Clone)]
pub(in crate::service) struct Draft {
    pub(in crate::service) delivery: DeliveryId,
    pub(in crate::service) verification: VerificationId,
    pub(in crate::service) recipient: Recipient,
    pub(in crate::service) content: Content,
    pub(in crate::service) code: Digits,
    pub(in crate::service) expires_at: Timestamp,
}

/// A message made ready under a lease, and who may take it.
pub(in crate::service) struct Ready {
    pub(in crate::service) draft: Draft,
    /// In the order in which they are asked.
    pub(in crate::service) senders: Vec<NamedSender>,
    pub(in crate::service) stand: Stand,
    /// After how long without an answer the next sender gets it too; none: never.
    pub(in crate::service) hedge_after: Option<Duration>,
    pub(in crate::service) time_left: Duration,
    /// What the hook is to be asked before anybody gets it.
    pub(in crate::service) question: Option<Question>,
    /// Is there nobody to get it?
    pub(in crate::service) decoy: bool,
}

/// A sender is asked.
#[derive(Clone, Copy)]
pub(in crate::service) struct Turn {
    /// Its place in the order.
    pub(in crate::service) place: usize,
    /// Is the message the probe of its breaker?
    pub(in crate::service) as_probe: bool,
    /// It is not waited for any longer.
    pub(in crate::service) deadline: Instant,
}

/// What a sender said.
pub(in crate::service) struct Answer {
    /// Its place in the order.
    pub(in crate::service) place: usize,
    pub(in crate::service) sent: Result<Sent, SendError>,
}

/// What of a hand-over is still under way after it was decided: the sender that lost the race. Ends by the deadline.
pub(in crate::service) type Rest<'a> = OptionFuture<BoxFuture<'a, ()>>;

/// How a hand-over ended.
pub(in crate::service) struct Handed<'a> {
    /// By whom; empty if nobody was asked.
    pub(in crate::service) sender: String,
    pub(in crate::service) outcome: HandOver,
    pub(in crate::service) rest: Rest<'a>,
}

impl Handed<'_> {
    pub(in crate::service) fn by(sender: &str, outcome: HandOver) -> Self {
        Self {
            sender: sender.to_owned(),
            outcome,
            rest: None.into(),
        }
    }

    pub(in crate::service) fn by_nobody(outcome: HandOver) -> Self {
        Self::by("", outcome)
    }
}

impl Draft {
    /// The message as one sender gets it.
    fn to(&self, sender: &str, keyring: &Keyring) -> Message {
        let Self {
            delivery,
            verification,
            recipient,
            content,
            code,
            expires_at,
        } = self.clone();
        let receipt = ReceiptToken::new(keyring, sender, &verification.subject, &delivery);
        Message {
            delivery,
            verification,
            receipt,
            recipient,
            content,
            code,
            expires_at,
        }
    }
}

impl Service {
    /// Hands the message to the first sender that may take it.
    pub(in crate::service) async fn hand_over(&self, mut ready: Ready) -> Handed<'_> {
        // Each turn but the last lost the right to probe one of the senders to another process.
        for _ in 0..=ready.senders.len() {
            let now = self.now();
            let passes: Vec<_> = ready
                .senders
                .iter()
                .map(|sender| self.breakers.pass(&sender.name, now))
                .collect();
            match choose(&passes, ready.stand, now) {
                Choice::Ask { place, as_probe } => {
                    if ready.decoy {
                        return Handed::by(
                            &ready.senders[place].name,
                            HandOver::Taken { reference: None },
                        );
                    }
                    ready = match self.past_hook(ready).await {
                        Ok(ready) => ready,
                        Err(reason) => return Handed::by_nobody(HandOver::GivenUp { reason }),
                    };
                    if !as_probe || self.breakers.probe(&ready.senders[place].name).await {
                        return self.ask(&ready, place, as_probe).await;
                    }
                }
                Choice::Hold { until } => {
                    return Handed::by_nobody(self.held(&ready, now.until(until)));
                }
                Choice::Nobody => {
                    return Handed::by_nobody(HandOver::GivenUp {
                        reason: "no_sender".to_owned(),
                    });
                }
            }
        }
        Handed::by_nobody(self.held(&ready, UNSETTLED))
    }

    fn held(&self, ready: &Ready, after: Duration) -> HandOver {
        note_hand_over(
            &ready.draft.delivery,
            ready.draft.recipient.channel(),
            "",
            ("held", "senders_open"),
        );
        HandOver::Held {
            after: self.spread(after),
        }
    }

    /// Never longer than the code lives, and never longer than the lease.
    async fn ask(&self, ready: &Ready, place: usize, as_probe: bool) -> Handed<'_> {
        let deadline = Instant::now() + self.parts.send_deadline.min(ready.time_left);
        let (Answer { place, sent }, rest) = self
            .answer(
                ready,
                Turn {
                    place,
                    as_probe,
                    deadline,
                },
            )
            .await;
        let reason = sent.as_ref().err().map_or("", SendError::reason).to_owned();
        let (outcome, hand_over) = match sent {
            Ok(Sent { reference }) => ("sent", HandOver::Taken { reference }),
            Err(error) => self.after(
                ready.senders.len(),
                Stand {
                    position: place,
                    ..ready.stand
                },
                error,
            ),
        };
        let name = &ready.senders[place].name;
        note_hand_over(
            &ready.draft.delivery,
            ready.draft.recipient.channel(),
            name,
            (outcome, &reason),
        );
        Handed {
            rest,
            ..Handed::by(name, hand_over)
        }
    }

    /// Asks one sender, and writes down what its answer says of it and where its receipts lead.
    pub(in crate::service) fn attempt(&self, ready: &Ready, turn: Turn) -> BoxFuture<'_, Answer> {
        let NamedSender { name, sender } = ready.senders[turn.place].clone();
        let message = ready.draft.to(&name, &self.parts.keyring);
        let Turn {
            place,
            as_probe,
            deadline,
        } = turn;
        let attempt = async move {
            let passed = self.breakers.passed(&name, message.delivery, as_probe);
            let sent = tokio::time::timeout_at(deadline, send(&*sender, &message)).await;
            let late = SendError::Unknown {
                after: AFTER_DEADLINE,
                reason: "deadline".to_owned(),
            };
            let mut sent = sent.unwrap_or(Err(late));
            self.breakers
                .note(
                    &name,
                    &passed,
                    sent.as_ref().is_err_and(SendError::is_senders_fault),
                )
                .await;
            if let Ok(Sent { reference }) = &mut sent {
                *reference = storable(reference.take(), &message.code);
                if sender.capabilities().receipts == ReceiptPath::ByReference {
                    self.expect_receipts(&name, &message, reference.as_ref())
                        .await;
                }
            }
            Answer { place, sent }
        };
        attempt.boxed()
    }

    /// A provider whose receipts bring no token back names the message as it does here: written down before the report, so
    /// that a receipt is seldom faster.
    async fn expect_receipts(
        &self,
        sender: &str,
        message: &Message,
        reference: Option<&ProviderReference>,
    ) {
        let Some(reference) = reference else { return };
        let kept = self
            .parts
            .policy
            .subject
            .closed_retention
            .max(CLOSED_MARGIN);
        let side = Side::Delivery {
            verification: message.verification,
            delivery: message.delivery,
        };
        let until = message.expires_at.plus(kept);
        let place = self.place_of(sender, reference);
        let put = async {
            self.sides
                .put(&self.sides.load(&place).await?, side, until)
                .await
        };
        if let Err(error) = put.await {
            tracing::warn!(%error, delivery = %message.delivery, "The receipts of a message will not find it.");
        }
    }

    /// What follows when the sender at which the message stands did not take it.
    fn after(&self, senders: usize, stand: Stand, error: SendError) -> (&'static str, HandOver) {
        match error {
            SendError::Retry { after, reason }
            | SendError::Unknown { after, reason }
            | SendError::Deferred { after, reason } => match onward(senders, stand, Some(after)) {
                Onward::To(position) => (
                    "next_sender",
                    HandOver::Again {
                        after: Duration::ZERO,
                        position,
                    },
                ),
                Onward::Round(pause) => (
                    "retried",
                    HandOver::Again {
                        after: self.spread(pause),
                        position: 0,
                    },
                ),
                Onward::Nowhere => ("failed", HandOver::GivenUp { reason }),
            },
            SendError::NextSender { reason } | SendError::Unfit { reason } => {
                let (by, refusals) = (stand.position, stand.refusals.with(stand.position));
                match onward(senders, Stand { refusals, ..stand }, None) {
                    Onward::To(position) => (
                        "next_sender",
                        HandOver::PassedOn {
                            by,
                            after: Duration::ZERO,
                            position,
                        },
                    ),
                    Onward::Round(pause) => (
                        "retried",
                        HandOver::PassedOn {
                            by,
                            after: self.spread(pause),
                            position: 0,
                        },
                    ),
                    Onward::Nowhere => ("failed", HandOver::GivenUp { reason }),
                }
            }
            SendError::GiveUp { reason } => ("failed", HandOver::GivenUp { reason }),
        }
    }

    fn spread(&self, pause: Duration) -> Duration {
        spread(pause, fresh(&*self.parts.entropy))
    }

    /// By the clock of this process alone.
    pub(in crate::service) fn now(&self) -> Now {
        let now = self.parts.clock.now();
        Now::new(now, now)
    }
}

/// A provider that gives the code back as its name for the message must not get it stored.
fn storable(reference: Option<ProviderReference>, code: &Digits) -> Option<ProviderReference> {
    reference.filter(|reference| !reference.as_str().contains(code.expose()))
}

/// Sends it; once more to a sender that knows a repeat by the delivery's id, if it fell silent after it had the message. Not
/// if the deadline of the whole hand-over cut it off: then no time is left to ask again, and the next sender gets it.
async fn send(sender: &dyn Sender, message: &Message) -> Result<Sent, SendError> {
    match sender.send(message).await {
        Err(SendError::Unknown { .. }) if sender.capabilities().idempotent => {
            sender.send(message).await
        }
        known => known,
    }
}

pub(in crate::service) fn note_hand_over(
    delivery: &DeliveryId,
    channel: Channel,
    sender: &str,
    (outcome, reason): (&'static str, &str),
) {
    let (channel, labelled) = (channel.as_str(), sender.to_owned());
    metrics::counter!("countersign_deliveries_total", "channel" => channel, "sender" => labelled, "outcome" => outcome)
        .increment(1);
    tracing::info!(%delivery, channel, sender, outcome, reason, "A message was handed over or not.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_03_a_reference_that_holds_the_code_is_not_kept() {
        let (code, reference) = (Digits::from_ascii(b"123456").unwrap(), |text| {
            ProviderReference::parse(text).ok()
        });
        assert_eq!(storable(reference("SM90f"), &code), reference("SM90f"));
        assert_eq!(storable(reference("otp-123456-x"), &code), None);
    }
}

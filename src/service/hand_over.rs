//! Hands one message to the sender whose turn it is, and says what follows.

use std::time::Duration;

use super::{Service, routes::NamedSender};
use crate::{
    domain::{
        breaker::Passed,
        delivery::HandOver,
        guess::Digits,
        ids::ProviderReference,
        route::{Choice, Onward, Stand, choose, onward, spread},
        time::Now,
    },
    ports::{
        sender::{Message, SendError, Sent},
        system::fresh,
    },
};

/// How long to wait while the breakers move so fast that no choice holds.
const UNSETTLED: Duration = Duration::from_secs(1);
/// After a sender that let the deadline pass.
const AFTER_DEADLINE: Duration = Duration::from_secs(2);

/// A message made ready under a lease, and who may take it.
pub(super) struct Ready {
    pub(super) message: Message,
    /// In the order in which they are asked.
    pub(super) senders: Vec<NamedSender>,
    pub(super) stand: Stand,
    pub(super) time_left: Duration,
}

impl Service {
    /// Hands the message to the first sender that may take it; gives that sender's name, and how it ended.
    pub(super) async fn hand_over(&self, ready: &Ready) -> (String, HandOver) {
        // Each turn but the last lost the right to probe one of the senders to another process.
        for _ in 0..=ready.senders.len() {
            let now = self.now();
            let passes: Vec<_> = ready.senders.iter().map(|sender| self.breakers.pass(&sender.name, now)).collect();
            match choose(&passes, ready.stand, now) {
                Choice::Ask { place, as_probe } => {
                    let name = &ready.senders[place].name;
                    if !as_probe || self.breakers.probe(name).await {
                        return (name.clone(), self.ask(ready, place, as_probe).await);
                    }
                }
                Choice::Hold { until } => return (String::new(), self.held(ready, now.until(until))),
                Choice::Nobody => return (String::new(), HandOver::GivenUp { reason: "no_sender".to_owned() }),
            }
        }
        (String::new(), self.held(ready, UNSETTLED))
    }

    fn held(&self, ready: &Ready, after: Duration) -> HandOver {
        note_hand_over(ready, "", "held", "senders_open");
        HandOver::Held { after: self.spread(after) }
    }

    /// Never longer than the code lives, and never longer than the lease.
    async fn ask(&self, ready: &Ready, place: usize, as_probe: bool) -> HandOver {
        let NamedSender { name, sender } = &ready.senders[place];
        let limit = self.parts.send_deadline.min(ready.time_left);
        let sent = tokio::time::timeout(limit, sender.send(&ready.message)).await;
        let late = SendError::Unknown { after: AFTER_DEADLINE, reason: "deadline".to_owned() };
        let sent = sent.unwrap_or(Err(late));
        let passed = Passed { delivery: ready.message.delivery, as_probe };
        self.breakers.note(name, passed, sent.as_ref().is_err_and(SendError::is_senders_fault)).await;
        let reason = sent.as_ref().err().map_or("", SendError::reason).to_owned();
        let (outcome, hand_over) = match sent {
            Ok(Sent { reference }) => ("sent", HandOver::Taken { reference: storable(reference, &ready.message.code) }),
            Err(error) => self.after(ready, place, error),
        };
        note_hand_over(ready, name, outcome, &reason);
        hand_over
    }

    /// What follows when the sender at this place did not take it.
    fn after(&self, ready: &Ready, place: usize, error: SendError) -> (&'static str, HandOver) {
        let (senders, stand) = (ready.senders.len(), Stand { position: place, ..ready.stand });
        match error {
            SendError::Retry { after, reason } | SendError::Unknown { after, reason } | SendError::Deferred { after, reason } => {
                match onward(senders, stand, Some(after)) {
                    Onward::To(position) => ("next_sender", HandOver::Again { after: Duration::ZERO, position }),
                    Onward::Round(pause) => ("retried", HandOver::Again { after: self.spread(pause), position: 0 }),
                    Onward::Nowhere => ("failed", HandOver::GivenUp { reason }),
                }
            }
            SendError::NextSender { reason } | SendError::Unfit { reason } => {
                let (by, refusals) = (place, stand.refusals.with(place));
                match onward(senders, Stand { refusals, ..stand }, None) {
                    Onward::To(position) => ("next_sender", HandOver::PassedOn { by, after: Duration::ZERO, position }),
                    Onward::Round(pause) => ("retried", HandOver::PassedOn { by, after: self.spread(pause), position: 0 }),
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
    fn now(&self) -> Now {
        let now = self.parts.clock.now();
        Now::new(now, now)
    }
}

/// A provider that gives the code back as its name for the message must not get it stored.
fn storable(reference: Option<ProviderReference>, code: &Digits) -> Option<ProviderReference> {
    reference.filter(|reference| !reference.as_str().contains(code.expose()))
}

fn note_hand_over(ready: &Ready, sender: &str, outcome: &'static str, reason: &str) {
    let (channel, labelled) = (ready.message.recipient.channel().as_str(), sender.to_owned());
    metrics::counter!("countersign_deliveries_total", "channel" => channel, "sender" => labelled, "outcome" => outcome)
        .increment(1);
    tracing::info!(delivery = %ready.message.delivery, channel, sender, outcome, reason, "A message was handed over or not.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_03_a_reference_that_holds_the_code_is_not_kept() {
        let (code, reference) = (Digits::from_ascii(b"123456").unwrap(), |text| ProviderReference::parse(text).ok());
        assert_eq!(storable(reference("SM90f"), &code), reference("SM90f"));
        assert_eq!(storable(reference("otp-123456-x"), &code), None);
    }
}

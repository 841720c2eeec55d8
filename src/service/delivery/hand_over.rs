//! Hands one message to the sender whose turn it is, and decides what happens next.

use std::time::Duration;

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, OptionFuture, join_all},
};
use tokio::time::Instant;

use super::{
    Courier,
    draft::Draft,
    fate::{Exemption, Fate, Obstacle},
    hands::{Hand, HandOwner},
    routes::NamedSender,
};
use crate::{
    domain::{
        code::guess::Digits,
        delivery::{
            HandOver,
            blame::{Sign, Stage},
            breaker::Pass,
            hands::HAND_WAIT,
            reason::Reason,
            route::{Choice, RouteState, choose},
        },
        ids::{ProviderReference, SenderName},
        record::side::Side,
        time::Now,
        verification::rules::CLOSED_MARGIN,
    },
    ports::{
        hook::Question,
        sender::{ALIASES_MAX, Message, ReceiptPath, SendError, Sender, Sent},
    },
};

/// The pause if other processes took every probe that this one wanted to make: the same as the pause of a message that
/// finds a probe under way, because most probes are answered quickly.
const PROBES_TAKEN_PAUSE: Duration = Duration::from_secs(1);
/// The pause after a sender that did not answer before the deadline, if it is the last of its route: the same as the
/// first pause of a route, because such a sender asked for no other one.
const AFTER_DEADLINE: Duration = Duration::from_secs(2);

/// How much longer than its time limit a hand-over may take: senders have limits of their own, by default the same, and
/// their errors say how far the message came.
const ANSWER_GRACE: Duration = Duration::from_millis(250);

/// A leased message that is ready to go out, with the senders that may carry it.
pub(super) struct Ready {
    pub(super) draft: Draft,
    /// Whose message it is.
    pub(super) owner: HandOwner,
    /// The senders, in the order in which they are asked.
    pub(super) senders: Vec<NamedSender>,
    /// Why it is given up if no sender is left.
    pub(super) without_sender: Reason,
    pub(super) route_state: RouteState,
    /// The wait for an answer after which the next sender gets the message too; `None`: never.
    pub(super) hedge_after: Option<Duration>,
    pub(super) time_left: Duration,
    /// The question for the hook, to be asked before any sender; `None` if there is none.
    pub(super) question: Option<Question>,
    /// Whether the start was a decoy, for which nothing is sent.
    pub(super) decoy: bool,
}

/// One sender's turn to be asked.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    /// The sender's place in the order.
    pub(super) place: usize,
    /// Whether the message is the probe of the sender's breaker.
    pub(super) as_probe: bool,
    /// When to stop waiting for its answer.
    pub(super) deadline: Instant,
}

/// The answer of one sender.
pub(super) struct Answer {
    /// The sender's place in the order.
    pub(super) place: usize,
    pub(super) sent: Result<Sent, SendError>,
}

/// The rest of a hand-over after its outcome is known: the sender that lost the race. It ends by the deadline.
pub(super) type Rest<'a> = OptionFuture<BoxFuture<'a, ()>>;

/// The result of a hand-over.
pub(super) struct Handed<'a> {
    /// The sender that was asked; `None` if none was.
    pub(super) sender: Option<SenderName>,
    pub(super) outcome: HandOver,
    pub(super) rest: Rest<'a>,
}

impl Handed<'_> {
    pub(super) fn by(sender: SenderName, outcome: HandOver) -> Self {
        Self {
            sender: Some(sender),
            outcome,
            rest: None.into(),
        }
    }

    pub(super) fn by_nobody(outcome: HandOver) -> Self {
        Self {
            sender: None,
            outcome,
            rest: None.into(),
        }
    }
}

impl Courier {
    /// Hands the message to the first sender that may get it. `hand` is exchanged for one of that sender.
    pub(super) async fn hand_over(&self, mut ready: Ready, hand: &mut Hand) -> Handed<'_> {
        // A round is repeated only after another process won the right to probe a sender, so there
        // are at most as many as senders, and one more.
        for _ in 0..=ready.senders.len() {
            let now = self.now();
            match choose(&self.passes(&ready.senders, now), ready.route_state, now) {
                Choice::Ask { place, .. } if ready.decoy => {
                    let name = ready.senders[place].name.clone();
                    // No caller reads the log, and its readers look for the message at the provider in vain.
                    ready
                        .draft
                        .log_outcome(Some(&name), Fate::Skipped(Exemption::Decoy));
                    return Handed::by(name, HandOver::Taken { reference: None });
                }
                Choice::Ask { place, .. }
                    if !self.change_hands(hand, &ready.senders[place].name) =>
                {
                    ready
                        .draft
                        .log_outcome(None, Fate::Held(Obstacle::SenderBusy));
                    return Handed::by_nobody(HandOver::Held {
                        after: HAND_WAIT,
                        position: place,
                    });
                }
                Choice::Ask { place, as_probe } => {
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
                    let reason = ready.without_sender;
                    ready.draft.log_outcome(None, Fate::Failed(&reason));
                    return Handed::by_nobody(HandOver::GivenUp { reason });
                }
            }
        }
        Handed::by_nobody(self.held(&ready, PROBES_TAKEN_PAUSE))
    }

    /// The answers of these senders' breakers, in the same order.
    pub(super) fn passes(&self, senders: &[NamedSender], now: Now) -> Vec<Pass> {
        senders
            .iter()
            .map(|sender| self.breakers.pass(&sender.name, now))
            .collect()
    }

    /// Exchanges the hand for one of this sender, since the turn may have passed on after it was
    /// reserved; false if all hands of this sender are busy.
    fn change_hands(&self, hand: &mut Hand, sender: &SenderName) -> bool {
        if hand.is_of(Some(sender)) {
            return true;
        }
        let Some(other) = self.hands.reserve(Some(sender), hand.owner()) else {
            return false;
        };
        *hand = other;
        true
    }

    fn held(&self, ready: &Ready, after: Duration) -> HandOver {
        ready
            .draft
            .log_outcome(None, Fate::Held(Obstacle::SendersOpen));
        HandOver::Held {
            after: self.spread(after),
            position: 0,
        }
    }

    /// Asks the sender, for no longer than the code lives and the lease lasts.
    async fn ask(&self, ready: &Ready, place: usize, as_probe: bool) -> Handed<'_> {
        let limit = self.send_deadline + ANSWER_GRACE;
        let deadline = Instant::now() + limit.min(ready.time_left);
        let turn = Turn {
            place,
            as_probe,
            deadline,
        };
        let (Answer { place, sent }, rest) = self.answer(ready, turn).await;
        let name = &ready.senders[place].name;
        let outcome = match sent {
            Ok(Sent { reference, .. }) => {
                ready.draft.log_outcome(Some(name), Fate::Accepted);
                HandOver::Taken { reference }
            }
            Err(error) => {
                let route_state = RouteState {
                    position: place,
                    ..ready.route_state
                };
                let outcome = self.after(ready.senders.len(), route_state, &error);
                ready
                    .draft
                    .log_outcome(Some(name), Fate::refused(&outcome, &error));
                outcome
            }
        };
        Handed {
            rest,
            ..Handed::by(name.clone(), outcome)
        }
    }

    /// Asks one sender. Notes its answer at its breaker, and stores the provider's id of the message for its receipts.
    pub(super) fn attempt(&self, ready: &Ready, turn: Turn) -> BoxFuture<'_, Answer> {
        let NamedSender { name, sender } = ready.senders[turn.place].clone();
        let message = ready.draft.to(&name, &self.keyring);
        let was_refused = !ready.route_state.deferrals.allow(turn.place);
        let Turn {
            place,
            as_probe,
            deadline,
        } = turn;
        let attempt = async move {
            let about = (message.delivery, &message.recipient);
            let passed = self.breakers.passed(&name, about, as_probe);
            let sent = tokio::time::timeout_at(deadline, send(&*sender, &message)).await;
            // It may be waiting for what this recipient's server says.
            let late =
                SendError::unanswered(AFTER_DEADLINE, Reason::Deadline).at(Stage::WithRecipient);
            let mut sent = sent.unwrap_or(Err(late));
            let error = sent.as_ref().err();
            self.breakers
                .record_result(&name, &passed, sign(error, was_refused), error)
                .await;
            if let Ok(sent) = &mut sent {
                sent.reference = storable(sent.reference.take(), &message.code);
                if sender.capabilities().receipts == ReceiptPath::ByReference {
                    self.expect_receipts(&name, &message, sent).await;
                }
            }
            Answer { place, sent }
        };
        attempt.boxed()
    }

    /// Stores which delivery the provider's ids of the message belong to, for a provider whose
    /// receipts carry no token. This comes before the report, so that a receipt is rarely faster.
    async fn expect_receipts(&self, sender: &SenderName, message: &Message, sent: &Sent) {
        let aliases = sent.aliases.iter().take(ALIASES_MAX);
        let names = sent.reference.iter().chain(aliases);
        join_all(names.map(|name| self.expect_receipt(sender, message, name))).await;
    }

    async fn expect_receipt(
        &self,
        sender: &SenderName,
        message: &Message,
        reference: &ProviderReference,
    ) {
        let kept = self.policy.subject.closed_retention.max(CLOSED_MARGIN);
        let side = Side::Delivery {
            verification: message.verification,
            delivery: message.delivery,
        };
        let until = message.expires_at.plus(kept);
        let place = self.reference_key(sender, reference);
        let put = async {
            self.sides
                .put(&self.sides.load(&place).await?, side, until)
                .await
        };
        if let Err(error) = put.await {
            tracing::warn!(
                %error,
                verification_id = %message.verification,
                delivery_id = %message.delivery,
                sender = sender.as_str(),
                "provider's id of a message not stored; its receipts will be ignored"
            );
        }
    }
}

/// What the end of a hand-over says about the sender. A message that it had refused before says nothing new by being
/// refused again: its retries must not look like refusals of others.
fn sign(error: Option<&SendError>, was_refused: bool) -> Sign {
    match error.map(|error| Sign::of(error.blame, error.stage)) {
        None => Sign::Works,
        Some(Sign::Refuses) if was_refused => Sign::Nothing,
        Some(sign) => sign,
    }
}

/// Drops a provider's id of the message that contains the code, so that the code is never stored.
fn storable(reference: Option<ProviderReference>, code: &Digits) -> Option<ProviderReference> {
    reference.filter(|reference| !reference.as_str().contains(code.expose()))
}

/// Sends the message, and a second time if the sender fell silent after it got the message and
/// recognises repeats by the delivery's id. The deadline of the whole hand-over covers both: when
/// it ends, the next sender gets the message.
async fn send(sender: &dyn Sender, message: &Message) -> Result<Sent, SendError> {
    match sender.send(message).await {
        Err(error) if error.maybe_accepted && sender.capabilities().idempotent => {
            sender.send(message).await
        }
        known => known,
    }
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

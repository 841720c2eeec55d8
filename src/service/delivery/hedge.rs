//! Hedging: if a sender is slow to answer, the message also goes to the next sender of the route,
//! and the first success wins.

use std::time::Duration;

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, select},
};

use super::{
    Courier,
    hand_over::{Answer, Ready, Rest, Turn},
    hands::Hand,
};
use crate::domain::{delivery::breaker::Pass, recipient::Channel};

impl Courier {
    /// Asks the sender whose turn it is and, on a hedged route, also the next one if the first is
    /// slow. The answer is the first success; if both fail, it is the answer of the second sender.
    pub(super) async fn answer(&self, ready: &Ready, turn: Turn) -> (Answer, Rest<'_>) {
        let first = self.attempt(ready, turn);
        let Some(after) = ready.hedge_after else {
            return (first.await, None.into());
        };
        let first = match answer_within(after, first).await {
            Ok(answer) => return (answer, None.into()),
            Err(first) => first,
        };
        let Some((place, hand)) = self.next_free(ready, turn.place) else {
            return (first.await, None.into());
        };
        let second = Turn {
            place,
            as_probe: false,
            ..turn
        };
        let second = self.attempt(ready, second).map(|answer| {
            drop(hand);
            answer
        });
        let second = second.boxed();
        let channel = ready.draft.recipient.channel();
        let (early, other) = select(first, second).await.into_inner();
        if early.sent.is_ok() {
            let winner = if early.place == place {
                "second"
            } else {
                "first"
            };
            let rest = other
                .map(move |late| count(channel, if late.sent.is_ok() { "both" } else { winner }));
            return (early, Some(rest.boxed()).into());
        }
        let late = other.await;
        let by_second = late.place == place;
        match (late.sent.is_ok(), by_second) {
            (true, true) => count(channel, "second"),
            (true, false) => count(channel, "first"),
            (false, _) => count(channel, "none"),
        }
        (
            if late.sent.is_ok() || by_second {
                late
            } else {
                early
            },
            None.into(),
        )
    }

    /// The next sender in the order whose breaker is closed, with a free hand. One that would have
    /// to be probed is not used: a hedge needs a sender that works.
    fn next_free(&self, ready: &Ready, place: usize) -> Option<(usize, Hand)> {
        let now = self.now();
        let is_free = |at: &usize| {
            ready.route_state.refusals.allow(*at)
                && self.breakers.pass(&ready.senders[*at].name, now) == Pass::Free
        };
        let place = (place + 1..ready.senders.len()).find(is_free)?;
        let name = &ready.senders[place].name;
        let hand = self.hands.reserve(Some(name), &ready.owner)?;
        Some((place, hand))
    }
}

/// The answer if it comes in time, or else the attempt, to wait for later.
async fn answer_within(
    span: Duration,
    mut attempt: BoxFuture<'_, Answer>,
) -> Result<Answer, BoxFuture<'_, Answer>> {
    tokio::time::timeout(span, &mut attempt)
        .await
        .map_err(|_| attempt)
}

/// Counts one hedged message, by which sender accepted it.
fn count(channel: Channel, outcome: &'static str) {
    metrics::counter!("countersign_hedges_total", "channel" => channel.as_str(), "outcome" => outcome).increment(1);
}

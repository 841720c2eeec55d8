//! What operators see of senders: open breakers, and what a sender refuses us for before its breaker opens.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Breakers;
use crate::{
    domain::{
        delivery::{
            blame::{Blame, Sign},
            breaker::Breaker,
            reason::Reason,
        },
        ids::SenderName,
        time::Now,
    },
    ports::{sender::SendError, store::Complaint},
};

/// The reason for which a sender refuses us, since its last success in this process; `None` if it does not.
#[derive(Default)]
pub(super) struct Trouble(Mutex<Option<Reason>>);

impl Trouble {
    fn reason(&self) -> MutexGuard<'_, Option<Reason>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a hand-over ended. The first refusal of us is a warning; a refusal that came with a recipient is
    /// believed once it was for several areas.
    pub(super) fn record_result(
        &self,
        sender: &SenderName,
        sign: Sign,
        error: Option<&SendError>,
        breaker: &Breaker,
    ) {
        let is_believed = match sign {
            Sign::Works => {
                *self.reason() = None;
                return;
            }
            Sign::Fails => true,
            Sign::Refuses => match breaker {
                Breaker::Closed { refused, .. } => refused.count() > 0,
                Breaker::Open { .. } | Breaker::HalfOpen { .. } => true,
            },
            Sign::Nothing => false,
        };
        let Some(error) = error.filter(|error| is_believed && error.blame == Blame::Ours) else {
            return;
        };
        if self.reason().replace(error.reason.clone()).is_none() {
            let (sender, reason) = (sender.as_str(), error.reason.as_str());
            tracing::warn!(
                sender,
                reason,
                setting = %format_args!("senders.{sender}"),
                "sender refuses this service"
            );
        }
    }

    /// The degraded condition of a sender that is still used although it refuses us, or refuses one message after
    /// another; `None` if it does neither. `max` is the number of failures that open a breaker.
    pub(super) fn complaint(
        &self,
        sender: &SenderName,
        breaker: &Breaker,
        max: u8,
    ) -> Option<Complaint> {
        let sender = sender.as_str();
        let text = match (self.reason().as_ref(), breaker) {
            (Some(reason), _) => {
                format!(
                    "sender {sender:?} refuses this service: {reason}; correct [senders.{sender}]"
                )
            }
            (None, Breaker::Closed { refused, .. })
                if refused.messages().len() >= usize::from(max) =>
            {
                format!(
                    "sender {sender:?} has accepted none of the last {} messages",
                    refused.messages().len()
                )
            }
            (None, Breaker::Closed { .. } | Breaker::Open { .. } | Breaker::HalfOpen { .. }) => {
                return None;
            }
        };
        Some(Complaint {
            word: "sender_refuses",
            text,
        })
    }
}

impl Breakers {
    /// The senders that get no messages, or take none, as degraded conditions.
    pub(in crate::service) fn complaints(&self) -> Vec<Complaint> {
        let now = self.local_now();
        let open = self
            .each
            .iter()
            .filter_map(|(sender, local)| of_breaker(sender, &local.copy(), now));
        let refusing = self.each.iter().filter_map(|(sender, local)| {
            local
                .trouble
                .complaint(sender, &local.copy(), self.rules.failures)
        });
        open.chain(refusing).collect()
    }
}

/// The degraded condition of a sender whose breaker is not closed; `None` if it is.
fn of_breaker(sender: &SenderName, breaker: &Breaker, now: Now) -> Option<Complaint> {
    let until = match breaker {
        Breaker::Closed { .. } => return None,
        Breaker::Open { until, .. } | Breaker::HalfOpen { until, .. } => *until,
    };
    let sender = sender.as_str();
    let text = if now.has_reached(until) {
        format!("sender {sender:?} failed repeatedly; the next message tries it")
    } else {
        format!(
            "sender {sender:?} failed repeatedly; its breaker is open for another {} s",
            now.until(until).as_secs()
        )
    };
    Some(Complaint {
        word: "sender_open",
        text,
    })
}

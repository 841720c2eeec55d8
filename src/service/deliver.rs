//! Does what is due on a record, and hands messages over under a lease.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Service, failure::Failure, hands::Hand, side::may_be_side};
use crate::{
    domain::{
        decide::{Context, Report, Tick, Work, report, tick},
        delivery::{Delivery, HandOver, Lease},
        guess::Digits,
        ids::{DeliveryId, ProviderReference, SubjectKey},
        limits::CLOSED_MARGIN,
        receipt::ReceiptToken,
        recipient::Channel,
        side::Side,
        subject::SubjectRecord,
        verification::{Pending, Verification},
    },
    message::{Facts, Link},
    ports::{
        sender::{Content, Message, ReceiptRoad, SendError, Sender, Sent},
        store::Due,
        system::fresh,
    },
};

/// A lease outlives the longest hand-over by this much, so that it ends only when its holder is gone.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// The pause doubles so often at most while no sender of the route takes a message.
const DOUBLINGS_MAX: u32 = 5;

/// Who takes what a test recipient would get: nobody.
const TEST_SENDER: &str = "test";

/// A sender and its name in the settings.
#[derive(Clone)]
pub struct Route {
    /// The name.
    pub name: String,
    /// The sender.
    pub sender: Arc<dyn Sender>,
}

/// The senders of each channel, in failover order.
pub type Routes = BTreeMap<Channel, Vec<Route>>;

/// A message made ready under a lease, and who takes it.
struct Ready {
    message: Message,
    route: Route,
    position: usize,
    tries: u8,
    time_left: Duration,
    /// Is there nobody to get it?
    decoy: bool,
}

impl Service {
    /// A fresh right to hand something over.
    pub(super) fn lease(&self) -> Lease {
        let until = self.parts.clock.now().plus(self.parts.send_deadline + LEASE_MARGIN);
        Lease { token: fresh(&*self.parts.entropy), until }
    }

    /// Which records are due.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn due(&self, limit: usize) -> Result<Due, Failure> {
        Ok(self.parts.store.due(limit).await?)
    }

    /// Does what is due on a record; `hand` takes the first delivery of it, and what else is due stays so.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn tick(&self, key: &SubjectKey, hand: Hand) -> Result<(), Failure> {
        let command = Tick { lease: self.lease(), hands: 1, delivery: DeliveryId(fresh(&*self.parts.entropy)) };
        let work = match self.transact(key, None, |record, cx| tick(record, &command, cx)).await {
            Ok((work, _)) => work,
            Err(failure) if may_be_side(&failure) => return self.sides.sweep(key).await,
            Err(failure) => return Err(failure),
        };
        if let Some(work) = work.into_iter().next() {
            hand.take(work);
        }
        Ok(())
    }

    /// Hands one delivery over, if the lease still holds and the verification still lives, and reports.
    ///
    /// # Errors
    /// [`Failure`]; then the lease ends by itself, and the delivery is due again.
    pub async fn deliver(&self, work: Work) -> Result<(), Failure> {
        let key = work.verification.subject;
        let loaded = self.bounded(self.load(&key)).await?;
        let cx = self.context(&loaded);
        let (sender, outcome) = match self.ready(loaded.record.as_ref(), &work, &cx) {
            None => return Ok(()),
            Some(Err(settled)) => settled,
            Some(Ok(ready)) => {
                let outcome = self.hand_over(&ready).await;
                self.expect_receipts(&ready, &outcome).await;
                (ready.route.name, outcome)
            }
        };
        let command = Report { work, sender, outcome };
        self.transact_on(&key, Some(loaded), None, |record, cx| report(record, &command, cx)).await?;
        Ok(())
    }

    /// The message, if it may go out, or how it ends without; `None` if somebody else has the lease or the verification is over.
    fn ready(&self, record: Option<&SubjectRecord>, work: &Work, cx: &Context<'_>) -> Option<Result<Ready, (String, HandOver)>> {
        let verification = record?.find(&work.verification)?;
        let pending = verification.live(cx.now)?;
        let delivery = verification.deliveries.iter().find(|delivery| delivery.id == work.delivery)?;
        if !delivery.is_held_by(&work.token, cx.now) || verification.generation != cx.generation {
            return None;
        }
        if pending.recipients.get(delivery.recipient).is_some_and(|to| self.parts.policy.test_recipients.code(to).is_some()) {
            return Some(Err((TEST_SENDER.to_owned(), HandOver::Taken { reference: None })));
        }
        let given_up = |reason: &str| HandOver::GivenUp { reason: reason.to_owned() };
        let Some(route) = self.parts.routes.get(&delivery.channel).and_then(|route| route.get(delivery.position)) else {
            return Some(Err((String::new(), given_up("no_sender"))));
        };
        let time_left = cx.now.until(verification.expires_at);
        let message = self.message(verification, (pending, delivery), &route.name, time_left);
        let message = message.map_err(|reason| (route.name.clone(), given_up(reason)));
        let (position, tries) = (delivery.position, delivery.tries);
        Some(message.map(|message| Ready { message, route: route.clone(), position, tries, time_left, decoy: pending.decoy }))
    }

    fn message(
        &self,
        verification: &Verification,
        (pending, delivery): (&Pending, &Delivery),
        sender: &str,
        time_left: Duration,
    ) -> Result<Message, &'static str> {
        let code = verification.code(&self.parts.keyring, &self.parts.policy.test_recipients).ok_or("key_not_in_ring")?;
        let recipient = pending.recipients.get(delivery.recipient).ok_or("no_recipient")?.clone();
        let content = self.content(verification, (pending, delivery), &code, time_left);
        let receipt = ReceiptToken::new(&self.parts.keyring, sender, &verification.id.subject, &delivery.id);
        Ok(Message {
            delivery: delivery.id,
            verification: verification.id,
            receipt,
            recipient,
            content,
            code,
            expires_at: verification.expires_at,
        })
    }

    /// What a delivery says.
    pub(super) fn content(
        &self,
        verification: &Verification,
        (pending, delivery): (&Pending, &Delivery),
        code: &Digits,
        time_left: Duration,
    ) -> Content {
        let link = self.link_of(verification, delivery.channel);
        let facts = Facts {
            tenant: &verification.tenant,
            channel: delivery.channel,
            locale: verification.locale.as_ref(),
            action: &verification.action,
            code,
            binding: &pending.binding,
            minutes: time_left.as_secs().div_ceil(60).max(1),
            link: link.as_deref().map(Link),
        };
        self.parts.messages.render(&facts)
    }

    /// Where a press does as much as the code; only a mail says it.
    fn link_of(&self, verification: &Verification, channel: Channel) -> Option<String> {
        let page = self.parts.link_page.as_ref().filter(|_| channel == Channel::Email)?;
        Some(format!("{page}#{}", verification.link(&self.parts.keyring)?.expose()))
    }

    /// A provider whose receipts bring no token back names the message as it does here: written down before the report, so
    /// that a receipt is seldom faster.
    async fn expect_receipts(&self, ready: &Ready, outcome: &HandOver) {
        let by_reference = ready.route.sender.capabilities().receipts == ReceiptRoad::ByReference;
        if let (HandOver::Taken { reference: Some(reference) }, true) = (outcome, by_reference) {
            let (message, kept) = (&ready.message, self.parts.policy.subject.closed_retention.max(CLOSED_MARGIN));
            let side = Side::Delivery { verification: message.verification, delivery: message.delivery };
            let until = self.parts.clock.now().plus(ready.time_left + kept);
            let place = self.place_of(&ready.route.name, reference);
            let put = async { self.sides.put(&self.sides.load(&place).await?, side, until).await };
            if let Err(error) = put.await {
                tracing::warn!(%error, delivery = %message.delivery, "The receipts of a message will not find it.");
            }
        }
    }

    /// Never longer than the code lives, and never longer than the lease.
    async fn hand_over(&self, ready: &Ready) -> HandOver {
        if ready.decoy {
            return HandOver::Taken { reference: None };
        }
        let limit = self.parts.send_deadline.min(ready.time_left);
        let sent = tokio::time::timeout(limit, ready.route.sender.send(&ready.message)).await;
        let late = SendError::Retry { after: Duration::from_secs(2), reason: "deadline".to_owned() };
        let sent = sent.unwrap_or(Err(late));
        let reason = sent.as_ref().err().map_or("", SendError::reason).to_owned();
        let (outcome, hand_over) = match sent {
            Ok(Sent { reference }) => ("sent", HandOver::Taken { reference: storable(reference, &ready.message.code) }),
            Err(error) => self.after(ready, error),
        };
        note_hand_over(ready, outcome, &reason);
        hand_over
    }

    /// The next sender of the route at once; after the last one a pause, and the first again.
    fn after(&self, ready: &Ready, error: SendError) -> (&'static str, HandOver) {
        let next = ready.position + 1;
        let has_next = self.parts.routes.get(&ready.message.recipient.channel()).is_some_and(|route| next < route.len());
        match error {
            SendError::Retry { .. } if has_next => ("next_sender", HandOver::Again { after: Duration::ZERO, position: next }),
            SendError::Retry { after, .. } => {
                let doublings = u32::from(ready.tries.saturating_sub(1)).min(DOUBLINGS_MAX);
                ("retried", HandOver::Again { after: after.saturating_mul(1 << doublings), position: 0 })
            }
            SendError::NextSender { .. } if has_next => {
                ("next_sender", HandOver::Again { after: Duration::ZERO, position: next })
            }
            SendError::NextSender { reason } | SendError::GiveUp { reason } => ("failed", HandOver::GivenUp { reason }),
        }
    }
}

/// A provider that gives the code back as its name for the message must not get it stored.
fn storable(reference: Option<ProviderReference>, code: &Digits) -> Option<ProviderReference> {
    reference.filter(|reference| !reference.as_str().contains(code.expose()))
}

fn note_hand_over(ready: &Ready, outcome: &'static str, reason: &str) {
    let channel = ready.message.recipient.channel().as_str();
    let sender = ready.route.name.clone();
    metrics::counter!("countersign_deliveries_total", "channel" => channel, "sender" => sender.clone(), "outcome" => outcome)
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

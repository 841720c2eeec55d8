//! Does what is due on a record, and hands messages over under a lease.

pub mod breakers;
pub mod callback;
pub(super) mod hand_over;
pub mod hands;
pub(super) mod hedge;
pub mod hook;
pub mod receipt;
pub mod routes;
pub mod spoken;

use std::time::Duration;

use self::{
    hand_over::{Draft, Handed, Ready},
    hands::Hand,
};
use super::{Service, failure::Failure, record::vault::Unreadable};
use crate::{
    domain::{
        code::guess::Digits,
        decide::{Context, Report, Tick, Work, report, tick},
        delivery::{Delivery, HandOver, Lease, route::Stand},
        ids::{DeliveryId, SubjectKey},
        recipient::Channel,
        record::{
            key::{RecordKey, RecordKind},
            subject::SubjectRecord,
        },
        verification::{Pending, Verification},
    },
    message::{Facts, Link},
    ports::{
        sender::Content,
        store::{Due, StoreError},
        system::fresh,
    },
};

/// A lease outlives the longest hand-over by this much, so that it ends only when its holder is gone.
pub(super) const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// Who takes what a test recipient would get: nobody.
const TEST_SENDER: &str = "test";

impl Service {
    /// A fresh right to hand something over.
    pub(super) fn lease(&self) -> Lease {
        let until = self
            .parts
            .clock
            .now()
            .plus(self.parts.send_deadline + self.hook_time() + LEASE_MARGIN);
        Lease {
            token: fresh(&*self.parts.entropy),
            until,
        }
    }

    /// Which records are due.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn due(&self, limit: usize) -> Result<Due, Failure> {
        let due = self.parts.store.due(limit).await?;
        self.quarantine.show(self.parts.clock.now());
        Ok(due)
    }

    /// Does what is due on a record, or sets the record aside if it cannot be opened; `hand` takes the first delivery of it, and what else is due stays so.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn tick(&self, key: &RecordKey, hand: Hand) -> Result<(), Failure> {
        let done = match key.kind {
            RecordKind::Subject => self.tick_subject(&SubjectKey(key.hash), hand).await,
            RecordKind::Side(_) => self.sides.sweep(key).await,
            RecordKind::Unknown(_) => self.unknown_kind(key).await,
        };
        match done {
            Ok(()) => {
                self.opened(key);
                Ok(())
            }
            Err(Failure::RecordUnreadable(why)) => self.set_aside(key, &why).await,
            Err(Failure::Store(StoreError::Foreign)) => {
                self.set_aside(key, &Unreadable::foreign()).await
            }
            Err(other) => Err(other),
        }
    }

    async fn tick_subject(&self, key: &SubjectKey, hand: Hand) -> Result<(), Failure> {
        let command = Tick {
            lease: self.lease(),
            hands: 1,
            delivery: DeliveryId(fresh(&*self.parts.entropy)),
        };
        let loaded = match self.bounded(self.read(key)).await {
            Err(Failure::RecordUnreadable(_)) if self.sides.sweep_old(key).await? => return Ok(()),
            loaded => loaded?,
        };
        let (work, _) = self
            .transact_on(key, Some(loaded), None, |record, cx| {
                tick(record, &command, cx)
            })
            .await?;
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
        let Handed {
            sender,
            outcome,
            rest,
        } = match self.ready(loaded.record.as_ref(), &work, &cx) {
            None => return Ok(()),
            Some(Err(settled)) => settled,
            Some(Ok(ready)) => self.hand_over(ready).await,
        };
        let command = Report {
            work,
            sender,
            outcome,
        };
        let report = self.transact_on(&key, Some(loaded), None, |record, cx| {
            report(record, &command, cx)
        });
        // A hedge that lost its race ends in the same hand, so that no more is under way than there are hands for.
        let (reported, _) = tokio::join!(report, rest);
        reported?;
        Ok(())
    }

    /// The message, if it may go out, or how it ends without; `None` if somebody else has the lease or the verification is over.
    fn ready(
        &self,
        record: Option<&SubjectRecord>,
        work: &Work,
        cx: &Context<'_>,
    ) -> Option<Result<Ready, Handed<'static>>> {
        let verification = record?.find(&work.verification)?;
        let pending = verification.live(cx.now)?;
        let delivery = verification
            .deliveries
            .iter()
            .find(|delivery| delivery.id == work.delivery)?;
        if !delivery.is_held_by(&work.token, cx.now) || verification.generation != cx.generation {
            return None;
        }
        if pending
            .recipients
            .get(delivery.recipient)
            .is_some_and(|to| self.parts.policy.test_recipients.code(to).is_some())
        {
            return Some(Err(Handed::by(
                TEST_SENDER,
                HandOver::Taken { reference: None },
            )));
        }
        let time_left = cx.now.until(verification.expires_at);
        let decoy = pending.decoy;
        let stand = Stand {
            position: delivery.position,
            refusals: delivery.refusals,
            tries: delivery.tries,
        };
        let ready = self
            .draft(verification, (pending, delivery), time_left)
            .map(|draft| {
                let senders =
                    self.parts
                        .routes
                        .order(&verification.tenant, &draft.recipient, &delivery.id);
                let hedge_after = self
                    .parts
                    .routes
                    .hedge_after(&verification.tenant, draft.recipient.channel());
                let question = self.question(verification, &draft);
                Ready {
                    draft,
                    senders,
                    stand,
                    hedge_after,
                    time_left,
                    question,
                    decoy,
                }
            });
        Some(ready.map_err(|reason| {
            Handed::by_nobody(HandOver::GivenUp {
                reason: reason.to_owned(),
            })
        }))
    }

    fn draft(
        &self,
        verification: &Verification,
        (pending, delivery): (&Pending, &Delivery),
        time_left: Duration,
    ) -> Result<Draft, &'static str> {
        let code = verification
            .code(&self.parts.keyring, &self.parts.policy.test_recipients)
            .ok_or("key_not_in_ring")?;
        let recipient = pending
            .recipients
            .get(delivery.recipient)
            .ok_or("no_recipient")?
            .clone();
        let content = self.content(verification, (pending, delivery), &code, time_left);
        let expires_at = verification.expires_at;
        Ok(Draft {
            delivery: delivery.id,
            verification: verification.id,
            recipient,
            content,
            code,
            expires_at,
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
        let page = self
            .parts
            .link_page
            .as_ref()
            .filter(|_| channel == Channel::Email)?;
        Some(format!(
            "{page}#{}",
            verification.link(&self.parts.keyring)?.expose()
        ))
    }
}

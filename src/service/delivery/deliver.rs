//! Does what is due on a record, and hands leased messages over.

use std::collections::BTreeSet;

use super::{
    Courier,
    hand_over::Handed,
    hands::{Hand, Waiting},
    ready::Readiness,
};
use crate::{
    domain::{
        decide::{Report, Tick, Work, report, tick, wake},
        ids::{DeliveryId, SubjectKey},
        record::{
            key::{RecordKey, RecordKind},
            subject::SubjectRecord,
        },
        time::{Now, Timestamp},
    },
    ports::{
        store::{Due, StoreError},
        system::fresh,
    },
    service::{Service, failure::Failure, record::transact::Change, unreadable::Unreadable},
};

impl Service {
    /// The records that are due, at most `limit` of them.
    ///
    /// # Errors
    /// [`Failure`] if the store cannot be read.
    pub async fn due(&self, limit: usize) -> Result<Due, Failure> {
        let due = self.records.due(limit).await?;
        metrics::gauge!("countersign_due_records").set(due.keys.len() as f64);
        Ok(due)
    }

    /// Sets the gauges of hands: the limit, and those in use.
    pub fn measure(&self) {
        self.courier.measure();
    }

    /// Does what is due on a record of the due index. A record that cannot be read is set aside.
    ///
    /// # Errors
    /// [`Failure`] if the commit failed; then the record stays due.
    pub async fn tick(&self, key: &RecordKey) -> Result<(), Failure> {
        let done = match key.kind {
            RecordKind::Subject => self.tick_subject(&SubjectKey(key.hash)).await,
            RecordKind::Side(_) => self.records.sides().sweep(key).await,
            RecordKind::Unknown(_) => self.records.unknown_kind(key).await,
        };
        match done {
            Ok(()) => {
                self.records.opened(key);
                Ok(())
            }
            Err(Failure::RecordUnreadable(why)) => self.records.set_aside(key, &why).await,
            Err(Failure::Store(StoreError::Foreign)) => {
                self.records.set_aside(key, &Unreadable::foreign()).await
            }
            Err(other) => Err(other),
        }
    }

    async fn tick_subject(&self, key: &SubjectKey) -> Result<(), Failure> {
        let command = self.a_tick(None);
        let reserved = self.courier.reserved_hands(*key);
        let loaded = match self.records.open_due(key).await {
            Err(Failure::RecordUnreadable(_)) if self.records.sides().sweep_old(key).await? => {
                return Ok(());
            }
            loaded => loaded?,
        };
        self.send(
            Change::of(*key).on(loaded),
            reserved,
            |record, hands, cx| tick(record, &command, hands, cx),
        )
        .await?;
        Ok(())
    }

    /// Lets all senders on routes open what they keep open.
    pub fn open_senders(&self) {
        let mut opened = BTreeSet::new();
        for sender in self.courier.routes.senders() {
            if opened.insert(&sender.name) {
                sender.sender.open();
            }
        }
    }

    /// Waits for the next record that has something to send, as far as this process knows
    /// from its own commits.
    pub async fn next_alarm(&self) -> SubjectKey {
        self.courier.alarms.next(&*self.clock).await
    }

    /// Leases what a record has to send now to the hands of this process.
    ///
    /// # Errors
    /// [`Failure`] if the commit failed; the record is still in the due index.
    pub async fn wake(&self, key: SubjectKey) -> Result<(), Failure> {
        let command = self.a_tick(None);
        let reserved = self.courier.reserved_hands(key);
        let (again, now) = self
            .send(Change::of(key), reserved, |record, hands, cx| {
                wake(record, &command, hands, cx)
            })
            .await?;
        // It was too early, because the store's clock may be behind this process's.
        if again.is_some() {
            self.courier.set_alarm(key, again, now);
        }
        Ok(())
    }

    /// Leases a delivery that waited for this hand.
    ///
    /// # Errors
    /// [`Failure`] if the commit failed; the record is still in the due index.
    pub async fn lease_waiting(&self, waiting: Waiting, hand: Hand) -> Result<(), Failure> {
        let command = self.a_tick(Some(waiting.delivery));
        let reserved = self.courier.reserved_hands(waiting.key).with(hand);
        self.send(Change::of(waiting.key), reserved, |record, hands, cx| {
            wake(record, &command, hands, cx)
        })
        .await?;
        Ok(())
    }

    fn a_tick(&self, freed: Option<DeliveryId>) -> Tick {
        Tick {
            delivery: DeliveryId(fresh(&*self.entropy)),
            freed,
        }
    }

    /// Hands one delivery over, if its lease still holds and its verification is still live, and
    /// reports how that ended. If the message goes on to the next sender at once, the commit of the
    /// report leases it again.
    ///
    /// # Errors
    /// [`Failure`] if the store failed; then the lease runs out, and the delivery is due again.
    pub async fn deliver(&self, work: Work, mut hand: Hand) -> Result<(), Failure> {
        let key = work.verification.subject;
        let loaded = self.records.read(&key).await?;
        let cx = self.records.context(&loaded);
        let Handed {
            sender,
            outcome,
            rest,
        } = match self.courier.ready(loaded.record.as_ref(), &work, &cx) {
            Readiness::Gone => return Ok(()),
            Readiness::Decided(handed) => handed,
            Readiness::Ready(ready) => self.courier.hand_over(*ready, &mut hand).await,
        };
        let command = Report {
            work,
            sender,
            outcome,
        };
        let (change, reserved) = (Change::of(key).on(loaded), self.courier.reserved_hands(key));
        let report = self.send(change, reserved, |record, hands, cx| {
            report(record, &command, hands, cx)
        });
        // The loser of a hedge runs to its end in the same hand, so that there are never more
        // hand-overs than hands.
        let (reported, _) = tokio::join!(report, rest);
        reported?;
        Ok(())
    }

    /// Keeps the breakers up to date with the other processes. Never returns.
    pub async fn follow_senders(&self) {
        self.courier.breakers.follow().await;
    }
}

impl Courier {
    /// Sets the alarm of a record that was just committed. Deliveries that wait for a hand need
    /// none: the hand wakes them.
    pub(in crate::service) fn look_after(&self, key: SubjectKey, record: &SubjectRecord, now: Now) {
        let next = record.next_send(now, |delivery| self.hands.has_waiting(&delivery.id));
        self.set_alarm(key, next, now);
    }

    /// Sets an alarm, by this process's clock, for when both clocks will have reached `at`.
    fn set_alarm(&self, key: SubjectKey, at: Option<Timestamp>, now: Now) {
        let by_clock = at.map(|at| self.clock.now().plus(now.until(at)));
        self.alarms.set(key, by_clock);
    }
}

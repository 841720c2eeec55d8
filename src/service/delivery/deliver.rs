//! Does what is due on a record, and hands messages over under a lease.

use super::{hand_over::Handed, hands::Hand, ready::Readiness};
use crate::{
    domain::{
        decide::{Report, Tick, Work, report, tick},
        ids::{DeliveryId, SubjectKey},
        record::key::{RecordKey, RecordKind},
    },
    ports::{
        store::{Due, StoreError},
        system::fresh,
    },
    service::{
        Service,
        failure::Failure,
        record::{transact::Change, vault::Unreadable},
    },
};

impl Service {
    /// The records that are due.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn due(&self, limit: usize) -> Result<Due, Failure> {
        let due = self.records.due(limit).await?;
        metrics::gauge!("countersign_due_records").set(due.keys.len() as f64);
        Ok(due)
    }

    /// Sets the gauges of what is under way now.
    pub fn measure(&self) {
        self.courier.measure();
    }

    /// Does what is due on a record; `hand` takes its first delivery, and whatever else is due stays so.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn tick(&self, key: &RecordKey, hand: Hand) -> Result<(), Failure> {
        let done = match key.kind {
            RecordKind::Subject => self.tick_subject(&SubjectKey(key.hash), hand).await,
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

    async fn tick_subject(&self, key: &SubjectKey, hand: Hand) -> Result<(), Failure> {
        let command = Tick {
            lease: self.courier.lease(),
            hands: 1,
            delivery: DeliveryId(fresh(&*self.entropy)),
        };
        let loaded = match self.records.open_due(key).await {
            Err(Failure::RecordUnreadable(_)) if self.records.sides().sweep_old(key).await? => {
                return Ok(());
            }
            loaded => loaded?,
        };
        let (work, _) = self
            .change(Change::of(*key).on(loaded), |record, cx| {
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
        let loaded = self.records.read(&key).await?;
        let cx = self.records.context(&loaded);
        let Handed {
            sender,
            outcome,
            rest,
        } = match self.courier.ready(loaded.record.as_ref(), &work, &cx) {
            Readiness::Gone => return Ok(()),
            Readiness::Settled(handed) => handed,
            Readiness::Ready(ready) => self.courier.hand_over(*ready).await,
        };
        let command = Report {
            work,
            sender,
            outcome,
        };
        let report = self.change(Change::of(key).on(loaded), |record, cx| {
            report(record, &command, cx)
        });
        // A hedge that lost its race ends in the same hand, so that no more is under way than there are hands for.
        let (reported, ()) = tokio::join!(report, async {
            let _ = rest.await;
        });
        reported?;
        Ok(())
    }

    /// Follows what the fleet knows of the senders, for ever.
    pub async fn follow_senders(&self) {
        self.courier.breakers.follow().await;
    }
}

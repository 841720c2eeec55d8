//! The only way to change a record: load, decide, draw from the quotas, compare and swap, and only then answer.

use super::{
    LoadedRecord, Records,
    call::Call,
    retry::{Swap, retry_on_conflict},
    write::Written,
};
use crate::{
    domain::{
        audit::{
            event::{Event, What},
            refusals::RefusalEvent,
        },
        decide::{Context, Decision, Occasion, Outgoing, RefusedMessage},
        delivery::reason::Reason,
        ids::SubjectKey,
        limit::bucket::BucketKind,
        record::subject::SubjectRecord,
        time::Now,
    },
    ports::store::StoreError,
    service::{
        failure::{Failure, within},
        limit::Limits,
    },
};

/// How often a decision is made again on fresh state before the call fails. Few processes change the record of one
/// subject at the same time, each retry costs two trips to the store within its deadline, and the caller can repeat the
/// call; so a low number bounds what one call can cost.
const CONFLICTS_MAX: usize = 4;

/// A requested change of a record.
pub(in crate::service) struct Change<'a> {
    key: SubjectKey,
    call: Option<Call<'a>>,
    before: Option<LoadedRecord>,
}

/// A change that was carried out.
pub(in crate::service) struct Changed<T> {
    pub(in crate::service) reply: T,
    /// The time of the decision.
    pub(in crate::service) now: Now,
    /// The record after the change; `None` if it was not written.
    pub(in crate::service) record: Option<Box<SubjectRecord>>,
}

impl<'a> Change<'a> {
    /// A change that the service makes on its own.
    pub(in crate::service) fn of(key: SubjectKey) -> Self {
        Self {
            key,
            call: None,
            before: None,
        }
    }

    /// The key of the record to change.
    pub(in crate::service) fn key(&self) -> SubjectKey {
        self.key
    }

    /// The same change, requested by this call.
    pub(in crate::service) fn by(self, call: Call<'a>) -> Self {
        Self {
            call: Some(call),
            ..self
        }
    }

    /// The same change, decided first on a state loaded before. If that is no longer current, the commit conflicts
    /// and the record is loaded again.
    pub(in crate::service) fn on(self, before: LoadedRecord) -> Self {
        Self {
            before: Some(before),
            ..self
        }
    }
}

impl Records {
    /// Decides on fresh state and commits; again if others change the record first, a bounded number of times. A
    /// message that the decision sends is drawn from the quotas before, once for all attempts.
    ///
    /// # Errors
    /// [`Failure`]: the decision refused, a quota is used up, or the store did not answer in time.
    pub(in crate::service) async fn transact<T: Send>(
        &self,
        limits: &Limits,
        change: Change<'_>,
        decide: impl Fn(Option<SubjectRecord>, &Context<'_>) -> Decision<T> + Send + Sync,
    ) -> Result<Changed<T>, Failure> {
        let transaction = Transaction {
            records: self,
            limits,
            change,
            decide,
            drawn: None,
            refused: None,
            suspect: Vec::new(),
            lost_before: false,
        };
        within(self.deadline, retry_on_conflict(transaction, CONFLICTS_MAX)).await
    }

    /// Notes the refusal of a call, for the audit trail; `None` as the salt if no record was loaded.
    pub(in crate::service) async fn note_refusal(
        &self,
        key: &SubjectKey,
        salt: Option<[u8; 16]>,
        call: Call<'_>,
        failure: &Failure,
    ) {
        let Some(refusal) = call.refusal(failure) else {
            return;
        };
        let now = self.clock.now();
        let event = call.event(What::Refused(refusal), Now::new(now, now));
        let refused = RefusalEvent {
            key: Some(*key),
            salt,
            event,
        };
        self.tell(call.about(key, failure), refusal, refused).await;
    }
}

/// A change, with the results of its earlier attempts.
struct Transaction<'a, F> {
    records: &'a Records,
    limits: &'a Limits,
    change: Change<'a>,
    decide: F,
    /// The message that was already drawn from the quotas.
    drawn: Option<Outgoing>,
    /// The message of a plan step that the quotas refused.
    refused: Option<RefusedMessage>,
    /// Counts of the pumping guard that would have refused the message if the guard did more than record.
    suspect: Vec<BucketKind>,
    /// Whether an earlier commit was lost: the store failed, and the change is not there.
    lost_before: bool,
}

impl<T, F> Swap for Transaction<'_, F>
where
    T: Send,
    F: Fn(Option<SubjectRecord>, &Context<'_>) -> Decision<T> + Send + Sync,
{
    type Output = Changed<T>;

    async fn once(&mut self) -> Result<Option<Changed<T>>, Failure> {
        let mut loaded = self.load().await?;
        let (decision, now) = self.decide(&mut loaded);
        let Decision {
            next,
            mut events,
            outgoing,
            reply,
        } = decision;
        let mut record = None;
        let reply = match self.draw(outgoing.as_ref()).await {
            Ok(()) => {
                events.extend(self.suspicions(outgoing.as_ref(), now));
                match self.records.write(&loaded, next, &events, now).await? {
                    Written::Done(stored) => record = stored,
                    Written::Conflict => return Ok(self.again(outgoing)),
                    Written::Lost(error) => {
                        self.lose(error)?;
                        return Ok(self.again(outgoing));
                    }
                }
                reply.map_err(Failure::from)
            }
            Err(failure) => match refused_step(outgoing.as_ref(), &failure) {
                Some(refused) => {
                    self.refused = Some(refused);
                    return Ok(None);
                }
                None => Err(failure),
            },
        };
        self.note_reply(reply.as_ref().err(), outgoing.as_ref(), &loaded)
            .await;
        Ok(Some(Changed {
            reply: reply?,
            now,
            record,
        }))
    }
}

impl<F> Transaction<'_, F> {
    async fn load(&mut self) -> Result<LoadedRecord, Failure> {
        match self.change.before.take() {
            Some(before) => Ok(before),
            None => self.records.load(&self.change.key).await,
        }
    }

    fn decide<T>(&self, loaded: &mut LoadedRecord) -> (Decision<T>, Now)
    where
        F: Fn(Option<SubjectRecord>, &Context<'_>) -> Decision<T>,
    {
        let cx = Context {
            refused: self.refused.as_ref(),
            ..self.records.context(loaded)
        };
        ((self.decide)(loaded.record.take(), &cx), cx.now)
    }

    /// Draws a message from the quotas, unless an earlier attempt drew one to the same recipient.
    async fn draw(&mut self, outgoing: Option<&Outgoing>) -> Result<(), Failure> {
        let is_drawn = |message: &&Outgoing| {
            self.drawn
                .as_ref()
                .is_some_and(|drawn| drawn.recipient == message.recipient)
        };
        if let Some(message) = outgoing.filter(|message| !is_drawn(message)) {
            self.suspect.extend(self.limits.draw(message).await?);
        }
        Ok(())
    }

    /// The events for a pumping guard that only records.
    fn suspicions(&self, outgoing: Option<&Outgoing>, now: Now) -> Vec<Event> {
        let Some(message) = outgoing.or(self.drawn.as_ref()) else {
            return Vec::new();
        };
        let event = |quota: &BucketKind| {
            let what = What::WouldRefuse { quota: *quota };
            let action = Some(message.action.clone());
            match self.change.call {
                Some(call) => Event {
                    action,
                    ..call.event(what, now)
                },
                None => Event {
                    at: now.stamp(),
                    tenant: message.tenant.clone(),
                    caller: None,
                    agent: None,
                    contact: None,
                    verification: None,
                    action,
                    what,
                },
            }
        };
        self.suspect.iter().map(event).collect()
    }

    /// Prepares another attempt; the draw for this message is kept for it.
    fn again<T>(&mut self, outgoing: Option<Outgoing>) -> Option<Changed<T>> {
        self.drawn = outgoing.or(self.drawn.take());
        None
    }

    /// Fails after the second lost commit: such a store is treated like one that is down.
    fn lose(&mut self, error: StoreError) -> Result<(), Failure> {
        if std::mem::replace(&mut self.lost_before, true) {
            Err(error.into())
        } else {
            Ok(())
        }
    }

    /// Counts a new subject; notes a refusal, because every refusal is in the audit trail too.
    async fn note_reply(
        &self,
        failure: Option<&Failure>,
        outgoing: Option<&Outgoing>,
        loaded: &LoadedRecord,
    ) {
        let Some(call) = self.change.call else {
            return;
        };
        let Some(failure) = failure else {
            if outgoing.is_some_and(|message| message.new_subject) {
                let caller = call.caller.as_str().to_owned();
                metrics::counter!("countersign_new_subjects_total", "caller" => caller)
                    .increment(1);
            }
            return;
        };
        self.records
            .note_refusal(&self.change.key, loaded.salt, call, failure)
            .await;
    }
}

/// The message of a plan step that the quotas refused: nobody waits for it, so the step is skipped and the rest
/// of the plan continues.
fn refused_step(outgoing: Option<&Outgoing>, failure: &Failure) -> Option<RefusedMessage> {
    let message = outgoing.filter(|message| message.occasion == Occasion::Plan)?;
    let Failure::QuotaExceeded { quota, .. } = failure else {
        return None;
    };
    let reason = if quota.dimension.is_guard() {
        Reason::GuardRefused
    } else {
        Reason::QuotaExceeded
    };
    Some(RefusedMessage {
        message: message.clone(),
        reason,
    })
}

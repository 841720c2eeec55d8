//! The one road of a change: load, decide, compare and swap, and only then the answer.

use super::{Service, failure::Failure};
use crate::{
    domain::{
        decide::{Context, Decision, Durability, Next, refused},
        event::{Event, What},
        generation::Generation,
        ids::{CallerName, SubjectKey, VerificationId},
        subject::SubjectRecord,
        time::{Now, Timestamp},
    },
    ports::store::{Commit, Committed, StoreError, Token, Write},
};

/// How often a decision is taken again on fresh state, before the call gives up.
const CONFLICTS_MAX: usize = 4;

/// A record as loaded, and where and when.
pub(super) struct LoadedRecord {
    pub(super) record: Option<SubjectRecord>,
    key: SubjectKey,
    salt: Option<[u8; 16]>,
    token: Option<Token>,
    generation: Generation,
    store_now: Timestamp,
    forgot_at: Option<Timestamp>,
    /// By the service's clock.
    loaded_at: Timestamp,
}

/// Who calls what: what the event of a refusal names.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) name: &'static str,
    pub(super) caller: &'a CallerName,
    pub(super) verification: Option<VerificationId>,
}

impl Service {
    /// All store work of a command has one deadline; past it the answer is that the store is unavailable.
    pub(super) async fn bounded<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let late = |_| Failure::Store(StoreError::Unavailable("no answer within the deadline".to_owned()));
        tokio::time::timeout(self.parts.store_deadline, work).await.map_err(late)?
    }

    pub(super) async fn load(&self, key: &SubjectKey) -> Result<LoadedRecord, Failure> {
        let loaded = self.parts.store.load(key).await?;
        let record = loaded.blob.as_ref().map(|blob| self.vault.open(key, blob)).transpose()?;
        let token = loaded.blob.map(|blob| blob.token);
        let salt = record.as_ref().map(|record| record.event_salt);
        Ok(LoadedRecord {
            record,
            key: *key,
            salt,
            token,
            generation: loaded.generation,
            store_now: loaded.now,
            forgot_at: loaded.forgot_at,
            loaded_at: self.parts.clock.now(),
        })
    }

    /// The store's clock goes on since the load.
    pub(super) fn context(&self, loaded: &LoadedRecord) -> Context<'_> {
        let now = self.parts.clock.now();
        Context {
            now: Now::new(now, loaded.store_now.plus(now.since(loaded.loaded_at))),
            generation: loaded.generation,
            forgot_at: loaded.forgot_at,
            keyring: &self.parts.keyring,
            rules: &self.parts.policy.subject,
        }
    }

    /// Decides on fresh state and commits, again and again while others are faster, a bounded number of times.
    pub(super) async fn transact<T>(
        &self,
        key: &SubjectKey,
        call: Option<Call<'_>>,
        decide: impl Fn(Option<SubjectRecord>, &Context<'_>) -> Decision<T>,
    ) -> Result<(T, Now), Failure> {
        self.transact_on(key, None, call, decide).await
    }

    /// The same, first on a state that was loaded before: it is fresh if the commit says so.
    pub(super) async fn transact_on<T>(
        &self,
        key: &SubjectKey,
        mut before: Option<LoadedRecord>,
        call: Option<Call<'_>>,
        decide: impl Fn(Option<SubjectRecord>, &Context<'_>) -> Decision<T>,
    ) -> Result<(T, Now), Failure> {
        self.bounded(async {
            for _ in 0..=CONFLICTS_MAX {
                let mut loaded = match before.take() {
                    Some(before) => before,
                    None => self.load(key).await?,
                };
                let cx = self.context(&loaded);
                let decision = decide(loaded.record.take(), &cx);
                if !self.write(&loaded, decision.next, &decision.events, cx.now).await? {
                    continue;
                }
                if let (Err(refusal), Some(call)) = (&decision.reply, call) {
                    // Every refusal is an event too.
                    let what = What::Refused { call: call.name, reason: refusal.reason() };
                    self.note(key, loaded.salt, &refused(call.caller, call.verification, what, cx.now.stamp())).await;
                }
                return Ok((decision.reply?, cx.now));
            }
            Err(Failure::Contention)
        })
        .await
    }

    /// Writes what was decided; says whether it is written.
    async fn write(&self, loaded: &LoadedRecord, next: Next, events: &[Event], now: Now) -> Result<bool, Failure> {
        let key = &loaded.key;
        let (write, salt, durability) = match next {
            Next::Same => {
                for event in events {
                    self.note(key, loaded.salt, event).await;
                }
                return Ok(true);
            }
            Next::Write(record, durability) => {
                let record = record.stamped(events, now.stamp());
                let rules = &self.parts.policy.subject;
                let (wake_at, keep_until) = (record.wake_at(now, rules), record.keep_until(rules));
                let blob = self.vault.close(key, &record);
                (Write::Put { blob, wake_at, keep_until }, Some(record.event_salt), durability)
            }
            Next::Delete => (Write::Delete, loaded.salt, Durability::Plain),
        };
        let mine = match &write {
            Write::Put { blob, .. } => Some(blob.token),
            Write::Delete => None,
        };
        let events = events.iter().map(|event| self.vault.close_event(key, salt.as_ref(), event)).collect();
        let commit = Commit { key: *key, expect: loaded.token, generation: loaded.generation, write, events, durability };
        match self.parts.store.commit(commit).await {
            Ok(Committed::Done) => Ok(true),
            Ok(Committed::Conflict) => Ok(false),
            // It is known what happened, and that nobody may hear of it.
            Err(error @ (StoreError::NotReplicated | StoreError::Full)) => Err(error.into()),
            Err(error @ StoreError::Unavailable(_)) => self.find_out(key, mine).await.map_err(|_| error.into()),
        }
    }

    /// After an unknown outcome: what is stored tells. Mine is there, so it was committed; else the decision is taken
    /// again, as after a conflict. Should the lost commit still arrive, it is the one that finds another record.
    async fn find_out(&self, key: &SubjectKey, mine: Option<Token>) -> Result<bool, StoreError> {
        Ok(self.parts.store.load(key).await?.blob.map(|blob| blob.token) == mine)
    }

    /// Writes down an event that comes with no change. It is not worth failing a call for.
    pub(super) async fn note(&self, key: &SubjectKey, salt: Option<[u8; 16]>, event: &Event) {
        let sealed = self.vault.close_event(key, salt.as_ref(), event);
        if let Err(error) = self.parts.store.append(key, sealed).await {
            metrics::counter!("countersign_events_lost_total").increment(1);
            tracing::warn!(%error, "An event was not written.");
        }
    }
}

//! Side records in the store: small sealed facts beside the subject records, changed by the same compare-and-swap.

mod old_place;

use std::{sync::Arc, time::Duration};

use self::old_place::OldPlace;
use super::{
    quarantine::Quarantine,
    retry::{Swap, retry_on_conflict},
    vault::Vault,
};
use crate::{
    domain::{
        decide::Durability,
        record::{
            key::RecordKey,
            side::{Side, SideRecord},
        },
        time::{Generation, Now, Timestamp},
    },
    ports::{
        store::{Commit, Committed, News, Store, StoreError, Token, Write},
        system::Clock,
    },
    service::{failure::Failure, unreadable::Unreadable},
};

/// How often a change is attempted again because others changed the record first. Twice as often as for a subject
/// record: all processes of the fleet change the same side record at once, for example when a sender fails, and no
/// caller would repeat the change.
const CONFLICTS_MAX: usize = 8;

/// Reads and writes side records.
#[derive(Clone)]
pub(in crate::service) struct Sides {
    pub(in crate::service) store: Arc<dyn Store>,
    pub(in crate::service) clock: Arc<dyn Clock>,
    pub(in crate::service) vault: Vault,
    pub(in crate::service) quarantine: Arc<Quarantine>,
    /// The time allowed for one store operation.
    pub(in crate::service) deadline: Duration,
}

/// A side record as loaded.
pub(in crate::service) struct SideState {
    /// The content; `None` if there is no record, or it has expired.
    pub(in crate::service) side: Option<Side>,
    /// The time of the load.
    pub(in crate::service) now: Now,
    key: RecordKey,
    version: u64,
    until: Timestamp,
    token: Option<Token>,
    generation: Generation,
    /// The same record at its place of version 0.1, if it was found there.
    old: Option<OldPlace>,
}

/// What to do with a side record.
pub(in crate::service) enum NextSide {
    /// Leave it unchanged; nothing is committed.
    Same,
    /// Replace it; the new one expires at this time.
    Put(Side, Timestamp),
    /// Delete it, if it exists.
    Delete,
}

impl Sides {
    /// Changes a side record as `decide` says; attempts it again on fresh state, a bounded number of times, if others
    /// change the record first. Returns the answer of the decision that was committed.
    ///
    /// # Errors
    /// [`Failure`]; the change may have been written all the same.
    pub(in crate::service) async fn change<T: Send>(
        &self,
        key: &RecordKey,
        decide: impl Fn(Option<Side>, Now) -> (NextSide, T) + Send + Sync,
    ) -> Result<T, Failure> {
        let change = SideChange {
            sides: self,
            key,
            decide,
        };
        retry_on_conflict(change, CONFLICTS_MAX).await
    }

    /// Loads a side record.
    ///
    /// # Errors
    /// [`Failure`]; nothing is known about the record then.
    pub(in crate::service) async fn load(&self, key: &RecordKey) -> Result<SideState, Failure> {
        let found = self.load_here(key).await?;
        match found.token {
            Some(_) => Ok(found),
            None => self.load_old(found).await,
        }
    }

    async fn load_here(&self, key: &RecordKey) -> Result<SideState, Failure> {
        let loaded = self.bounded(self.store.load(key)).await?;
        let record = match &loaded.blob {
            None => None,
            Some(blob) => Some(self.vault.open_side(key, blob).map_err(|cause| {
                let why = Unreadable::new(blob, cause);
                self.quarantine
                    .remember_unreadable(*key, &why, self.clock.now());
                Failure::RecordUnreadable(why)
            })?),
        };
        let state = SideState {
            side: None,
            now: Now::new(self.clock.now(), loaded.now),
            key: *key,
            version: 0,
            until: Timestamp::default(),
            token: loaded.blob.map(|blob| blob.token),
            generation: loaded.generation,
            old: None,
        };
        Ok(match record {
            Some(record) => state.with(record),
            None => state,
        })
    }

    /// Writes a side record, which expires at `until`, in place of what was loaded.
    ///
    /// # Errors
    /// [`Failure`]; it may have been written all the same. Load it to find out.
    pub(in crate::service) async fn put(
        &self,
        state: &SideState,
        side: Side,
        until: Timestamp,
    ) -> Result<Committed, Failure> {
        let record = SideRecord {
            version: state.version + 1,
            until,
            side,
        };
        let write = Write::Put {
            blob: self.vault.close_side(&state.key, &record),
            wake_at: Some(until),
            keep_until: Some(until),
        };
        let committed = self.commit(state, write).await?;
        match (committed, &state.old) {
            (Committed::Done, Some(old)) => self.tidy_old(old).await,
            (Committed::Done | Committed::Conflict, _) => {}
        }
        Ok(committed)
    }

    /// Deletes what was loaded, if anything.
    ///
    /// # Errors
    /// [`Failure`], as for [`Self::put`].
    pub(in crate::service) async fn delete(&self, state: &SideState) -> Result<Committed, Failure> {
        match (state.token, &state.old) {
            (Some(_), _) => self.commit(state, Write::Delete).await,
            (None, Some(old)) => self.delete_old(old).await,
            (None, None) => Ok(Committed::Done),
        }
    }

    /// Subscribes to changes of a side record made after this call.
    ///
    /// # Errors
    /// [`Failure`]; there is no subscription then.
    pub(in crate::service) async fn watch(&self, key: &RecordKey) -> Result<News, Failure> {
        self.bounded(self.store.watch(key)).await
    }

    /// Deletes a side record that is due because it has expired; also removes its entry in the due index if the store
    /// has dropped the record.
    ///
    /// # Errors
    /// [`Failure`]; it may be deleted all the same.
    pub(in crate::service) async fn sweep(&self, key: &RecordKey) -> Result<(), Failure> {
        let state = self.load_here(key).await?;
        if state.now.has_reached(state.until) {
            // A conflict: another process extended its life, or deleted it.
            let (Committed::Done | Committed::Conflict) =
                self.commit(&state, Write::Delete).await?;
        }
        Ok(())
    }

    async fn commit(&self, state: &SideState, write: Write) -> Result<Committed, Failure> {
        let commit = Commit {
            key: state.key,
            expect: state.token,
            generation: state.generation,
            write,
            events: Vec::new(),
            durability: Durability::Plain,
        };
        self.bounded(self.store.commit(commit)).await
    }

    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Failure> {
        let late = |_| StoreError::Unavailable("no answer within the deadline".to_owned());
        Ok(tokio::time::timeout(self.deadline, work)
            .await
            .map_err(late)??)
    }
}

impl SideState {
    /// Adds the content of a record, unless it has expired.
    fn with(self, record: SideRecord) -> Self {
        let is_past = self.now.is_past(record.until);
        Self {
            side: (!is_past).then_some(record.side),
            version: record.version,
            until: record.until,
            ..self
        }
    }
}

/// A change of a side record, for [`retry_on_conflict`].
struct SideChange<'a, F> {
    sides: &'a Sides,
    key: &'a RecordKey,
    decide: F,
}

impl<T, F> Swap for SideChange<'_, F>
where
    T: Send,
    F: Fn(Option<Side>, Now) -> (NextSide, T) + Send + Sync,
{
    type Output = T;

    async fn once(&mut self) -> Result<Option<T>, Failure> {
        let mut state = self.sides.load(self.key).await?;
        let (next, answer) = (self.decide)(state.side.take(), state.now);
        let committed = match next {
            NextSide::Same => Committed::Done,
            NextSide::Put(side, until) => self.sides.put(&state, side, until).await?,
            NextSide::Delete => self.sides.delete(&state).await?,
        };
        Ok(match committed {
            Committed::Done => Some(answer),
            Committed::Conflict => None,
        })
    }
}

#[cfg(test)]
mod rotation;
#[cfg(test)]
mod tests;

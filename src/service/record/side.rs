//! Side records in the store: small sealed facts beside the subject records, changed by the same compare-and-swap.

use std::{sync::Arc, time::Duration};

use super::{
    attempt::{Attempt, carry_out},
    vault::{Vault, VaultError},
};
use crate::{
    domain::{
        crypto::seal::SealError,
        decide::Durability,
        ids::SubjectKey,
        record::side::{Side, SideRecord},
        time::{Generation, Now, Timestamp},
    },
    ports::{
        store::{Commit, Committed, News, Store, StoreError, Token, Write},
        system::Clock,
    },
    service::failure::Failure,
};

/// How often a change is tried anew because others changed the record first.
const CONFLICTS_MAX: usize = 8;

/// Reads and writes side records.
#[derive(Clone)]
pub(in crate::service) struct Sides {
    pub(in crate::service) store: Arc<dyn Store>,
    pub(in crate::service) clock: Arc<dyn Clock>,
    pub(in crate::service) vault: Vault,
    /// The time that the work of one call may take.
    pub(in crate::service) deadline: Duration,
}

/// What stood where a side record is looked for.
pub(in crate::service) struct Stood {
    /// What it says; none if there is none, or if its time is over.
    pub(in crate::service) side: Option<Side>,
    /// When it was read.
    pub(in crate::service) now: Now,
    key: SubjectKey,
    version: u64,
    until: Timestamp,
    token: Option<Token>,
    generation: Generation,
}

/// What becomes of a side record.
pub(in crate::service) enum NextSide {
    /// It stays as it is.
    Same,
    /// It is replaced, and ends at this time.
    Put(Side, Timestamp),
    /// It goes.
    Delete,
}

impl Sides {
    /// Changes a side record as `decide` says of its fresh state, again while others are faster, a bounded number of
    /// times. Gives the answer of the decision that holds.
    ///
    /// # Errors
    /// [`Failure`]; then the change may or may not be written.
    pub(in crate::service) async fn change<T: Send>(
        &self,
        key: &SubjectKey,
        decide: impl Fn(Option<Side>, Now) -> (NextSide, T) + Send + Sync,
    ) -> Result<T, Failure> {
        let change = SideChange {
            sides: self,
            key,
            decide,
        };
        carry_out(change, CONFLICTS_MAX).await
    }

    /// Reads a side record.
    ///
    /// # Errors
    /// [`Failure`]; then nothing is known.
    pub(in crate::service) async fn load(&self, key: &SubjectKey) -> Result<Stood, Failure> {
        let loaded = self.bounded(self.store.load(key)).await?;
        let now = Now::new(self.clock.now(), loaded.now);
        let record = loaded
            .blob
            .as_ref()
            .map(|blob| self.vault.open_side(key, blob))
            .transpose()?;
        let (version, until) = record.as_ref().map_or((0, Timestamp::default()), |record| {
            (record.version, record.until)
        });
        Ok(Stood {
            side: record
                .filter(|record| !now.is_past(record.until))
                .map(|record| record.side),
            now,
            key: *key,
            version,
            until,
            token: loaded.blob.map(|blob| blob.token),
            generation: loaded.generation,
        })
    }

    /// Puts a side record, which ends at `until`, in the place of what stood there.
    ///
    /// # Errors
    /// [`Failure`]; then it may or may not be written, and a load tells.
    pub(in crate::service) async fn put(
        &self,
        stood: &Stood,
        side: Side,
        until: Timestamp,
    ) -> Result<Committed, Failure> {
        let blob = self.vault.close_side(
            &stood.key,
            &SideRecord {
                version: stood.version + 1,
                until,
                side,
            },
        );
        self.commit(
            stood,
            Write::Put {
                blob,
                wake_at: Some(until),
                keep_until: Some(until),
            },
        )
        .await
    }

    /// Deletes what stood there, if anything did.
    ///
    /// # Errors
    /// As of [`Self::put`].
    pub(in crate::service) async fn delete(&self, stood: &Stood) -> Result<Committed, Failure> {
        match stood.token {
            Some(_) => self.commit(stood, Write::Delete).await,
            None => Ok(Committed::Done),
        }
    }

    /// Follows a side record from now on.
    ///
    /// # Errors
    /// [`Failure`].
    pub(in crate::service) async fn watch(&self, key: &SubjectKey) -> Result<News, Failure> {
        self.bounded(self.store.watch(key)).await
    }

    /// Deletes a side record that is due, because its time is over.
    ///
    /// # Errors
    /// [`Failure`]; also if it is none.
    pub(in crate::service) async fn sweep(&self, key: &SubjectKey) -> Result<(), Failure> {
        let stood = self.load(key).await?;
        if stood.now.has_reached(stood.until) {
            // A conflict: somebody gave it more time, or deleted it.
            let (Committed::Done | Committed::Conflict) = self.delete(&stood).await?;
        }
        Ok(())
    }

    async fn commit(&self, stood: &Stood, write: Write) -> Result<Committed, Failure> {
        let (key, generation, durability) = (stood.key, stood.generation, Durability::Plain);
        let commit = Commit {
            key,
            expect: stood.token,
            generation,
            write,
            events: Vec::new(),
            durability,
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

/// A change of a side record.
struct SideChange<'a, F> {
    sides: &'a Sides,
    key: &'a SubjectKey,
    decide: F,
}

impl<T, F> Attempt for SideChange<'_, F>
where
    T: Send,
    F: Fn(Option<Side>, Now) -> (NextSide, T) + Send + Sync,
{
    type Output = T;

    async fn once(&mut self) -> Result<Option<T>, Failure> {
        let mut stood = self.sides.load(self.key).await?;
        let (next, answer) = (self.decide)(stood.side.take(), stood.now);
        let committed = match next {
            NextSide::Same => Committed::Done,
            NextSide::Put(side, until) => self.sides.put(&stood, side, until).await?,
            NextSide::Delete => self.sides.delete(&stood).await?,
        };
        Ok(match committed {
            Committed::Done => Some(answer),
            Committed::Conflict => None,
        })
    }
}

/// May what is stored be a side record, where a subject record was looked for?
pub(in crate::service) fn may_be_side(failure: &Failure) -> bool {
    matches!(failure, Failure::Vault(VaultError::Seal(SealError::Broken)))
}

#[cfg(test)]
mod tests;

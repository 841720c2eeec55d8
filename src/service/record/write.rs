//! Writes what was decided: one compare-and-swap, and what its outcome means.

use super::{LoadedRecord, Records, journal};
use crate::{
    domain::{
        audit::event::Event,
        decide::{Durability, Next},
        ids::SubjectKey,
        record::{key::RecordKey, subject::SubjectRecord},
        time::Now,
    },
    ports::store::{Commit, Committed, StoreError, Token, Write},
    service::failure::Failure,
};

/// What became of a decision.
pub(super) enum Written {
    /// It is written; the record, if there is one now that was not before.
    Done(Option<Box<SubjectRecord>>),
    /// Others were faster.
    Conflict,
    /// The commit failed with this error, and is not there.
    Lost(StoreError),
}

/// What became of a commit.
enum Swapped {
    /// It is written.
    Done,
    /// Others were faster.
    Conflict,
    /// It failed with this error, and is not there.
    Lost(StoreError),
}

impl Records {
    /// Writes what was decided.
    pub(super) async fn write(
        &self,
        loaded: &LoadedRecord,
        next: Next,
        events: &[Event],
        now: Now,
    ) -> Result<Written, Failure> {
        let key = &loaded.key;
        let (write, record, durability) = match next {
            Next::Settled => {
                self.store.settle(&(*key).into()).await?;
                return Ok(Written::Done(None));
            }
            Next::Same => {
                for event in events {
                    self.note(key, loaded.salt, event).await;
                }
                return Ok(Written::Done(None));
            }
            Next::Write(record, durability) => {
                let record = Box::new(record.stamped(events, now.stamp()));
                let write = self.put(key, &record, now);
                (write, Some(record), durability)
            }
            Next::Delete => (Write::Delete, None, Durability::Plain),
        };
        let salt = record
            .as_ref()
            .map_or(loaded.salt, |record| Some(record.event_salt));
        let sealed = events
            .iter()
            .map(|event| self.vault.close_event(key, salt.as_ref(), event))
            .collect();
        let commit = Commit {
            key: (*key).into(),
            expect: loaded.token,
            generation: loaded.generation,
            write,
            events: sealed,
            durability,
        };
        Ok(match self.swap(commit).await? {
            Swapped::Done => {
                if let Some(record) = &record {
                    journal::tell(events, record);
                }
                Written::Done(record)
            }
            Swapped::Conflict => Written::Conflict,
            Swapped::Lost(error) => Written::Lost(error),
        })
    }

    /// The sealed record, and when it is due.
    fn put(&self, key: &SubjectKey, record: &SubjectRecord, now: Now) -> Write {
        let rules = &self.policy.subject;
        Write::Put {
            blob: self.vault.close(key, record),
            wake_at: record.wake_at(now, rules),
            keep_until: record.keep_until(rules),
        }
    }

    /// Compares and swaps.
    async fn swap(&self, commit: Commit) -> Result<Swapped, Failure> {
        let (key, mine) = (commit.key, token_of(&commit.write));
        match self.store.commit(commit).await {
            Ok(Committed::Done) => Ok(Swapped::Done),
            Ok(Committed::Conflict) => Ok(Swapped::Conflict),
            // It is known what happened, and that nobody may hear of it.
            Err(error @ (StoreError::NotReplicated | StoreError::Full | StoreError::Foreign)) => {
                Err(error.into())
            }
            Err(error @ StoreError::Unavailable(_)) => match self.is_stored(&key, mine).await {
                Ok(true) => Ok(Swapped::Done),
                Ok(false) => Ok(Swapped::Lost(error)),
                Err(_) => Err(error.into()),
            },
        }
    }

    /// After an unknown outcome: if what is stored is ours, it was committed; else the decision is taken again, as after a
    /// conflict. Should the lost commit still arrive, it is the one that finds another record.
    async fn is_stored(&self, key: &RecordKey, mine: Option<Token>) -> Result<bool, StoreError> {
        let stored = self.store.load(key).await?.blob;
        Ok(stored.map(|blob| blob.token) == mine)
    }
}

fn token_of(write: &Write) -> Option<Token> {
    match write {
        Write::Put { blob, .. } => Some(blob.token),
        Write::Delete => None,
    }
}

//! Writes the result of a decision by one compare-and-swap, and interprets the outcome.

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

/// The outcome of writing a decision.
pub(super) enum Written {
    /// Written; with the record, if the decision wrote one.
    Done(Option<Box<SubjectRecord>>),
    /// Others changed the record first; nothing is written.
    Conflict,
    /// The commit failed with this error, and a load shows that it is not there.
    Lost(StoreError),
}

/// The outcome of a commit.
enum Swapped {
    /// The change is written.
    Done,
    /// Others changed the record first; nothing is written.
    Conflict,
    /// The commit failed with this error, and a load shows that it is not there.
    Lost(StoreError),
    /// The change is written, but this error forbids an answer.
    Unanswered(StoreError),
}

impl Records {
    /// Writes the result of a decision.
    pub(super) async fn write(
        &self,
        loaded: &LoadedRecord,
        next: Next,
        events: &[Event],
        now: Now,
    ) -> Result<Written, Failure> {
        let key = &loaded.key;
        let (write, record, durability) = match next {
            Next::AwaitDurable => {
                self.store.await_durable(&(*key).into()).await?;
                return Ok(Written::Done(None));
            }
            Next::Same => {
                for event in events {
                    self.append_event(key, loaded.salt, event).await?;
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
                note_commit(events, record.as_deref());
                Written::Done(record)
            }
            // A repeat of the call finds the commit and gets its answer, and notes nothing.
            Swapped::Unanswered(error) => {
                note_commit(events, record.as_deref());
                return Err(error.into());
            }
            Swapped::Conflict => Written::Conflict,
            Swapped::Lost(error) => Written::Lost(error),
        })
    }

    /// The write of a sealed record, with its due time and how long it must be kept.
    fn put(&self, key: &SubjectKey, record: &SubjectRecord, now: Now) -> Write {
        let rules = &self.policy.subject;
        Write::Put {
            blob: self.vault.close(key, record),
            wake_at: record.wake_at(now, rules),
            keep_until: record.keep_until(rules),
        }
    }

    /// Commits; after an unknown outcome, loads the record to find out.
    async fn swap(&self, commit: Commit) -> Result<Swapped, Failure> {
        let (key, mine) = (commit.key, token_of(&commit.write));
        match self.store.commit(commit).await {
            Ok(Committed::Done) => Ok(Swapped::Done),
            Ok(Committed::Conflict) => Ok(Swapped::Conflict),
            // The outcome is known, but the caller must get an error.
            Err(error @ StoreError::NotReplicated) => Ok(Swapped::Unanswered(error)),
            Err(error @ (StoreError::Full | StoreError::Foreign)) => Err(error.into()),
            Err(error @ StoreError::Unavailable(_)) => match self.is_stored(&key, mine).await {
                Ok(true) => Ok(Swapped::Done),
                Ok(false) => Ok(Swapped::Lost(error)),
                Err(_) => Err(error.into()),
            },
        }
    }

    /// After an unknown outcome: whether the stored record is the one that we wrote. If not, the decision is made
    /// again, as after a conflict; should the lost commit still arrive, it finds another token and conflicts.
    async fn is_stored(&self, key: &RecordKey, mine: Option<Token>) -> Result<bool, StoreError> {
        let stored = self.store.load(key).await?.blob;
        Ok(stored.map(|blob| blob.token) == mine)
    }
}

fn note_commit(events: &[Event], record: Option<&SubjectRecord>) {
    if let Some(record) = record {
        journal::log_commit(events, record);
    }
}

fn token_of(write: &Write) -> Option<Token> {
    match write {
        Write::Put { blob, .. } => Some(blob.token),
        Write::Delete => None,
    }
}

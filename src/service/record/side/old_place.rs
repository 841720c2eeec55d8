//! Side records where version 0.1 put them: among the records of the subjects. They are read for one release more, put
//! in their own place when they are written, and deleted when they have expired. Version 0.3 drops this file.

use super::{Sides, Stood};
use crate::{
    domain::{
        decide::Durability,
        ids::SubjectKey,
        record::key::RecordKey,
        time::{Generation, Now},
    },
    ports::store::{Commit, Committed, Token, Write},
    service::failure::Failure,
};

/// A side record of version 0.1.
pub(super) struct OldPlace {
    place: RecordKey,
    token: Token,
    generation: Generation,
}

impl Sides {
    /// Looks in the old place for what was not found in its own.
    pub(super) async fn load_old(&self, stood: Stood) -> Result<Stood, Failure> {
        let place = stood.key.before_kinds();
        let loaded = self.bounded(self.store.load(&place)).await?;
        let Some(blob) = loaded.blob else {
            return Ok(stood);
        };
        // Its seal proves what it is. What does not open is no side record of this name.
        let Ok(record) = self.vault.open_side(&stood.key, &blob) else {
            return Ok(stood);
        };
        let old = OldPlace {
            place,
            token: blob.token,
            generation: loaded.generation,
        };
        let found = stood.with(record);
        Ok(Stood {
            old: Some(old),
            ..found
        })
    }

    /// Deletes a record from the old place.
    pub(super) async fn delete_old(&self, old: &OldPlace) -> Result<Committed, Failure> {
        let commit = Commit {
            key: old.place,
            expect: Some(old.token),
            generation: old.generation,
            write: Write::Delete,
            events: Vec::new(),
            durability: Durability::Plain,
        };
        self.bounded(self.store.commit(commit)).await
    }

    /// Deletes a record from the old place after it was put in its own. If that fails, the sweep does it.
    pub(super) async fn tidy_old(&self, old: &OldPlace) {
        if let Err(error) = self.delete_old(old).await {
            tracing::debug!(%error, record = %old.place, "side record not deleted from its old place");
        }
    }

    /// Deletes an expired side record from among the records of the subjects. Returns whether there is one: its seal
    /// proves it, and nothing is concluded from a seal that does not open.
    ///
    /// # Errors
    /// [`Failure`].
    pub(in crate::service) async fn sweep_old(&self, key: &SubjectKey) -> Result<bool, Failure> {
        let place = RecordKey::from(*key);
        let loaded = self.bounded(self.store.load(&place)).await?;
        let Some(blob) = loaded.blob else {
            return Ok(false);
        };
        let Ok(record) = self.vault.open_any_side(&key.0, &blob) else {
            return Ok(false);
        };
        if Now::new(self.clock.now(), loaded.now).has_reached(record.until) {
            let old = OldPlace {
                place,
                token: blob.token,
                generation: loaded.generation,
            };
            // A conflict: another process was faster.
            let (Committed::Done | Committed::Conflict) = self.delete_old(&old).await?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;

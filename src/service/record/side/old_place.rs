//! Side records where version 0.1 wrote them: among the subjects' records. They are read for one more release, moved
//! to their own place when written, and deleted when expired. Version 0.3 drops this file.

use super::{SideState, Sides};
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

/// A side record found at its place of version 0.1.
pub(super) struct OldPlace {
    place: RecordKey,
    token: Token,
    generation: Generation,
}

impl Sides {
    /// Looks at the old place for a record that is not at its own.
    pub(super) async fn load_old(&self, state: SideState) -> Result<SideState, Failure> {
        let place = state.key.before_kinds();
        let loaded = self.bounded(self.store.load(&place)).await?;
        let Some(blob) = loaded.blob else {
            return Ok(state);
        };
        // Its seal proves what it is: a blob that does not open is no side record with this key.
        let Ok(record) = self.vault.open_side(&state.key, &blob) else {
            return Ok(state);
        };
        let old = OldPlace {
            place,
            token: blob.token,
            generation: loaded.generation,
        };
        let found = state.with(record);
        Ok(SideState {
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

    /// Deletes a record from the old place after it was written at its own. If that fails, the sweep will delete it.
    pub(super) async fn tidy_old(&self, old: &OldPlace) {
        if let Err(error) = self.delete_old(old).await {
            tracing::debug!(%error, record = %old.place, "side record not deleted from its old place");
        }
    }

    /// Deletes an expired side record from among the subjects' records. Returns whether there is a side record: its
    /// seal proves that; a seal that does not open proves nothing.
    ///
    /// # Errors
    /// [`Failure`]; it may be deleted all the same.
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
            // A conflict: another process has deleted it.
            let (Committed::Done | Committed::Conflict) = self.delete_old(&old).await?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;

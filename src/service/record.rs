//! Records: load, decide, commit once; what is kept beside them, and their events.

mod attempt;
pub mod audit;
pub(super) mod journal;
pub(super) mod side;
pub(super) mod transact;
pub mod vault;
mod write;

use std::{sync::Arc, time::Duration};

use super::{
    failure::{Failure, within},
    policy::Policy,
};
use crate::{
    domain::{
        audit::event::Event,
        crypto::keyring::Keyring,
        decide::Context,
        ids::SubjectKey,
        record::{key::RecordKey, subject::SubjectRecord},
        time::{Generation, Now, Timestamp},
    },
    ports::{
        store::{Committed, Complaint, Due, News, Store, Token},
        system::{Clock, Entropy},
    },
};

use side::Sides;
use vault::Vault;

/// How long a record is left alone that this version cannot handle.
const SET_ASIDE: Duration = Duration::from_secs(60);

/// The part of the service that reads and changes records. Only it sees stored bytes.
pub(super) struct Records {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    keyring: Arc<Keyring>,
    policy: Arc<Policy>,
    vault: Vault,
    /// The time that all store work of one command may take.
    deadline: Duration,
}

/// What the records are made of.
pub(super) struct RecordParts {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) policy: Arc<Policy>,
    pub(super) deadline: Duration,
}

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

impl Records {
    pub(super) fn new(parts: RecordParts) -> Self {
        let RecordParts {
            store,
            clock,
            entropy,
            keyring,
            policy,
            deadline,
        } = parts;
        let vault = Vault::new(keyring.clone(), entropy);
        Self {
            store,
            clock,
            keyring,
            policy,
            vault,
            deadline,
        }
    }

    /// The side records of the same store.
    pub(super) fn sides(&self) -> Sides {
        Sides {
            store: self.store.clone(),
            clock: self.clock.clone(),
            vault: self.vault.clone(),
            deadline: self.deadline,
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Failure`]; then nothing is known of it.
    pub(super) async fn read(&self, key: &SubjectKey) -> Result<LoadedRecord, Failure> {
        within(self.deadline, self.load(key)).await
    }

    async fn load(&self, key: &SubjectKey) -> Result<LoadedRecord, Failure> {
        let loaded = self.store.load(&(*key).into()).await?;
        let record = loaded
            .blob
            .as_ref()
            .map(|blob| self.vault.open(key, blob))
            .transpose()?;
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
            loaded_at: self.clock.now(),
        })
    }

    /// What a decision on a loaded record may look at. The store's clock went on since the load.
    pub(super) fn context(&self, loaded: &LoadedRecord) -> Context<'_> {
        let now = self.clock.now();
        Context {
            now: Now::new(now, loaded.store_now.plus(now.since(loaded.loaded_at))),
            generation: loaded.generation,
            forgot_at: loaded.forgot_at,
            keyring: &self.keyring,
            rules: &self.policy.subject,
            refused: None,
            tests: &self.policy.test_recipients,
        }
    }

    /// Writes down an event that comes with no change. A failure here fails no call.
    pub(super) async fn note(&self, key: &SubjectKey, salt: Option<[u8; 16]>, event: &Event) {
        let sealed = self.vault.close_event(key, salt.as_ref(), event);
        if let Err(error) = self.store.append(&(*key).into(), sealed).await {
            metrics::counter!("countersign_events_lost_total").increment(1);
            tracing::warn!(%error, "event not written");
        }
    }

    /// Leaves a record alone that this version cannot handle: it is tried again later.
    pub(super) async fn set_aside(&self, key: &RecordKey) -> Result<(), Failure> {
        let loaded = self.store.load(key).await?;
        let until = loaded.now.plus(SET_ASIDE);
        let expect = loaded.blob.map(|blob| blob.token);
        let (Committed::Done | Committed::Conflict) =
            self.store.postpone(key, expect, until).await?;
        Ok(())
    }

    /// The records that are due.
    pub(super) async fn due(&self, limit: usize) -> Result<Due, Failure> {
        Ok(self.store.due(limit).await?)
    }

    /// Follows a record from now on.
    pub(super) async fn watch(&self, key: &SubjectKey) -> Result<News, Failure> {
        within(self.deadline, async {
            Ok(self.store.watch(&(*key).into()).await?)
        })
        .await
    }

    /// Whether the store serves.
    pub(super) async fn ready(&self) -> Result<(), Failure> {
        within(self.deadline, async { Ok(self.store.ready().await?) }).await
    }

    /// Degraded conditions of the store.
    pub(super) fn complaints(&self) -> Vec<Complaint> {
        self.store.complaints()
    }
}

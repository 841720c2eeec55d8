//! Records: load, decide, commit once; also side records, events, and records that cannot be opened.

pub mod audit;
pub(super) mod call;
mod guesses;
pub(super) mod journal;
pub mod listing;
pub mod quarantine;
mod refusals;
mod retention;
mod retry;
pub(super) mod side;
pub(super) mod transact;
pub mod usage;
pub mod vault;
mod write;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    failure::{Failure, within},
    policy::Policy,
    unreadable::Unreadable,
};
use crate::{
    domain::{
        audit::{event::Event, refusals::RefusalCounter},
        crypto::keyring::Keyring,
        decide::Context,
        ids::SubjectKey,
        record::subject::SubjectRecord,
        time::{Generation, Now, Timestamp},
    },
    ports::{
        store::{Blob, Complaint, Due, News, Store, StoreError, Token},
        system::{Clock, Entropy},
    },
};

use guesses::Guesses;
use quarantine::Quarantine;
use retention::Trail;
use side::Sides;
use vault::Vault;

/// The part of the service that reads and changes records. No other part sees stored bytes.
pub(super) struct Records {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    keyring: Arc<Keyring>,
    policy: Arc<Policy>,
    vault: Vault,
    quarantine: Arc<Quarantine>,
    refusals: Mutex<RefusalCounter>,
    trail: Trail,
    guesses: Guesses,
    /// The time allowed for all store work of one command.
    deadline: Duration,
}

/// The parts from which [`Records`] is built.
pub(super) struct RecordParts {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) policy: Arc<Policy>,
    pub(super) deadline: Duration,
}

/// A record as loaded, with the conditions that its commit must meet.
pub(super) struct LoadedRecord {
    pub(super) record: Option<SubjectRecord>,
    key: SubjectKey,
    pub(in crate::service) salt: Option<[u8; 16]>,
    token: Option<Token>,
    generation: Generation,
    store_now: Timestamp,
    forgot_at: Option<Timestamp>,
    /// The time of the load, by the service's clock.
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
        let quarantine: Arc<Quarantine> = Arc::default();
        let sides = Sides {
            store: store.clone(),
            clock: clock.clone(),
            vault: vault.clone(),
            quarantine: quarantine.clone(),
            deadline,
        };
        let guesses = Guesses::new(sides, keyring.clone(), policy.clone());
        Self {
            store,
            clock,
            keyring,
            policy,
            vault,
            refusals: Mutex::default(),
            trail: Trail::default(),
            quarantine,
            guesses,
            deadline,
        }
    }

    /// The side records in the same store.
    pub(super) fn sides(&self) -> Sides {
        Sides {
            store: self.store.clone(),
            clock: self.clock.clone(),
            vault: self.vault.clone(),
            quarantine: self.quarantine.clone(),
            deadline: self.deadline,
        }
    }

    /// Loads a record within the deadline.
    ///
    /// # Errors
    /// [`Failure`]; nothing is known about the record then.
    pub(super) async fn read(&self, key: &SubjectKey) -> Result<LoadedRecord, Failure> {
        within(self.deadline, self.load(key)).await
    }

    /// Loads a record; remembers it in the quarantine if it cannot be opened.
    async fn load(&self, key: &SubjectKey) -> Result<LoadedRecord, Failure> {
        let loaded = self.open(key).await;
        if let Err(Failure::RecordUnreadable(why)) = &loaded {
            self.quarantine
                .remember_unreadable((*key).into(), why, self.clock.now());
        }
        loaded
    }

    /// Loads a record for the sweep, which itself sets aside records that cannot be opened.
    pub(super) async fn open_due(&self, key: &SubjectKey) -> Result<LoadedRecord, Failure> {
        within(self.deadline, self.open(key)).await
    }

    async fn open(&self, key: &SubjectKey) -> Result<LoadedRecord, Failure> {
        let loaded = self.store.load(&(*key).into()).await?;
        let open = |blob: &Blob| {
            self.vault
                .open(key, blob)
                .map_err(|cause| Failure::RecordUnreadable(Unreadable::new(blob, cause)))
        };
        let record = loaded.blob.as_ref().map(open).transpose()?;
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

    /// The context of a decision on a loaded record. The store's time is that of the load plus the time passed since.
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

    /// Writes an event that belongs to no change.
    ///
    /// # Errors
    /// [`StoreError`]; the event may be lost.
    async fn append_event(
        &self,
        key: &SubjectKey,
        salt: Option<[u8; 16]>,
        event: &Event,
    ) -> Result<(), StoreError> {
        let sealed = self.vault.close_event(key, salt.as_ref(), event);
        self.store.append(&(*key).into(), sealed).await
    }

    /// The records that are due, at most `limit`.
    pub(super) async fn due(&self, limit: usize) -> Result<Due, Failure> {
        let due = self.store.due(limit).await?;
        self.quarantine.update_gauge(self.clock.now());
        Ok(due)
    }

    /// Subscribes to changes of a record made after this call.
    pub(super) async fn watch(&self, key: &SubjectKey) -> Result<News, Failure> {
        within(self.deadline, async {
            Ok(self.store.watch(&(*key).into()).await?)
        })
        .await
    }

    /// Checks whether the store can serve.
    pub(super) async fn ready(&self) -> Result<(), Failure> {
        within(self.deadline, async { Ok(self.store.ready().await?) }).await
    }

    /// Degraded conditions of the store, including records that cannot be opened.
    pub(super) fn complaints(&self) -> Vec<Complaint> {
        let mut complaints = self.store.complaints();
        complaints.extend(self.quarantine.complaint(self.clock.now()));
        complaints.extend(self.complaint_about_events());
        complaints
    }
}

//! Opens the store: connects, refuses unfit servers, and sets an empty store up where that is allowed.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::share::Share;
use crate::{
    ports::{
        store::{Complaint, StoreError},
        system::{Clock, Entropy, fresh},
    },
    store::redis::{
        Core, Redis,
        connection::{
            health::{Health, advice, unfit, version},
            identity::Identity,
            node::{Common, Lane},
            settings::RedisSettings,
            topology::Topology,
        },
        due::Looks,
        keys::Keys,
        news::Hub,
    },
};

/// How long opening waits for the servers.
const REACH_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two checks whether they are connected.
const REACH_PAUSE: Duration = Duration::from_millis(20);

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum RedisOpenError {
    /// No connection within the time allowed; the text is the last failure.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// A server has settings under which counts or records could be lost; one text per problem.
    #[error("{}", .0.join("; "))]
    Unfit(Vec<String>),
    /// Our user lacks a permission; the text names the command.
    #[error("{0}")]
    Rights(String),
    /// The store is empty, and the settings do not allow automatic setup.
    #[error("it is not set up: run `countersign store init` with these settings once")]
    NotSetUp,
    /// The store was set up with another number of shards.
    #[error("it was set up with {found} shards, and store.shards is {wanted}")]
    Shards {
        /// The number in the store.
        found: u16,
        /// The number in the settings.
        wanted: u16,
    },
    /// A store operation failed while opening.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What to do with an empty store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstUse {
    /// Set it up without asking; for development.
    SetUp,
    /// Refuse to start: in production, an empty store may have lost its data.
    Refuse,
}

/// Clock and randomness for the store.
pub struct RedisMachine {
    /// The service's clock; the servers' clocks are compared with it.
    pub clock: Arc<dyn Clock>,
    /// Randomness for pauses and for the id of this process.
    pub entropy: Arc<dyn Entropy>,
    /// In tests, a clock that replaces the servers' clocks; otherwise `None`.
    pub test_clock: Option<Arc<dyn Clock>>,
}

impl Redis {
    /// Connects to the servers, without checking or using them.
    ///
    /// # Errors
    /// [`RedisOpenError::Unreachable`] if they are not connected in time.
    pub async fn reach(
        settings: RedisSettings,
        machine: RedisMachine,
    ) -> Result<Self, RedisOpenError> {
        let common = Arc::new(Common {
            settings,
            clock: machine.clock,
            entropy: machine.entropy,
            health: Health::default(),
        });
        let keys = Keys::new(&common.settings.prefix, common.settings.shards);
        let core = Arc::new(Core {
            topology: Arc::new(Topology::start(common.clone())),
            looks: Looks::new(keys.shards()),
            share: Share::all(fresh(&*common.entropy), keys.shards()),
            hub: Hub::default(),
            test_clock: machine.test_clock,
            keys,
            common,
        });
        let waited = tokio::time::timeout(REACH_TIMEOUT, async {
            while core.topology.down().is_some() {
                tokio::time::sleep(REACH_PAUSE).await;
            }
        });
        if waited.await.is_err() {
            return Err(RedisOpenError::Unreachable(
                core.topology.down().unwrap_or_default(),
            ));
        }
        Ok(Self {
            core,
            stop: CancellationToken::new().drop_guard(),
        })
    }

    /// Connects to the servers, refuses unfit ones, sets an empty store up if allowed, and
    /// starts the background tasks.
    ///
    /// # Errors
    /// [`RedisOpenError`] says why the store cannot be used.
    pub async fn open(
        settings: RedisSettings,
        machine: RedisMachine,
        first_use: FirstUse,
    ) -> Result<Self, RedisOpenError> {
        let mut store = Self::reach(settings, machine).await?;
        for complaint in store.preflight().await? {
            tracing::warn!(
                word = complaint.word,
                text = complaint.text.as_str(),
                "store setting questionable"
            );
        }
        let wanted = store.core.keys.shards();
        match store.core.shard_count().await? {
            Some(found) if found == wanted => {}
            Some(found) => return Err(RedisOpenError::Shards { found, wanted }),
            None if first_use == FirstUse::Refuse => return Err(RedisOpenError::NotSetUp),
            None => store.core.set_up(false).await?,
        }
        let stop = CancellationToken::new();
        let core = store.core.clone();
        let (share, listen, evictions, fitness) = (core.clone(), core.clone(), core.clone(), core);
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = share.keep_share() => {}
                () = listen.keep_listening() => {}
                () = evictions.mark_evictions() => {}
                () = fitness.watch_fitness() => {}
                () = stopped.cancelled() => {}
            }
        });
        store.stop = stop.drop_guard();
        Ok(store)
    }

    /// Sets an empty store up; `after_loss` if it is empty because it lost its data. Returns whether it was empty.
    ///
    /// # Errors
    /// [`RedisOpenError`] says why the store cannot be used.
    pub async fn init(&self, after_loss: bool) -> Result<bool, RedisOpenError> {
        self.preflight().await?;
        let wanted = self.core.keys.shards();
        match self.core.shard_count().await? {
            Some(found) if found != wanted => Err(RedisOpenError::Shards { found, wanted }),
            Some(_) => Ok(false),
            None => {
                self.core.set_up(after_loss).await?;
                Ok(true)
            }
        }
    }

    /// A store on the same servers under another prefix, set up, without background tasks.
    #[cfg(test)]
    pub(in crate::store) async fn under(&self, prefix: &str) -> Self {
        let core = &self.core;
        let keys = Keys::new(prefix, core.keys.shards());
        let core = Arc::new(Core {
            topology: core.topology.clone(),
            looks: Looks::new(keys.shards()),
            share: Share::all([0; 16], keys.shards()),
            hub: Hub::default(),
            test_clock: core.test_clock.clone(),
            keys,
            common: core.common.clone(),
        });
        core.set_up(false).await.expect("an empty prefix is set up");
        Self {
            core,
            stop: CancellationToken::new().drop_guard(),
        }
    }

    /// Checks every server. Problems that make it unfit are errors; lesser ones are returned as complaints.
    ///
    /// # Errors
    /// [`RedisOpenError::Unfit`] or [`RedisOpenError::Rights`] lists the problems.
    pub async fn preflight(&self) -> Result<Vec<Complaint>, RedisOpenError> {
        let (mut wrong, mut told) = (Vec::new(), Vec::new());
        for links in self
            .core
            .topology
            .nodes()
            .iter()
            .filter_map(|node| node.links())
        {
            let answers = links.pick(Lane::Plain).send(&Identity::questions()).await;
            let identity = answers
                .and_then(Identity::read)
                .map_err(|error| crate::store::redis::connection::fault::store_error(&error))?;
            wrong.extend(
                unfit(&identity)
                    .into_iter()
                    .map(|text| format!("{}: {text}", links.at)),
            );
            told.extend(
                advice(&identity)
                    .into_iter()
                    .map(|Complaint { word, text }| Complaint {
                        word,
                        text: format!("{}: {text}", links.at),
                    }),
            );
            if self.core.common.settings.wait_aof && version(&identity) < (7, 2, 0) {
                wrong.push(format!(
                    "{}: store.wait_aof needs version 7.2 or newer",
                    links.at
                ));
            }
        }
        if !wrong.is_empty() {
            return Err(RedisOpenError::Unfit(wrong));
        }
        self.core
            .try_rights(Lane::Durable)
            .await
            .map_err(|refused| RedisOpenError::Rights(refused.text))?;
        told.extend(self.core.try_replay().await?);
        told.extend(self.core.common.health.complaints());
        Ok(told)
    }
}

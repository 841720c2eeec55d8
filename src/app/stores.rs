//! Opens the store named in the settings.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;

use super::Machine;
use crate::{
    config::{Profile, Settings, StoreEngine},
    ports::store::{Complaint, Store},
    store::{
        OpenCause, inspect_embedded, open_embedded,
        redis::{FirstUse, Redis, RedisMachine},
    },
};

/// The context of errors about it.
const ON_REDIS: &str = "the store on Redis";

/// Opens the store; in development also sets up an empty one.
pub(super) async fn open(settings: &Settings, machine: &Machine) -> anyhow::Result<Arc<dyn Store>> {
    match &settings.store.engine {
        StoreEngine::Memory => embedded(None, settings, machine).await,
        StoreEngine::File(path) => embedded(Some(path), settings, machine).await,
        StoreEngine::Redis(redis) => {
            let first_use = match settings.profile {
                Profile::Development => FirstUse::SetUp,
                Profile::Production => FirstUse::Refuse,
            };
            let opened = Redis::open((**redis).clone(), parts(machine), first_use).await;
            Ok(Arc::new(opened.context("cannot open the store on Redis")?))
        }
    }
}

/// Opens the embedded store on a blocking thread, because it reads and may repair files.
async fn embedded(
    path: Option<&Path>,
    settings: &Settings,
    machine: &Machine,
) -> anyhow::Result<Arc<dyn Store>> {
    let (path, data_dir) = (path.map(Path::to_owned), settings.data_dir.clone());
    let (clock, entropy) = (machine.clock.clone(), machine.entropy.clone());
    let opened = tokio::task::spawn_blocking(move || {
        open_embedded(path.as_deref(), &data_dir, clock, &*entropy)
    })
    .await;
    opened
        .context("opening the store panicked")?
        .context("cannot open the store")
}

/// Sets up an empty store on Redis; returns whether it was empty.
///
/// # Errors
/// The settings name no store on Redis, or it cannot be used.
pub async fn init_store(settings: &Settings, after_loss: bool) -> anyhow::Result<bool> {
    let StoreEngine::Redis(redis) = &settings.store.engine else {
        anyhow::bail!("store.url names an embedded store, which needs no set-up");
    };
    let store = Redis::reach((**redis).clone(), parts(&Machine::default()))
        .await
        .context(ON_REDIS)?;
    store.init(after_loss).await.context(ON_REDIS)
}

/// Checks all servers of a store on Redis, replicas and sentinels too, and returns degraded conditions. An embedded store
/// has none.
///
/// # Errors
/// The servers cannot be reached, or are unfit.
pub async fn check_store(settings: &Settings) -> anyhow::Result<Vec<Complaint>> {
    let StoreEngine::Redis(redis) = &settings.store.engine else {
        return Ok(Vec::new());
    };
    let store = Redis::reach((**redis).clone(), parts(&Machine::default()))
        .await
        .context(ON_REDIS)?;
    let mut told = store.preflight().await.context(ON_REDIS)?;
    told.extend(store.survey().await);
    Ok(told)
}

/// Opens the store for reading only. The file of an embedded store must not be in use.
///
/// # Errors
/// The store cannot be opened, or it is in memory, where there is nothing to read.
pub async fn read_store(settings: &Settings) -> anyhow::Result<Arc<dyn Store>> {
    let path = match &settings.store.engine {
        StoreEngine::Memory => anyhow::bail!(
            "store.url = \"embedded:\" keeps records in the memory of the service; its /metrics page counts them by key \
             (countersign_records_by_key)"
        ),
        StoreEngine::Redis(redis) => {
            let store = Redis::reach((**redis).clone(), parts(&Machine::default()));
            return Ok(Arc::new(store.await.context(ON_REDIS)?));
        }
        StoreEngine::File(path) => path.clone(),
    };
    let clock = Machine::default().clock;
    match tokio::task::spawn_blocking(move || inspect_embedded(&path, clock)).await? {
        Err(error) if matches!(error.cause, OpenCause::InUse) => anyhow::bail!(
            "{error}: stop the service to read the file, or read countersign_records_by_key on the /metrics page of the \
             running service, which counts its records by key once an hour"
        ),
        opened => Ok(opened?),
    }
}

fn parts(machine: &Machine) -> RedisMachine {
    RedisMachine {
        clock: machine.clock.clone(),
        entropy: machine.entropy.clone(),
        test_clock: machine.store_clock.clone(),
    }
}

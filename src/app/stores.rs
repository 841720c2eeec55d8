//! Opens the store that the settings name.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use zeroize::Zeroizing;

use super::Machine;
use crate::{
    config::{Profile, Settings},
    ports::store::{
        Complaint, Store,
        url::{RedisUrl, StoreUrl},
    },
    store::{
        OpenCause, inspect_embedded, open_embedded,
        redis::{Certificates, FirstUse, Login, Redis, RedisMachine, RedisSettings},
    },
};

/// Stands before what is wrong with it.
const ON_REDIS: &str = "the store on Redis";

/// Opens it, and sets it up where that is allowed.
pub(super) async fn open(settings: &Settings, machine: &Machine) -> anyhow::Result<Arc<dyn Store>> {
    match &settings.store.url {
        StoreUrl::Memory => embedded(None, settings, machine).await,
        StoreUrl::File(path) => embedded(Some(path), settings, machine).await,
        StoreUrl::Redis(url) => {
            let first_use = match settings.profile {
                Profile::Development => FirstUse::SetUp,
                Profile::Production => FirstUse::Refuse,
            };
            let redis = redis_settings(settings, url)?;
            Ok(Arc::new(
                Redis::open(redis, parts(machine), first_use)
                    .await
                    .context("cannot open the store on Redis")?,
            ))
        }
    }
}

/// Opening reads and repairs files: not on a worker of the runtime.
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

/// Sets an empty store on Redis up; says whether it was empty.
///
/// # Errors
/// It is no store on Redis, or it cannot be used.
pub async fn init_store(settings: &Settings, after_loss: bool) -> anyhow::Result<bool> {
    let StoreUrl::Redis(url) = &settings.store.url else {
        anyhow::bail!("store.url names an embedded store, which is set up by itself");
    };
    let store = Redis::reach(redis_settings(settings, url)?, parts(&Machine::default()))
        .await
        .context(ON_REDIS)?;
    store.init(after_loss).await.context(ON_REDIS)
}

/// Looks at the servers of a store on Redis: what an operator should know of them. An embedded store has none.
///
/// # Errors
/// They cannot be reached, or are not fit.
pub async fn look_at_store(settings: &Settings) -> anyhow::Result<Vec<Complaint>> {
    let StoreUrl::Redis(url) = &settings.store.url else {
        return Ok(Vec::new());
    };
    let store = Redis::reach(redis_settings(settings, url)?, parts(&Machine::default()))
        .await
        .context(ON_REDIS)?;
    store.preflight().await.context(ON_REDIS)
}

/// Opens the store only to read what lies in it. An embedded file must not be in use.
///
/// # Errors
/// It cannot be opened, or there is nothing to read.
pub async fn read_store(settings: &Settings) -> anyhow::Result<Arc<dyn Store>> {
    let path = match &settings.store.url {
        StoreUrl::Memory => anyhow::bail!(
            "store.url = \"embedded:\" keeps records in the memory of the service; its /metrics page counts them by key \
             (countersign_records_by_key)"
        ),
        StoreUrl::Redis(url) => {
            let store = Redis::reach(redis_settings(settings, url)?, parts(&Machine::default()));
            return Ok(Arc::new(store.await.context(ON_REDIS)?));
        }
        StoreUrl::File(path) => path.clone(),
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
        frozen: machine.store_clock.clone(),
    }
}

/// The settings of the store, with the files read that they name.
pub(super) fn redis_settings(settings: &Settings, url: &RedisUrl) -> anyhow::Result<RedisSettings> {
    let keys = &settings.store.redis;
    let login = |username: &str, file: &Option<std::path::PathBuf>| {
        let password = file.as_deref().map(secret).transpose()?;
        anyhow::Ok(password.map(|password| Login {
            username: username.to_owned(),
            password,
        }))
    };
    let client = match &keys.client {
        Some((cert, key)) => Some((read(cert)?, Zeroizing::new(read(key)?))),
        None => None,
    };
    Ok(RedisSettings {
        url: url.clone(),
        login: login(&url.username, &keys.password_file)?,
        sentinel_login: login(&keys.sentinel_username, &keys.sentinel_password_file)?,
        certificates: Certificates {
            ca: keys.ca_file.as_deref().map(read).transpose()?,
            client,
        },
        prefix: keys.prefix.clone(),
        shards: keys.shards,
        connections: keys.connections,
        durable_connections: keys.durable_connections,
        wait_replicas: keys.wait_replicas,
        wait_aof: keys.wait_aof,
        wait: keys.wait,
        deadline: settings.store.deadline,
    })
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The first line of a file, without its end.
fn secret(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = Zeroizing::new(
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
    );
    Ok(Zeroizing::new(
        text.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}

//! The service under test: instances in this process, on their own runtimes, over one store.

use std::{collections::BTreeMap, sync::Arc};

use countersign::{
    app::{App, Machine, Reach},
    config::{self, Settings, StoreEngine},
    domain::limit::quota::Dimension,
    ports::{sender::Sender, store::Store},
    store::redis::{FirstUse, Redis, RedisMachine},
    system::{SystemClock, SystemEntropy},
};
use tokio::{runtime::Runtime, task::JoinHandle};

use super::{
    post::Post,
    rig::{Options, RedisServer},
};

/// Makes a runtime with named threads, so that their CPU time can be told apart.
pub fn runtime(name: &str) -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name(name)
        .enable_all()
        .build()
}

/// Starts a Redis server configured as in production, except that nothing is written to disk.
pub fn redis() -> RedisServer {
    RedisServer::start(&Options::default())
}

/// The settings of all instances, which share their keys as a fleet does.
pub fn settings(
    dir: &std::path::Path,
    store_url: &str,
    connections: u8,
) -> anyhow::Result<Settings> {
    settings_with(dir, store_url, connections, &[])
}

/// The same, with these settings added: names without their prefix, and values.
pub fn settings_with(
    dir: &std::path::Path,
    store_url: &str,
    connections: u8,
    more: &[(&str, &str)],
) -> anyhow::Result<Settings> {
    let (dir, connections) = (dir.display().to_string(), connections.to_string());
    let own = [
        ("DATA_DIR", dir.as_str()),
        ("STORE__URL", store_url),
        ("STORE__CONNECTIONS", connections.as_str()),
        // A busy machine makes calls slow; they are to be measured, not refused.
        ("STORE__DEADLINE_MS", "10000"),
        ("GRPC__LISTEN", "127.0.0.1:0"),
        ("HTTP__LISTEN", "127.0.0.1:0"),
        ("ADMIN__LISTEN", "127.0.0.1:0"),
        ("SHIELD__CALLS_PER_S", "1000000"),
        ("SHIELD__BURST", "1000000"),
        ("WORKER__CONCURRENCY", "256"),
    ];
    let own = own.iter().chain(more);
    let own = own.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    // Every quota is drawn and none is used up; a bucket refills, and is forgotten, soon enough for a long run.
    let quotas = Dimension::ALL
        .into_iter()
        .filter(|dimension| dimension.is_plain())
        .flat_map(|dimension| {
            let name = format!("QUOTAS__{}", dimension.as_str().to_uppercase());
            let count = if dimension.is_hot() { "1000000" } else { "5" };
            [
                (format!("{name}__COUNT"), count.to_owned()),
                (format!("{name}__PERIOD_S"), "1".to_owned()),
            ]
        });
    let env = own
        .chain(quotas)
        .map(|(key, value)| (format!("COUNTERSIGN__{key}"), value));
    config::load(None, env).map_err(|mistakes| anyhow::anyhow!("{mistakes}"))
}

/// One instance of the service.
pub struct Instance {
    pub reach: Reach,
    runtime: Runtime,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl Instance {
    /// Starts it on threads with this name, with one sender.
    pub fn start(name: &str, settings: Settings, post: &Arc<Post>) -> anyhow::Result<Self> {
        let senders = BTreeMap::from([("outbox".to_owned(), post.clone() as Arc<dyn Sender>)]);
        Self::start_with(name, settings, senders)
    }

    /// Starts it on threads with this name, with these senders instead of those of the settings.
    pub fn start_with(
        name: &str,
        settings: Settings,
        senders: BTreeMap<String, Arc<dyn Sender>>,
    ) -> anyhow::Result<Self> {
        let runtime = runtime(name)?;
        let app = runtime.block_on(App::build(
            settings,
            Machine {
                senders,
                ..Machine::default()
            },
        ))?;
        let reach = app.reach()?;
        let serving = runtime.spawn(app.serve());
        Ok(Self {
            reach,
            runtime,
            serving,
        })
    }

    /// Shuts it down gracefully.
    pub fn stop(self) -> anyhow::Result<()> {
        self.reach.shutdown.cancel();
        self.runtime.block_on(self.serving)?
    }
}

/// Opens the store of an instance with these settings a second time.
pub async fn store(settings: &Settings) -> anyhow::Result<Arc<dyn Store>> {
    let StoreEngine::Redis(redis) = &settings.store.engine else {
        anyhow::bail!("the store is on Redis")
    };
    let machine = RedisMachine {
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(SystemEntropy::default()),
        test_clock: None,
    };
    Ok(Arc::new(
        Redis::open((**redis).clone(), machine, FirstUse::SetUp).await?,
    ))
}

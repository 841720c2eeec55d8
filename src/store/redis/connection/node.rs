//! One server with a small pool of connections. All are replaced when one fails or the server changes its generation.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use redis::AsyncConnectionConfig;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    identity::Identity,
    link::{Link, Trust},
    replicas::{self, Replicas},
    sentinel::Sentinels,
    settings::RedisSettings,
};
use crate::{
    ports::{
        store::{StoreError, url::Endpoint},
        system::{Clock, Entropy, fresh},
    },
    store::redis::connection::health::Health,
};

/// The time between two checks of a server's identity; REQUIREMENTS demands one per second.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// How long a server may take to answer a check.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// A server that answers other calls meanwhile gets this many times [`PROBE_TIMEOUT`].
const BUSY_ROUNDS: usize = 6;
/// The first pause after a failed connection attempt, and the longest; each pause is twice the one before.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long calls wait for a new connection after one was lost; after that they fail at once.
const PATIENCE: Duration = Duration::from_millis(300);

/// A connection with this many waiting calls is too slow; further calls use the next one.
const WAITING_MAX: usize = 64;

/// How the address of a server is found.
pub(in crate::store::redis) enum Target {
    /// A fixed address from the settings.
    Fixed(Endpoint),
    /// The address that the sentinels give for the master.
    Watched(Sentinels),
}

/// What all nodes of a store share.
pub(in crate::store::redis) struct Common {
    pub(in crate::store::redis) settings: RedisSettings,
    pub(in crate::store::redis) clock: Arc<dyn Clock>,
    pub(in crate::store::redis) entropy: Arc<dyn Entropy>,
    pub(in crate::store::redis) health: Health,
}

/// The kind of connection that a call uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::redis) enum Lane {
    /// Calls that are answered at once.
    Plain,
    /// Calls that may wait for replicas.
    Durable,
}

/// The connections to one server of one generation.
pub(in crate::store::redis) struct Links {
    plain: Vec<Link>,
    durable: Vec<Link>,
    next: AtomicUsize,
    pub(in crate::store::redis) at: Endpoint,
    pub(in crate::store::redis) trust: Arc<Trust>,
}

impl Links {
    /// Picks a connection of a lane. Calls sent over one connection at the same time are written and answered
    /// together, so the first one is used as long as it keeps up. The durable ones are used in turn, because a call
    /// on them waits behind any that waits for replicas.
    pub(in crate::store::redis) fn pick(&self, lane: Lane) -> Link {
        if lane == Lane::Durable && !self.durable.is_empty() {
            return self.durable[self.next.fetch_add(1, Ordering::Relaxed) % self.durable.len()]
                .clone();
        }
        let keeps_up = self.plain.iter().find(|link| link.waiting() < WAITING_MAX);
        let link = keeps_up.or_else(|| self.plain.iter().min_by_key(|link| link.waiting()));
        link.unwrap_or(&self.plain[0]).clone()
    }
}

/// The state of a server's connections.
#[derive(Clone)]
pub(in crate::store::redis) enum State {
    Up(Arc<Links>),
    Down { since: Instant, why: String },
}

/// One server, and the background task that maintains its connections; dropping it ends the task.
pub(in crate::store::redis) struct Node {
    state: watch::Receiver<State>,
    stop: CancellationToken,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Node {
    /// Starts a task that connects to a server and stays connected.
    pub(in crate::store::redis) fn start(target: Target, common: Arc<Common>) -> Self {
        let (tell, state) = watch::channel(State::Down {
            since: Instant::now(),
            why: "it is not reached yet".to_owned(),
        });
        let stop = CancellationToken::new();
        let keeper = Keeper {
            target,
            common,
            tell,
        };
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = keeper.keep() => {}
                () = stopped.cancelled() => {}
            }
        });
        Self { state, stop }
    }

    /// A connection of this lane; waits up to [`PATIENCE`] for one that is being made.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] says why there is none.
    pub(in crate::store::redis) async fn link(&self, lane: Lane) -> Result<Link, StoreError> {
        let mut states = self.state.clone();
        loop {
            let patience = match &*states.borrow_and_update() {
                State::Up(links) if !links.trust.lost().is_cancelled() => {
                    return Ok(links.pick(lane));
                }
                // The connections are lost, but their task has not replaced the state yet.
                State::Up(_) => PATIENCE,
                State::Down { since, why } => match PATIENCE.checked_sub(since.elapsed()) {
                    Some(left) => left,
                    None => return Err(StoreError::Unavailable(why.clone())),
                },
            };
            // Either the state changed or the time is over; the next round decides.
            let _ = tokio::time::timeout(patience, states.changed()).await;
        }
    }

    /// A receiver for changes of its state.
    pub(in crate::store::redis) fn states(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Why it is down or refuses writes; `None` if it serves.
    pub(in crate::store::redis) fn down(&self) -> Option<String> {
        match &*self.state.borrow() {
            State::Up(links) if links.trust.refuses_writes() => Some(replicas::refusal(&links.at)),
            State::Up(_) => None,
            State::Down { why, .. } => Some(why.clone()),
        }
    }

    /// The connections; `None` if it is down.
    pub(in crate::store::redis) fn links(&self) -> Option<Arc<Links>> {
        match &*self.state.borrow() {
            State::Up(links) => Some(links.clone()),
            State::Down { .. } => None,
        }
    }
}

struct Keeper {
    target: Target,
    common: Arc<Common>,
    tell: watch::Sender<State>,
}

impl Keeper {
    /// Connects, checks the server until the connections fail, and connects again. The pauses between failed attempts
    /// double and are partly random, so that many processes do not reconnect at the same moment.
    async fn keep(self) {
        let mut pause = PAUSE_FIRST;
        loop {
            let why = match self.connect().await {
                Ok((links, first)) => {
                    pause = PAUSE_FIRST;
                    let health = &self.common.health;
                    // Before the first call: a server that may evict keys gets none.
                    health.update(&links.at, &first, self.common.clock.now());
                    tracing::info!(server = %links.at, "connected to redis");
                    self.tell.send_replace(State::Up(links.clone()));
                    // Returns only when the connections are useless.
                    let why = self.watch(&links, first).await;
                    tracing::warn!(server = %links.at, %why, "redis connections closed; connecting again");
                    links.trust.lose();
                    health.forget(&links.at);
                    why
                }
                Err(why) => {
                    let [random] = fresh::<1>(&*self.common.entropy);
                    tokio::time::sleep(pause + pause.mul_f64(f64::from(random) / 512.0)).await;
                    pause = (2 * pause).min(PAUSE_MAX);
                    why
                }
            };
            metrics::counter!("countersign_redis_connects_total").increment(1);
            self.tell.send_modify(|state| {
                let since = match state {
                    State::Up(_) => Instant::now(),
                    State::Down { since, .. } => *since,
                };
                *state = State::Down { since, why };
            });
        }
    }

    /// Opens all connections. They must lead to one generation, and the server must be a master with its data loaded.
    async fn connect(&self) -> Result<(Arc<Links>, Identity), String> {
        let at = match &self.target {
            Target::Fixed(endpoint) => endpoint.clone(),
            Target::Watched(sentinels) => sentinels.master(&self.common.settings).await?,
        };
        let settings = &self.common.settings;
        let trust = Arc::new(Trust::default());
        let durable = if settings.waits() {
            settings.durable_connections
        } else {
            0
        };
        let mut links = Vec::new();
        let mut first: Option<Identity> = None;
        for _ in 0..settings.connections + durable {
            let connection = settings.dial(&at, AsyncConnectionConfig::new()).await;
            let connection = connection.map_err(|error| format!("{at}: {error}"))?;
            // The identity is the first question on every connection; no generation is known before.
            let nobody = crate::domain::time::Generation([0; 16]);
            let identity = ask(&Link::new(connection.clone(), nobody, trust.clone()))
                .await
                .map_err(|why| format!("{at}: {why}"))?;
            identity.serves().map_err(|why| format!("{at}: {why}"))?;
            let generation = identity.generation();
            if first
                .as_ref()
                .is_some_and(|first| first.generation() != generation)
            {
                return Err(format!(
                    "{at}: two connections lead to two servers; a proxy that spreads connections is not supported"
                ));
            }
            first.get_or_insert(identity);
            links.push(Link::new(connection, generation, trust.clone()));
        }
        let first = first.ok_or("no connections are configured")?;
        let durable = links.split_off(settings.connections);
        Ok((
            Arc::new(Links {
                plain: links,
                durable,
                next: AtomicUsize::new(0),
                at,
                trust,
            }),
            first,
        ))
    }

    /// Checks the server again and again until the connections are useless; returns the reason.
    async fn watch(&self, links: &Links, first: Identity) -> String {
        let generation = first.generation();
        let mut identity = first;
        let mut replicas = Replicas::default();
        loop {
            let health = &self.common.health;
            health.update(&links.at, &identity, self.common.clock.now());
            replicas.follow(&links.at, &identity, &links.trust, health);
            health.compare_replicas(&links.at, &identity, self.common.settings.wait_replicas);
            tokio::select! {
                () = tokio::time::sleep(PROBE_EVERY) => {}
                () = links.trust.lost().cancelled() => return format!("{}: a call failed", links.at),
            }
            let (asked, moved) = tokio::join!(ask(&links.plain[0]), self.moved_from(&links.at));
            if let Some(master) = moved {
                return format!("the sentinels say that {master} is the master");
            }
            identity = match asked {
                Ok(identity) => identity,
                Err(why) => return format!("{}: {why}", links.at),
            };
            if let Err(why) = identity.serves() {
                return format!("{}: {why}", links.at);
            }
            if identity.generation() != generation {
                return format!("{}: it has another generation", links.at);
            }
        }
    }

    /// The current master, if the sentinels name another one in time.
    async fn moved_from(&self, at: &Endpoint) -> Option<Endpoint> {
        let Target::Watched(sentinels) = &self.target else {
            return None;
        };
        let said =
            tokio::time::timeout(PROBE_TIMEOUT, sentinels.master(&self.common.settings)).await;
        said.ok()?.ok().filter(|master| master != at)
    }
}

/// Asks a server for its identity. A server that answers other calls meanwhile is only busy, and gets more time.
async fn ask(link: &Link) -> Result<Identity, String> {
    let questions = Identity::questions();
    let asked = link.send(&questions);
    tokio::pin!(asked);
    for _ in 0..BUSY_ROUNDS {
        let before = link.trust().answered();
        match tokio::time::timeout(PROBE_TIMEOUT, &mut asked).await {
            Ok(answers) => {
                return answers
                    .and_then(Identity::read)
                    .map_err(|error| error.to_string());
            }
            Err(_late) if link.trust().answered() == before => break,
            Err(_late) => {}
        }
    }
    Err("it does not answer".to_owned())
}

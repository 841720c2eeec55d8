//! Which server has which slot.

use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Value, cmd, from_redis_value};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    link::Link,
    node::{Common, Lane, Node, Target},
    sentinel::Sentinels,
};
use crate::ports::store::{
    StoreError,
    url::{Endpoint, RedisKind},
};

/// The time between two reads of the cluster's slot map.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The pause before a read that was requested, so that many requests cause only one.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a server may take to send its map; after that the next one is asked.
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);

/// The masters that hold the data.
pub(in crate::store::redis) enum Topology {
    /// One master has all slots.
    One(Arc<Node>),
    /// Several masters have a part of the slots each.
    Cluster(Arc<Cluster>),
}

/// The masters of a cluster and their slots.
pub(in crate::store::redis) struct Cluster {
    seeds: Vec<Endpoint>,
    common: Arc<Common>,
    map: RwLock<Map>,
    look: Notify,
    stop: CancellationToken,
}

#[derive(Default)]
struct Map {
    /// First slot, last slot and master of each range.
    ranges: Vec<(u16, u16, Endpoint)>,
    nodes: BTreeMap<Endpoint, Arc<Node>>,
    /// Why no map could be read; valid while `ranges` is empty.
    why: String,
}

impl Drop for Topology {
    fn drop(&mut self) {
        if let Self::Cluster(cluster) = self {
            cluster.stop.cancel();
        }
    }
}

impl Topology {
    /// Starts to connect to the servers and to stay connected.
    pub(in crate::store::redis) fn start(common: Arc<Common>) -> Self {
        match common.settings.url.kind.clone() {
            RedisKind::Single(endpoint) => {
                Self::One(Arc::new(Node::start(Target::Fixed(endpoint), common)))
            }
            RedisKind::Sentinel { sentinels, master } => {
                let target = Target::Watched(Sentinels::new(sentinels, master));
                Self::One(Arc::new(Node::start(target, common)))
            }
            RedisKind::Cluster(seeds) => Self::Cluster(Cluster::start(seeds, common)),
        }
    }

    /// A connection to the master of a slot.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if no master has the slot, or there is no connection to it.
    pub(in crate::store::redis) async fn link(
        &self,
        slot: u16,
        lane: Lane,
    ) -> Result<Link, StoreError> {
        match self {
            Self::One(node) => node.link(lane).await,
            Self::Cluster(cluster) => {
                let node = cluster.node_of(slot);
                node.ok_or_else(|| StoreError::Unavailable(cluster.why()))?
                    .link(lane)
                    .await
            }
        }
    }

    /// A connection to the master at this address, as named by a redirect.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it is no known master, or there is no connection to it.
    pub(in crate::store::redis) async fn link_at(
        &self,
        address: &str,
        lane: Lane,
    ) -> Result<Link, StoreError> {
        let unknown = || StoreError::Unavailable(format!("{address} is no known master"));
        let Self::Cluster(cluster) = self else {
            return Err(unknown());
        };
        let endpoint = Endpoint::parse(address, 0).map_err(|_| unknown())?;
        let node = cluster.map().nodes.get(&endpoint).cloned();
        node.ok_or_else(unknown)?.link(lane).await
    }

    /// The node that serves a slot; `None` if none is known.
    pub(in crate::store::redis) fn node_of(&self, slot: u16) -> Option<Arc<Node>> {
        match self {
            Self::One(node) => Some(node.clone()),
            Self::Cluster(cluster) => cluster.node_of(slot),
        }
    }

    /// All known masters; none while the map of a cluster is unknown.
    pub(in crate::store::redis) fn nodes(&self) -> Vec<Arc<Node>> {
        match self {
            Self::One(node) => vec![node.clone()],
            Self::Cluster(cluster) => cluster.map().nodes.values().cloned().collect(),
        }
    }

    /// Whether this is a cluster, where the keys of one call must be in one slot.
    pub(in crate::store::redis) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Requests a new read of the slot map, because a call reached a wrong server. Does nothing without a cluster.
    pub(in crate::store::redis) fn request_refresh(&self) {
        if let Self::Cluster(cluster) = self {
            cluster.look.notify_one();
        }
    }

    /// Why part or all of it is down; `None` if all masters are connected.
    pub(in crate::store::redis) fn down(&self) -> Option<String> {
        match self {
            Self::One(node) => node.down(),
            Self::Cluster(cluster) => {
                let map = cluster.map();
                if map.ranges.is_empty() {
                    Some(map.why.clone())
                } else {
                    map.nodes.values().find_map(|node| node.down())
                }
            }
        }
    }
}

impl Cluster {
    fn start(seeds: Vec<Endpoint>, common: Arc<Common>) -> Arc<Self> {
        let map = RwLock::new(Map {
            why: "the cluster is not reached yet".to_owned(),
            ..Map::default()
        });
        let (look, stop) = (Notify::new(), CancellationToken::new());
        let cluster = Arc::new(Self {
            seeds,
            common,
            map,
            look,
            stop,
        });
        let looking = cluster.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = looking.follow_slots() => {}
                () = looking.stop.cancelled() => {}
            }
        });
        cluster
    }

    fn map(&self) -> std::sync::RwLockReadGuard<'_, Map> {
        self.map
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn node_of(&self, slot: u16) -> Option<Arc<Node>> {
        let map = self.map();
        let (_, _, endpoint) = map
            .ranges
            .iter()
            .find(|(first, last, _)| (*first..=*last).contains(&slot))?;
        map.nodes.get(endpoint).cloned()
    }

    fn why(&self) -> String {
        let map = self.map();
        if map.ranges.is_empty() {
            map.why.clone()
        } else {
            "the slot is served by nobody".to_owned()
        }
    }

    async fn follow_slots(&self) {
        loop {
            match self.ask().await {
                Ok(ranges) => self.replace_map(ranges),
                Err(why) => {
                    self.map
                        .write()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .why = why;
                }
            }
            tokio::select! {
                () = self.look.notified() => tokio::time::sleep(LOOK_AGAIN).await,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// The slot map, from the first server that answers: connected masters first, then the configured servers.
    async fn ask(&self) -> Result<Vec<(u16, u16, Endpoint)>, String> {
        let nodes: Vec<_> = self.map().nodes.values().cloned().collect();
        for links in nodes.iter().filter_map(|node| node.links()) {
            let answer = tokio::time::timeout(
                LOOK_TIMEOUT,
                links.pick(Lane::Plain).send(&[cluster_slots()]),
            )
            .await;
            if let Ok(Ok(mut answers)) = answer
                && let Ok(ranges) = read_slots(answers.pop().unwrap_or_default(), &links.at)
                && !ranges.is_empty()
            {
                return Ok(ranges);
            }
        }
        let mut why = "no server of the cluster is named".to_owned();
        for seed in &self.seeds {
            match tokio::time::timeout(2 * LOOK_TIMEOUT, self.ask_seed(seed)).await {
                Ok(Ok(ranges)) if !ranges.is_empty() => return Ok(ranges),
                Ok(Ok(_)) => why = format!("{seed} knows no slots"),
                Ok(Err(error)) => why = format!("{seed}: {error}"),
                Err(_) => why = format!("{seed} does not answer"),
            }
        }
        Err(why)
    }

    async fn ask_seed(
        &self,
        seed: &Endpoint,
    ) -> Result<Vec<(u16, u16, Endpoint)>, redis::RedisError> {
        let mut connection = self
            .common
            .settings
            .dial(seed, AsyncConnectionConfig::new())
            .await?;
        let answer: Value = cluster_slots().query_async(&mut connection).await?;
        read_slots(answer, seed)
    }

    /// Starts nodes for new masters, and drops those of servers that are no longer masters.
    fn replace_map(&self, ranges: Vec<(u16, u16, Endpoint)>) {
        let mut map = self
            .map
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut nodes = BTreeMap::new();
        for (_, _, endpoint) in &ranges {
            if !nodes.contains_key(endpoint) {
                let known = map.nodes.remove(endpoint);
                let start = || {
                    Arc::new(Node::start(
                        Target::Fixed(endpoint.clone()),
                        self.common.clone(),
                    ))
                };
                nodes.insert(endpoint.clone(), known.unwrap_or_else(start));
            }
        }
        *map = Map {
            ranges,
            nodes,
            why: String::new(),
        };
    }
}

fn cluster_slots() -> redis::Cmd {
    let mut question = cmd("CLUSTER");
    question.arg("SLOTS");
    question
}

/// Parses slot ranges and their masters. A server that does not know its own host name is at the
/// address that was asked.
fn read_slots(
    answer: Value,
    asked: &Endpoint,
) -> Result<Vec<(u16, u16, Endpoint)>, redis::RedisError> {
    let rows: Vec<Vec<Value>> = from_redis_value(answer)?;
    let mut ranges = Vec::new();
    for row in rows {
        let mut row = row.into_iter();
        let mut next = || row.next().unwrap_or_default();
        let (first, last) = (from_redis_value(next())?, from_redis_value(next())?);
        let master: Vec<Value> = from_redis_value(next())?;
        let mut master = master.into_iter();
        let host: Option<String> = from_redis_value(master.next().unwrap_or_default())?;
        let host = host
            .filter(|host| !host.is_empty())
            .unwrap_or_else(|| asked.host.clone());
        let port = from_redis_value(master.next().unwrap_or_default())?;
        ranges.push((first, last, Endpoint { host, port }));
    }
    Ok(ranges)
}

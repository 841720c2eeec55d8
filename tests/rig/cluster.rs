//! A cluster of three masters with a replica each, made without `redis-cli`.

mod migration;
mod view;

use std::net::SocketAddr;

use self::view::{Node, me, view};
use super::{options::Options, poll::until, server::RedisServer};

const MASTERS: usize = 3;
/// The number of slots of a cluster.
const SLOTS: usize = 16_384;

/// The servers: first the original masters, then their replicas in the same order.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<RedisServer>,
}

impl Cluster {
    /// Starts the servers; returns when every server reports a healthy cluster and every replica has its master's data.
    pub fn start() -> Self {
        Self::start_with(&Options::default())
    }

    pub fn start_with(options: &Options) -> Self {
        let options = options.clustered();
        let servers: Vec<_> = (0..2 * MASTERS)
            .map(|_| RedisServer::start(&options))
            .collect();
        for (number, master) in servers[..MASTERS].iter().enumerate() {
            let (first, end) = (number * SLOTS / MASTERS, (number + 1) * SLOTS / MASTERS);
            master
                .cmd(&[
                    "CLUSTER",
                    "ADDSLOTSRANGE",
                    &first.to_string(),
                    &(end - 1).to_string(),
                ])
                .ok();
        }
        for (number, server) in servers.iter().enumerate() {
            // Without distinct epochs, the servers would first have to resolve collisions.
            server
                .cmd(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()])
                .ok();
        }
        for other in &servers[1..] {
            servers[0]
                .cmd(&[
                    "CLUSTER",
                    "MEET",
                    "127.0.0.1",
                    &other.port().to_string(),
                    &other.bus_port().to_string(),
                ])
                .ok();
        }
        let cluster = Self { servers };
        for (replica, master) in cluster.servers[MASTERS..].iter().zip(&cluster.servers) {
            let id = id(master);
            until("a replica to know its master", || {
                let reply = replica
                    .try_cmd(&["CLUSTER", "REPLICATE", &id])
                    .map_err(|error| error.to_string())?;
                reply.error().map_or(Ok(()), |error| Err(error.to_owned()))
            });
        }
        cluster.wait_settled();
        cluster
    }

    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// The addresses of all servers.
    pub fn seeds(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(|server| server.addr()).collect()
    }

    /// `redis-cluster://127.0.0.1:PORT,...`
    pub fn url(&self) -> String {
        let seeds: Vec<_> = self.seeds().iter().map(|seed| seed.to_string()).collect();
        format!("redis-cluster://{}", seeds.join(","))
    }

    /// Computes the slot of a key.
    pub fn slot_of(&self, key: &str) -> u16 {
        let any = self.running().next().expect("a server runs");
        u16::try_from(any.cmd(&["CLUSTER", "KEYSLOT", key]).int()).expect("slots are few")
    }

    /// The running servers that report owning slots.
    pub fn masters(&self) -> Vec<&RedisServer> {
        self.running()
            .filter(|server| me(server).is_ok_and(|me| me.is_master() && !me.slots.is_empty()))
            .collect()
    }

    /// The running servers that report being replicas of this one.
    pub fn replicas_of(&self, master: &RedisServer) -> Vec<&RedisServer> {
        let id = id(master);
        self.running()
            .filter(|server| me(server).is_ok_and(|me| me.master.as_ref() == Some(&id)))
            .collect()
    }

    /// The running server that reports owning this slot; of several, the one with the highest epoch.
    pub fn owner(&self, slot: u16) -> &RedisServer {
        until("an owner of the slot", || self.try_owner(slot))
    }

    fn try_owner(&self, slot: u16) -> Result<&RedisServer, String> {
        let claims = self
            .running()
            .filter_map(|server| Some((me(server).ok()?, server)));
        let claims = claims.filter(|(me, _)| me.is_master() && me.owns(slot));
        let best = claims.max_by_key(|(me, _)| me.epoch);
        best.map(|(_, server)| server)
            .ok_or_else(|| format!("no running server owns slot {slot}"))
    }

    /// Kills the owner of a slot as `kill -9` does, and returns it: see [`Self::wait_for_new_owner`].
    pub fn kill_owner(&self, slot: u16) -> &RedisServer {
        let owner = self.owner(slot);
        owner.kill9();
        owner
    }

    /// Waits until another server owns the slot and all running ones agree.
    pub fn wait_for_new_owner(&self, slot: u16, old: &RedisServer) -> &RedisServer {
        until("another owner of the slot", || {
            let owner = self.try_owner(slot)?;
            let other = owner.addr() != old.addr();
            self.settled().and_then(|()| {
                if other {
                    Ok(owner)
                } else {
                    Err("the old one owns it".to_owned())
                }
            })
        })
    }

    /// Promotes a replica of the owner of a slot while all servers are healthy, without data loss; returns it.
    pub fn failover(&self, slot: u16) -> &RedisServer {
        let old = self.owner(slot);
        until("a replica to begin a failover", || {
            let replicas = self.replicas_of(old);
            let replica = replicas.first().ok_or("it has no replica")?;
            let reply = replica
                .try_cmd(&["CLUSTER", "FAILOVER"])
                .map_err(|error| error.to_string())?;
            reply.error().map_or(Ok(()), |error| Err(error.to_owned()))
        });
        self.wait_for_new_owner(slot, old)
    }

    /// Waits until all running servers see each other as healthy, agree on the owner of every slot, and have their
    /// master's data.
    pub fn wait_settled(&self) {
        until("the cluster to be well and of one mind", || self.settled());
    }

    fn running(&self) -> impl Iterator<Item = &RedisServer> {
        self.servers.iter().filter(|server| server.runs())
    }

    fn settled(&self) -> Result<(), String> {
        let mut owners = None;
        for server in self.running() {
            let nodes = view(server)?;
            self.well(server, &nodes)?;
            let seen = view::owners(&nodes);
            let agreed = owners.get_or_insert_with(|| seen.clone());
            if *agreed != seen {
                return Err(format!(
                    "the server on port {} sees {seen:?}, another {agreed:?}",
                    server.port()
                ));
            }
        }
        Ok(())
    }

    /// Whether this server sees a healthy cluster and has its master's data.
    fn well(&self, server: &RedisServer, nodes: &[Node]) -> Result<(), String> {
        let complaint =
            |what: String| Err(format!("the server on port {} sees {what}", server.port()));
        let info = server
            .try_cmd(&["CLUSTER", "INFO"])
            .map_err(|error| error.to_string())?
            .text();
        if !info.contains("cluster_state:ok") {
            return complaint(info);
        }
        let known = |other: &RedisServer| {
            nodes
                .iter()
                .any(|node| node.port == other.port() && node.is_well())
        };
        if let Some(other) = self.running().find(|other| !known(other)) {
            return complaint(format!(
                "no sound server on port {} in {nodes:?}",
                other.port()
            ));
        }
        let link = server.info("master_link_status");
        let masters = nodes
            .iter()
            .filter(|node| node.is_master() && node.is_well() && !node.slots.is_empty())
            .count();
        if masters != MASTERS || link.as_ref().is_some_and(|link| link != "up") {
            return complaint(format!("{masters} masters, and its own link is {link:?}"));
        }
        // A server without slots must be a replica.
        let mine = nodes.iter().find(|node| node.is_me());
        let idle = mine.is_none_or(|me| me.slots.is_empty() && me.master.is_none());
        if idle {
            complaint("that it owns nothing and follows nobody".to_owned())
        } else {
            Ok(())
        }
    }
}

/// The node id of a server in the cluster.
fn id(server: &RedisServer) -> String {
    server.cmd(&["CLUSTER", "MYID"]).text()
}

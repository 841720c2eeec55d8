//! A master with replicas, and the sentinels that watch them.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{
    options::{MASTER_NAME, Options},
    poll::{until, until_within},
    server::RedisServer,
};

/// The number of sentinels: with one of them gone, the quorum of two is still met.
const SENTINELS: usize = 3;
/// The servers, the first of which is the original master, and the sentinels.
#[derive(Debug)]
pub struct Replicated {
    servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

impl Replicated {
    /// Starts a master and replicas without sentinels; see [`Self::promote`].
    pub fn start(replicas: usize) -> Self {
        Self::start_with(&Options::default(), replicas)
    }

    pub fn start_with(options: &Options, replicas: usize) -> Self {
        let servers: Vec<_> = (0..=replicas)
            .map(|_| RedisServer::start(options))
            .collect();
        let bed = Self {
            servers,
            sentinels: Vec::new(),
        };
        bed.servers[1..]
            .iter()
            .for_each(|replica| follow(replica, bed.servers[0].addr()));
        bed.wait_settled();
        bed
    }

    /// Starts a master and replicas with three sentinels.
    pub fn with_sentinels(replicas: usize) -> Self {
        Self::with_sentinels_and(&Options::default(), replicas)
    }

    pub fn with_sentinels_and(options: &Options, replicas: usize) -> Self {
        let mut bed = Self::start_with(options, replicas);
        let watch = options.watching(bed.servers[0].addr());
        bed.sentinels = (0..SENTINELS).map(|_| RedisServer::start(&watch)).collect();
        bed.wait_settled();
        bed
    }

    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    pub fn server_at(&self, addr: SocketAddr) -> &RedisServer {
        self.servers
            .iter()
            .find(|server| server.addr() == addr)
            .unwrap_or_else(|| panic!("no server of ours is at {addr}"))
    }

    /// `redis-sentinel://127.0.0.1:PORT,.../main`
    pub fn url(&self) -> String {
        let sentinels: Vec<_> = self
            .sentinels
            .iter()
            .map(|sentinel| sentinel.addr().to_string())
            .collect();
        format!("redis-sentinel://{}/{MASTER_NAME}", sentinels.join(","))
    }

    /// The master on which all running sentinels agree; without sentinels, the only running server that reports being
    /// one.
    pub fn master_addr(&self) -> SocketAddr {
        until("one master", || self.try_master_addr())
    }

    pub fn master(&self) -> &RedisServer {
        self.server_at(self.master_addr())
    }

    /// All running servers except the master.
    pub fn replicas(&self) -> Vec<&RedisServer> {
        let master = self.master_addr();
        running(&self.servers)
            .filter(|server| server.addr() != master)
            .collect()
    }

    fn try_master_addr(&self) -> Result<SocketAddr, String> {
        let named: Vec<SocketAddr> = if self.sentinels.is_empty() {
            let masters = running(&self.servers)
                .filter(|server| server.info("role").as_deref() == Some("master"));
            masters.map(|server| server.addr()).collect()
        } else {
            running(&self.sentinels)
                .map(said_by)
                .collect::<Result<_, _>>()?
        };
        let agreed = named
            .first()
            .filter(|first| named.iter().all(|other| other == *first));
        let one = if self.sentinels.is_empty() {
            named.len() == 1
        } else {
            true
        };
        agreed
            .filter(|_| one)
            .copied()
            .ok_or_else(|| format!("masters {named:?}"))
    }

    /// Waits until all running servers replicate one master and have its data, and the sentinels know all of them.
    pub fn wait_settled(&self) {
        until("all replicas in step and all sentinels informed", || {
            self.settled()
        });
    }

    fn settled(&self) -> Result<(), String> {
        let master = self.server_at(self.try_master_addr()?);
        let replicas: Vec<_> = running(&self.servers)
            .filter(|server| server.addr() != master.addr())
            .collect();
        replicas
            .iter()
            .try_for_each(|replica| in_step(replica, master))?;
        let sees = |sentinel| informed(sentinel, &replicas, running(&self.sentinels).count() - 1);
        running(&self.sentinels).try_for_each(sees)
    }

    /// Promotes a replica by hand, without sentinels. The old master is left unchanged and still considers itself the
    /// master.
    pub fn promote(&self, replica: usize) {
        let chosen = &self.servers[replica];
        assert!(
            self.sentinels.is_empty(),
            "sentinels would undo it: see `failover`"
        );
        let old = chosen.info("master_port");
        chosen.cmd(&["REPLICAOF", "NO", "ONE"]).ok();
        let others = running(&self.servers)
            .filter(|other| other.addr() != chosen.addr() && other.info("master_port") == old);
        others.for_each(|other| follow(other, chosen.addr()));
        until("the replica to be a master", || match chosen.info("role") {
            Some(role) if role == "master" => Ok(()),
            role => Err(format!("{role:?}")),
        });
    }

    /// Asks the sentinels for a failover while all servers are healthy; returns the new master.
    pub fn failover(&self) -> SocketAddr {
        let old = self.master_addr();
        until("a sentinel to begin a failover", || {
            let sentinel = running(&self.sentinels).next().ok_or("no sentinel runs")?;
            let reply = sentinel
                .try_cmd(&["SENTINEL", "FAILOVER", MASTER_NAME])
                .map_err(|error| error.to_string())?;
            reply.error().map_or(Ok(()), |error| Err(error.to_owned()))
        });
        self.wait_for_new_master(old, super::PATIENCE)
    }

    /// Waits until all running sentinels name another master and that server agrees.
    pub fn wait_for_new_master(&self, old: SocketAddr, patience: Duration) -> SocketAddr {
        until_within(patience, "another master", || {
            let addr = self.try_master_addr()?;
            let role = self.server_at(addr).info("role").unwrap_or_default();
            if addr != old && role == "master" {
                Ok(addr)
            } else {
                Err(format!("{addr} as {role}"))
            }
        })
    }
}

fn running(servers: &[RedisServer]) -> impl Iterator<Item = &RedisServer> {
    servers.iter().filter(|server| server.runs())
}

fn follow(replica: &RedisServer, master: SocketAddr) {
    replica
        .cmd(&[
            "REPLICAOF",
            &master.ip().to_string(),
            &master.port().to_string(),
        ])
        .ok();
}

fn said_by(sentinel: &RedisServer) -> Result<SocketAddr, String> {
    let reply = sentinel
        .try_cmd(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME])
        .map_err(|error| error.to_string())?;
    let port = match &reply {
        super::Reply::List(parts) if parts.len() == 2 => parts[1].text().parse().ok(),
        _ => None,
    };
    port.map(super::port::loopback)
        .ok_or_else(|| format!("{reply:?}"))
}

/// Whether this replica replicates this master, has its data, and is known to it.
fn in_step(replica: &RedisServer, master: &RedisServer) -> Result<(), String> {
    let told = |name| replica.info(name).unwrap_or_default();
    let seen = (
        told("role"),
        told("master_port"),
        told("master_link_status"),
    );
    let wanted = (
        "slave".to_owned(),
        master.port().to_string(),
        "up".to_owned(),
    );
    if seen != wanted {
        return Err(format!(
            "the server on port {} has {seen:?}, not {wanted:?}",
            replica.port()
        ));
    }
    let entry = format!("port={},state=online", replica.port());
    let known = (0..)
        .map_while(|number| master.info(&format!("slave{number}")))
        .any(|line| line.contains(&entry));
    if known {
        Ok(())
    } else {
        Err(format!("the master does not know {entry}"))
    }
}

/// Whether this sentinel sees a healthy master, these replicas as healthy, and this many other sentinels.
fn informed(
    sentinel: &RedisServer,
    replicas: &[&RedisServer],
    others: usize,
) -> Result<(), String> {
    let ask = |what: &str| {
        sentinel
            .try_cmd(&["SENTINEL", what, MASTER_NAME])
            .map_err(|error| error.to_string())
    };
    let sound = |entry: &BTreeMap<String, String>, flags: &str| {
        entry.get("flags").is_some_and(|seen| seen == flags)
    };
    let master = ask("MASTER")?.fields();
    let known: Vec<_> = ask("REPLICAS")?
        .list()
        .iter()
        .map(|entry| entry.fields())
        .collect();
    let sees_it = |replica: &&RedisServer| {
        let port = replica.port().to_string();
        let mut entries = known
            .iter()
            .filter(|entry| entry.get("port") == Some(&port));
        entries.any(|entry| {
            sound(entry, "slave")
                && entry
                    .get("master-link-status")
                    .is_some_and(|link| link == "ok")
        })
    };
    let peers = ask("SENTINELS")?
        .list()
        .iter()
        .filter(|entry| sound(&entry.fields(), "sentinel"))
        .count();
    if sound(&master, "master") && replicas.iter().all(sees_it) && peers == others {
        return Ok(());
    }
    Err(format!(
        "the sentinel on port {} sees {master:?}, {known:?}, and {peers} others",
        sentinel.port()
    ))
}

//! The view that one server of a cluster has of all servers.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::RedisServer;

/// A line of `CLUSTER NODES`.
#[derive(Clone, Debug)]
pub struct Node {
    pub port: u16,
    flags: Vec<String>,
    /// The master that it replicates.
    pub master: Option<String>,
    /// The epoch: if two servers claim a slot, the one with the higher epoch owns it.
    pub epoch: u64,
    connected: bool,
    pub slots: Vec<RangeInclusive<u16>>,
}

impl Node {
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split(' ').collect();
        let [
            _id,
            addr,
            flags,
            master,
            _ping,
            _pong,
            epoch,
            state,
            slots @ ..,
        ] = words.as_slice()
        else {
            return None;
        };
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some(first.parse().ok()?..=last.parse().ok()?)
        };
        Some(Self {
            port: addr.split('@').next()?.rsplit(':').next()?.parse().ok()?,
            flags: flags.split(',').map(str::to_owned).collect(),
            master: Some(*master)
                .filter(|master| *master != "-")
                .map(str::to_owned),
            epoch: epoch.parse().ok()?,
            connected: *state == "connected",
            // Slots in brackets are being moved.
            slots: slots
                .iter()
                .filter(|text| !text.starts_with('['))
                .filter_map(|text| range(text))
                .collect(),
        })
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|other| other == flag)
    }

    pub fn is_me(&self) -> bool {
        self.has("myself")
    }

    pub fn is_master(&self) -> bool {
        self.has("master")
    }

    /// Whether it is connected, known, and not suspected to have failed.
    pub fn is_well(&self) -> bool {
        (self.connected || self.is_me())
            && !["fail", "fail?", "handshake", "noaddr"]
                .iter()
                .any(|flag| self.has(flag))
    }

    pub fn owns(&self, slot: u16) -> bool {
        self.slots.iter().any(|range| range.contains(&slot))
    }
}

/// All servers, as this one sees them.
pub fn view(server: &RedisServer) -> Result<Vec<Node>, String> {
    let reply = server
        .try_cmd(&["CLUSTER", "NODES"])
        .map_err(|error| error.to_string())?
        .text();
    let nodes: Option<Vec<_>> = reply.lines().map(Node::parse).collect();
    nodes.filter(|nodes| !nodes.is_empty()).ok_or(reply)
}

/// This server, as it sees itself.
pub fn me(server: &RedisServer) -> Result<Node, String> {
    view(server)?
        .into_iter()
        .find(|node| node.is_me())
        .ok_or_else(|| "a server that does not see itself".to_owned())
}

/// The slots of each port that owns some.
pub fn owners(nodes: &[Node]) -> BTreeMap<u16, Vec<RangeInclusive<u16>>> {
    nodes
        .iter()
        .filter(|node| !node.slots.is_empty())
        .map(|node| (node.port, node.slots.clone()))
        .collect()
}

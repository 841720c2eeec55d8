//! Moves a slot from one master of a cluster to another, at once or step by step.

use super::{Cluster, RedisServer, id};

/// Keys that are moved at once.
const KEYS: &str = "100";
const TIMEOUT_MS: &str = "10000";

impl Cluster {
    /// Moves a slot with its keys, and waits until all agree.
    pub fn migrate_slot(&self, slot: u16, to: &RedisServer) {
        let from = self.begin_migration(slot, to);
        while self.move_keys(slot, to) > 0 {}
        self.end_migration(slot, to);
        assert_ne!(from.addr(), self.owner(slot).addr());
    }

    /// Opens the slot for migration on both sides, and returns its owner. From then on the owner answers `ASK` for keys
    /// that it does not have, and `TRYAGAIN` for several keys of which it has only some.
    pub fn begin_migration(&self, slot: u16, to: &RedisServer) -> &RedisServer {
        let from = self.owner(slot);
        assert_ne!(from.addr(), to.addr(), "it owns slot {slot} already");
        set_slot(to, slot, ["IMPORTING", &id(from)]);
        set_slot(from, slot, ["MIGRATING", &id(to)]);
        from
    }

    /// Moves up to a hundred keys of a slot that is being migrated; returns how many.
    pub fn move_keys(&self, slot: u16, to: &RedisServer) -> usize {
        let from = self.owner(slot);
        let reply = from
            .cmd(&["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), KEYS])
            .ok();
        let keys: Vec<_> = reply
            .list()
            .iter()
            .map(|key| key.bytes().to_vec())
            .collect();
        if !keys.is_empty() {
            let port = to.port().to_string();
            let head = ["MIGRATE", "127.0.0.1", &port, "", "0", TIMEOUT_MS, "KEYS"];
            let request: Vec<_> = head
                .iter()
                .map(|word| word.as_bytes().to_vec())
                .chain(keys.iter().cloned())
                .collect();
            from.cmd(&request).ok();
        }
        keys.len()
    }

    /// Assigns the slot to its new owner, and waits until all servers agree.
    pub fn end_migration(&self, slot: u16, to: &RedisServer) {
        let from = self.owner(slot);
        let new = id(to);
        // The new owner first: otherwise the slot has no owner for a moment, and the old one redirects to itself.
        for server in [to, from] {
            set_slot(server, slot, ["NODE", &new]);
        }
        let others = self
            .masters()
            .into_iter()
            .filter(|other| other.addr() != to.addr() && other.addr() != from.addr());
        others.for_each(|other| set_slot(other, slot, ["NODE", &new]));
        self.wait_settled();
    }
}

fn set_slot(server: &RedisServer, slot: u16, [what, node]: [&str; 2]) {
    server
        .cmd(&["CLUSTER", "SETSLOT", &slot.to_string(), what, node])
        .ok();
}

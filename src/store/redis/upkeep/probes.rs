//! Calls that use every permission that the service needs, so that a missing one is reported at start.

use redis::{Cmd, cmd};

use crate::store::redis::{
    Core,
    connection::{
        lua::{BEAT, COMMIT, DRAW, GIVE_BACK, Lua, POSTPONE},
        node::Lane,
    },
};

/// A call that fails if its permission is missing.
pub(super) struct Probe {
    pub(super) name: &'static str,
    pub(super) script: Option<&'static Lua>,
    pub(super) call: Cmd,
}

impl Core {
    /// Calls that use every permission that the service needs, on separate keys that are deleted at the end.
    /// Waits for replicas only on the durable lane.
    pub(super) fn probes(&self, shard: u16, lane: Lane) -> Vec<Probe> {
        let mut probes = self.script_probes(shard);
        probes.extend(self.command_probes(shard));
        let waits = self.waits().into_iter().filter(|_| lane == Lane::Durable);
        probes.extend(waits.map(|call| Probe {
            name: "WAIT or WAITAOF",
            script: None,
            call,
        }));
        probes
    }

    fn script_probes(&self, shard: u16) -> Vec<Probe> {
        let key = |kind| self.keys.probe(shard, kind);
        let probe = |name, script: &'static Lua, keys: &[Vec<u8>], args: &[&str]| {
            let mut call = script.on(keys);
            call.arg(args);
            Probe {
                name,
                script: Some(script),
                call,
            }
        };
        vec![
            probe(
                "the script that commits (EVALSHA, SCRIPT LOAD, GETRANGE, SET, ZADD, XADD, XLEN, SPUBLISH)",
                &COMMIT,
                &[key("record"), key("due"), key("events"), key("news")],
                &["", "x", "PX", "1000", "1", "m", "k", "*", "1", "e"],
            ),
            probe(
                "the script that postpones (EVALSHA, SCRIPT LOAD, GETRANGE, ZADD)",
                &POSTPONE,
                &[key("record"), key("due")],
                &["", "1", "m"],
            ),
            probe(
                "the script that draws from quotas (EVALSHA, MGET, SET, DEL, TIME)",
                &DRAW,
                &[key("quota")],
                &["", "1000000", "1000000", "1", "1", "0"],
            ),
            probe(
                "the script that returns draws to quotas (EVALSHA, GET, SET, DEL, TIME)",
                &GIVE_BACK,
                &[key("quota")],
                &["", "1000", "1000000", "0"],
            ),
            probe(
                "the heartbeat script (EVALSHA, ZADD, ZREMRANGEBYSCORE, ZRANGE, PEXPIRE)",
                &BEAT,
                &[key("processes")],
                &["p", "1"],
            ),
        ]
    }

    fn command_probes(&self, shard: u16) -> Vec<Probe> {
        let key = |kind| self.keys.probe(shard, kind);
        let (record, due, events) = (key("record"), key("due"), key("events"));
        let (quota, processes) = (key("quota"), key("processes"));
        let probe = |name: &'static str, args: &[&[u8]]| {
            let mut call = cmd(name);
            call.arg(args);
            Probe {
                name,
                script: None,
                call,
            }
        };
        vec![
            probe("GET", &[&record]),
            probe("MGET", &[&record, &quota]),
            probe("TIME", &[]),
            probe("SET", &[&record, b"x"]),
            probe("ZRANGE", &[&due, b"0", b"0"]),
            probe("ZREM", &[&due, b"m"]),
            probe("XADD", &[&events, b"*", b"k", b"v"]),
            probe("XRANGE", &[&events, b"-", b"+", b"COUNT", b"1"]),
            probe("XTRIM", &[&events, b"MAXLEN", b"0"]),
            probe("DEL", &[&record, &due, &events, &quota, &processes]),
        ]
    }
}

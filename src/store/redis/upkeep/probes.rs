//! Calls that use every permission that the service needs, so that a missing one is reported at start.

use std::time::Duration;

use redis::{Cmd, cmd};

use crate::{
    domain::limit::rate::Rate,
    ports::store::{Draw, Return},
    store::redis::{
        Core,
        connection::{
            lua::{BEAT, COMMIT, DRAW, GIVE_BACK, Lua, POSTPONE, TRIM},
            node::Lane,
        },
        quotas::Place,
    },
};

const ONE_A_SECOND: Rate = Rate {
    interval: Duration::from_secs(1),
    burst: 0,
};

/// A return that changes nothing.
const NOTHING: Return = Return {
    owner: [0; 16],
    slot: 0,
    former: None,
    rate: ONE_A_SECOND,
    count: 0,
    reserve: 0,
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
            let args: Vec<_> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
            script_probe(name, script, keys, &args)
        };
        vec![
            probe(
                "the script that commits (EVALSHA, SCRIPT LOAD, GETRANGE, ZSCORE, XLEN, XADD, XDEL, ZADD, ZREM, SET)",
                &COMMIT,
                &[key("record"), key("due"), key("events"), key("news")],
                &["", "x", "PX", "1000", "1", "m", "k", "*", "e"],
            ),
            probe(
                "the script that deletes old events (EVALSHA, XLEN, XRANGE, XTRIM)",
                &TRIM,
                &[key("events")],
                &["0", "0", "1"],
            ),
            probe(
                "the script that postpones (EVALSHA, SCRIPT LOAD, GETRANGE, ZADD)",
                &POSTPONE,
                &[key("record"), key("due")],
                &["", "1", "m"],
            ),
            script_probe(
                "the script that draws from quotas (EVALSHA, GET, SET, DEL, TIME)",
                &DRAW,
                &[key("quota")],
                &bucket_arguments(|bucket| bucket.draw(&Draw::one([0; 16], ONE_A_SECOND))),
            ),
            script_probe(
                "the script that returns draws to quotas (EVALSHA, GET, SET, DEL, TIME)",
                &GIVE_BACK,
                &[key("quota")],
                &bucket_arguments(|bucket| bucket.give_back(&NOTHING)),
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
            probe("XDEL", &[&events, b"0-1"]),
            probe("SPUBLISH", &[&key("news"), b""]),
            probe("DEL", &[&record, &due, &events, &quota, &processes]),
        ]
    }
}

/// A call of a script with these arguments.
fn script_probe(
    name: &'static str,
    script: &'static Lua,
    keys: &[Vec<u8>],
    args: &[Vec<u8>],
) -> Probe {
    let mut call = script.on(keys);
    call.arg(args);
    Probe {
        name,
        script: Some(script),
        call,
    }
}

/// The arguments of a script for buckets: the server's clock, a time, and one bucket.
fn bucket_arguments(of: impl Fn(&Place) -> Vec<u8>) -> Vec<Vec<u8>> {
    let bucket = Place {
        owner: 1,
        former: 0,
        slot: 0,
    };
    vec![Vec::new(), b"1000000".to_vec(), of(&bucket)]
}

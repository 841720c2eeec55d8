//! The store on Redis: one server, a master that sentinels watch, or a cluster; for any number of processes.
//!
//! A record is a string: its compare token, then the sealed bytes. With it, in the slot of its shard, lie the shard's
//! due index (a sorted set of keyed hashes by microsecond), its events (a stream), and its epoch. Quotas are strings in
//! slots of their own. `commit.lua` is the one script that changes a record; it compares and writes, and decides nothing.
//!
//! Every call goes over a connection whose server's generation is known (`identity`, `node`). A commit goes only over
//! a connection of the generation of its load: after a failover it is a conflict, and what is decided anew sees the new
//! generation. Replication loses what it loses; by this nothing that was lost is answered twice.

mod connection;
mod due;
mod events;
mod keys;
mod news;
mod quotas;
mod upkeep;

use std::sync::Arc;

use async_trait::async_trait;
use redis::{Cmd, Value, cmd, from_redis_value};
use tokio_util::sync::DropGuard;

use self::{
    connection::{
        fault::store_error,
        identity::read_time,
        lua::COMMIT,
        node::{Common, Lane},
        topology::Topology,
        trip::{Answered, Trip, go, go_if},
    },
    due::Looks,
    keys::{Keys, slot},
    news::Hub,
    upkeep::{setup::Epoch, share::Share},
};
use super::bounds::{EVENTS_LOST, check_commit, check_event};
use crate::{
    domain::{decide::Durability, ids::SubjectKey, time::Timestamp},
    ports::{
        store::{
            Blob, Commit, Committed, Complaint, Draw, Drawn, Due, Loaded, News, Return,
            SealedEvent, Store, StoreError, StoredEvent, Write,
        },
        system::Clock,
    },
};

pub use connection::settings::{Certificates, Login, RedisSettings};
pub use upkeep::open::{FirstUse, RedisMachine, RedisOpenError};

/// Length of the compare token at the front of a record.
const TOKEN_BYTES: usize = 12;
/// What a commit answers if the record is another.
const CONFLICT: i64 = -1;

/// The store on Redis. Dropping it ends its connections.
pub struct Redis {
    core: Arc<Core>,
    /// What runs beside the calls ends with it.
    stop: DropGuard,
}

/// What calls and the tasks beside them share.
struct Core {
    common: Arc<Common>,
    topology: Arc<Topology>,
    keys: Keys,
    looks: Looks,
    share: Share,
    hub: Hub,
    frozen: Option<Arc<dyn Clock>>,
}

impl Core {
    /// The time that stands in for the servers' in tests.
    fn frozen_now(&self) -> Option<Timestamp> {
        self.frozen.as_ref().map(|clock| clock.now())
    }

    /// The same as an argument of scripts; empty for the server's clock.
    fn frozen_arg(&self) -> String {
        self.frozen_now()
            .map_or_else(String::new, |now| now.as_micros().to_string())
    }

    /// The call of a commit.
    fn commit_call(&self, commit: &Commit) -> Cmd {
        let (key, shard) = (&commit.key, self.keys.shard(&commit.key));
        let mut call = COMMIT.on(&[
            self.keys.record(key),
            self.keys.due(shard),
            self.keys.events(shard),
            self.keys.news(key),
        ]);
        call.arg(commit.expect.as_ref().map_or(&[][..], |token| &token[..]));
        match &commit.write {
            Write::Put {
                blob,
                wake_at,
                keep_until,
            } => {
                call.arg([&blob.token[..], &blob.bytes].concat());
                match keep_until.map(|until| self.expiry(until)) {
                    Some((how, when)) => call.arg(how).arg(when),
                    None => call.arg("").arg(""),
                };
                match wake_at {
                    Some(at) => call.arg(at.as_micros()),
                    None => call.arg(""),
                };
            }
            Write::Delete => {
                call.arg("").arg("").arg("").arg("");
            }
        }
        call.arg(&key.0[..])
            .arg(self.event_id())
            .arg(self.events_max());
        for event in &commit.events {
            call.arg(&event[..]);
        }
        call
    }

    /// How and when (ms) the server may drop a record that must be kept until then: not within the next second, whatever
    /// the clocks say. A clock of a test is not the server's, so from there it is a span.
    fn expiry(&self, until: Timestamp) -> (&'static str, u64) {
        let millis = |at: Timestamp| at.as_micros().div_ceil(1000);
        match self.frozen_now() {
            Some(now) => ("PX", millis(until).saturating_sub(millis(now)).max(1000)),
            None => (
                "PXAT",
                millis(until).max(millis(self.common.clock.now()) + 1000),
            ),
        }
    }

    /// The calls that wait until what this connection wrote lies where the settings want it.
    fn waits(&self) -> Vec<Cmd> {
        let settings = &self.common.settings;
        let millis = settings.wait.as_millis().to_string();
        let mut calls = Vec::new();
        if settings.wait_aof {
            let mut wait = cmd("WAITAOF");
            wait.arg(1).arg(settings.wait_replicas).arg(millis);
            calls.push(wait);
        } else if settings.wait_replicas > 0 {
            let mut wait = cmd("WAIT");
            wait.arg(settings.wait_replicas).arg(millis);
            calls.push(wait);
        }
        calls
    }

    /// Takes the answers of the waits.
    ///
    /// # Errors
    /// It does not lie everywhere it should.
    fn lies_there(&self, answers: Vec<Value>) -> Result<(), StoreError> {
        let settings = &self.common.settings;
        for answer in answers {
            let read = match answer {
                Value::Array(_) => from_redis_value::<(u32, u32)>(answer),
                number => from_redis_value(number).map(|replicas| (1, replicas)),
            };
            let (local, replicas) = read.map_err(|error| store_error(&error.into()))?;
            if local < 1 || replicas < settings.wait_replicas {
                return Err(StoreError::NotReplicated);
            }
        }
        Ok(())
    }

    /// Fails while a server may throw keys away: no verdict can rest on its counts.
    fn open(&self) -> Result<(), StoreError> {
        self.common
            .guards
            .closed()
            .map_or(Ok(()), |why| Err(StoreError::Unavailable(why)))
    }

    fn read_loaded(
        &self,
        answers: Vec<Value>,
    ) -> Result<(Option<Blob>, Epoch, Timestamp), redis::RedisError> {
        let mut answers = answers.into_iter();
        let (record, epoch): (Option<Vec<u8>>, Option<Vec<u8>>) =
            from_redis_value(answers.next().unwrap_or_default())?;
        let time = read_time(answers.next().unwrap_or_default())?;
        let blob = record.and_then(|record| {
            let (token, bytes) = record.split_first_chunk::<TOKEN_BYTES>()?;
            Some(Blob {
                token: *token,
                bytes: bytes.into(),
            })
        });
        Ok((
            blob,
            Epoch::read(epoch.as_deref()),
            self.frozen_now().unwrap_or(time),
        ))
    }
}

#[async_trait]
impl Store for Redis {
    async fn load(&self, key: &SubjectKey) -> Result<Loaded, StoreError> {
        let core = &self.core;
        core.open()?;
        let shard = core.keys.shard(key);
        let record = core.keys.record(key);
        let mut get = cmd("MGET");
        get.arg(&record).arg(core.keys.epoch(shard));
        let calls = [get, cmd("TIME")];
        let Answered {
            generation,
            answers,
        } = go(&core.topology, Trip::repeatable(slot(&record)), &calls).await?;
        let (blob, epoch, now) = core
            .read_loaded(answers)
            .map_err(|error| store_error(&error))?;
        let forgot_at = core.forgot_at(shard, epoch, now).await?;
        Ok(Loaded {
            blob,
            generation,
            now,
            forgot_at,
        })
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        check_commit(&commit)?;
        let core = &self.core;
        core.open()?;
        let shard = core.keys.shard(&commit.key);
        let waits = if commit.durability == Durability::Durable {
            core.waits()
        } else {
            Vec::new()
        };
        let lane = if waits.is_empty() {
            Lane::Plain
        } else {
            Lane::Durable
        };
        let mut calls = vec![core.commit_call(&commit)];
        calls.extend(waits);
        let trip = Trip::once(slot(&core.keys.due(shard)), lane)
            .script(&COMMIT)
            .only(commit.generation);
        // On a server that is another than the one that gave the record nothing holds that was decided.
        let Some(answered) = go_if(&core.topology, trip, &calls).await? else {
            return Ok(Committed::Conflict);
        };
        let mut answers = answered.answers;
        let waited = answers.split_off(1);
        let lost = from_redis_value::<i64>(answers.pop().unwrap_or_default())
            .map_err(|error| store_error(&error.into()))?;
        if lost == CONFLICT {
            return Ok(Committed::Conflict);
        }
        if lost > 0 {
            metrics::counter!(EVENTS_LOST).increment(lost.unsigned_abs());
        }
        let wake_at = match &commit.write {
            Write::Put { wake_at, .. } => *wake_at,
            Write::Delete => None,
        };
        core.looks.note(shard, &commit.key, wake_at);
        core.lies_there(waited).map(|()| Committed::Done)
    }

    async fn settle(&self, key: &SubjectKey) -> Result<(), StoreError> {
        let core = &self.core;
        let waits = core.waits();
        if waits.is_empty() {
            return Ok(());
        }
        // A write of its own: what has it has all that was written before.
        let mark = core.keys.mark(core.keys.shard(key));
        let mut write = cmd("SET");
        write.arg(&mark).arg("").arg("PX").arg(1000);
        let calls: Vec<Cmd> = std::iter::once(write).chain(waits).collect();
        let trip = Trip {
            lane: Lane::Durable,
            ..Trip::repeatable(slot(&mark))
        };
        let mut answers = go(&core.topology, trip, &calls).await?.answers;
        core.lies_there(answers.split_off(1))
    }

    async fn due(&self, limit: usize) -> Result<Due, StoreError> {
        self.core.due_now(limit).await
    }

    async fn draw(&self, draws: &[Draw]) -> Result<Drawn, StoreError> {
        self.core.open()?;
        self.core.draw_all(draws).await
    }

    async fn give_back(&self, returns: &[Return]) -> Result<(), StoreError> {
        self.core.open()?;
        self.core.give_back_all(returns).await
    }

    async fn watch(&self, key: &SubjectKey) -> Result<News, StoreError> {
        self.core.watch_record(key).await
    }

    async fn append(&self, key: &SubjectKey, event: SealedEvent) -> Result<(), StoreError> {
        check_event(&event)?;
        self.core.append_event(key, &event).await
    }

    fn shards(&self) -> u16 {
        self.core.keys.shards()
    }

    async fn events(
        &self,
        shard: u16,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.core.read_events(shard, after, limit).await
    }

    async fn trim_events(&self, end: Timestamp) -> Result<u64, StoreError> {
        self.core.trim_own_events(end).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.core.open()?;
        self.core
            .topology
            .down()
            .map_or(Ok(()), |why| Err(StoreError::Unavailable(why)))
    }

    fn complaints(&self) -> Vec<Complaint> {
        self.core.common.guards.complaints()
    }
}

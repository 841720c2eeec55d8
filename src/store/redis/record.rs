//! Calls on one record: load, commit, postpone, and waiting until commits are durable.

use redis::{Cmd, Value, cmd, from_redis_value};

use super::{
    Core,
    connection::{
        fault::store_error,
        identity::read_time,
        lua::{COMMIT, POSTPONE},
        node::Lane,
        trip::{Answered, Trip, go, go_if},
    },
    keys::{short, slot},
    upkeep::setup::Epoch,
};
use crate::{
    domain::{decide::Durability, record::key::RecordKey, time::Timestamp},
    ports::store::{Blob, Commit, Committed, Loaded, StoreError, Token, Write},
};

/// The length of the compare token at the start of a stored record.
const TOKEN_BYTES: usize = 12;
/// A script's answer if the record is not the one that was loaded.
const CONFLICT: i64 = -1;
/// The commit script's answer if the record's key does not hold a string.
const FOREIGN: i64 = -2;

impl Core {
    pub(super) async fn load_record(&self, key: &RecordKey) -> Result<Loaded, StoreError> {
        let shard = self.keys.shard(key);
        let record = self.keys.record(key);
        let mut get = cmd("MGET");
        get.arg(&record).arg(self.keys.epoch(shard));
        let calls = [get, cmd("TIME")];
        let Answered {
            generation,
            answers,
        } = go(&self.topology, Trip::repeatable(slot(&record)), &calls).await?;
        let (blob, epoch, now) = self
            .read_loaded(answers)
            .map_err(|error| store_error(&error))?;
        let forgot_at = self.forgot_at(shard, epoch, now).await?;
        Ok(Loaded {
            blob,
            generation,
            now,
            forgot_at,
        })
    }

    pub(super) async fn commit_record(&self, commit: Commit) -> Result<Committed, StoreError> {
        let shard = self.keys.shard(&commit.key);
        let waits = if commit.durability == Durability::Durable {
            self.waits()
        } else {
            Vec::new()
        };
        let lane = if waits.is_empty() {
            Lane::Plain
        } else {
            Lane::Durable
        };
        let mut calls = vec![self.commit_call(&commit)];
        calls.extend(waits);
        let trip = Trip::once(slot(&self.keys.due(shard)), lane)
            .script(&COMMIT)
            .only(commit.generation);
        // Another server may not have the record that the decision is based on.
        let Some(answered) = go_if(&self.topology, trip, &calls).await? else {
            return Ok(Committed::Conflict);
        };
        let mut answers = answered.answers;
        let waited = answers.split_off(1);
        let outcome = from_redis_value::<i64>(answers.pop().unwrap_or_default())
            .map_err(|error| store_error(&error.into()))?;
        match outcome {
            CONFLICT => return Ok(Committed::Conflict),
            FOREIGN => return Err(StoreError::Foreign),
            _ => {}
        }
        let wake_at = match &commit.write {
            Write::Put { wake_at, .. } => *wake_at,
            Write::Delete => None,
        };
        self.looks.entry_written(shard, &commit.key, wake_at);
        self.check_waits(waited).map(|()| Committed::Done)
    }

    pub(super) async fn postpone_record(
        &self,
        key: &RecordKey,
        expect: Option<Token>,
        until: Timestamp,
    ) -> Result<Committed, StoreError> {
        let shard = self.keys.shard(key);
        let due = self.keys.due(shard);
        let trip = Trip::repeatable(slot(&due)).script(&POSTPONE);
        let mut call = POSTPONE.on(&[self.keys.record(key), due]);
        call.arg(expect.as_ref().map_or(&[][..], |token| &token[..]))
            .arg(until.as_micros())
            .arg(short(&key.to_bytes()));
        let moved: i64 = go(&self.topology, trip, &[call]).await?.one()?;
        if moved == CONFLICT {
            return Ok(Committed::Conflict);
        }
        if moved > 0 {
            self.looks.entry_written(shard, key, Some(until));
        }
        Ok(Committed::Done)
    }

    pub(super) async fn await_durable(&self, key: &RecordKey) -> Result<(), StoreError> {
        let waits = self.waits();
        if waits.is_empty() {
            return Ok(());
        }
        // Acknowledgements count for the latest write of the connection: a server that has this one has all before
        // it.
        let mark = self.keys.mark(self.keys.shard(key));
        let mut write = cmd("SET");
        write.arg(&mark).arg("").arg("PX").arg(1000);
        let calls: Vec<Cmd> = std::iter::once(write).chain(waits).collect();
        let trip = Trip {
            lane: Lane::Durable,
            ..Trip::repeatable(slot(&mark))
        };
        let mut answers = go(&self.topology, trip, &calls).await?.answers;
        self.check_waits(answers.split_off(1))
    }

    /// The call of the commit script for this change.
    fn commit_call(&self, commit: &Commit) -> Cmd {
        let (key, shard) = (&commit.key, self.keys.shard(&commit.key));
        let bytes = key.to_bytes();
        let events_of = if commit.events.is_empty() {
            &[][..]
        } else {
            short(&bytes)
        };
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
        call.arg(short(&bytes)).arg(events_of).arg(self.event_id());
        for event in &commit.events {
            call.arg(&event[..]);
        }
        call
    }

    /// The kind and time (ms) of expiry for a record that must be kept until then. At least one second ahead, even if
    /// the clocks differ. In tests, whose clock is not the server's, it is a time span.
    fn expiry(&self, until: Timestamp) -> (&'static str, u64) {
        let millis = |at: Timestamp| at.as_micros().div_ceil(1000);
        match self.test_now() {
            Some(now) => ("PX", millis(until).saturating_sub(millis(now)).max(1000)),
            None => (
                "PXAT",
                millis(until).max(millis(self.common.clock.now()) + 1000),
            ),
        }
    }

    /// The commands that wait until everything written over this connection is as durable as the settings demand.
    pub(super) fn waits(&self) -> Vec<Cmd> {
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

    /// Checks the answers of [`Core::waits`].
    ///
    /// # Errors
    /// [`StoreError::NotReplicated`] if too few servers acknowledged the write.
    fn check_waits(&self, answers: Vec<Value>) -> Result<(), StoreError> {
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

    fn read_loaded(
        &self,
        answers: Vec<Value>,
    ) -> Result<(Option<Blob>, Epoch, Timestamp), redis::RedisError> {
        let mut answers = answers.into_iter();
        let (record, epoch): (Option<Vec<u8>>, Option<Vec<u8>>) =
            from_redis_value(answers.next().unwrap_or_default())?;
        let time = read_time(answers.next().unwrap_or_default())?;
        let blob = record.map(|record| {
            // A value that is shorter than a token is foreign data. Its token is padded with zeros, so it differs
            // from the stored bytes and no commit can match and overwrite the value; `postpone.lua` pads in the same
            // way.
            let (start, bytes) = record.split_at(record.len().min(TOKEN_BYTES));
            let mut token = [0; TOKEN_BYTES];
            token[..start.len()].copy_from_slice(start);
            Blob {
                token,
                bytes: bytes.into(),
            }
        });
        Ok((
            blob,
            Epoch::read(epoch.as_deref()),
            self.test_now().unwrap_or(time),
        ))
    }
}

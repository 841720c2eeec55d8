//! The due index: one sorted set per shard. A shard is read only when an entry of it may be due.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{Value, cmd, from_redis_value};
use tokio::time::Instant;

use super::{
    Core,
    connection::{
        fault::store_error,
        identity,
        node::{Lane, Node},
        trip::{Trip, go},
    },
    keys::{read_short, slot},
};
use crate::{
    domain::{record::key::RecordKey, time::Timestamp},
    ports::store::{Due, StoreError},
};

/// How often a shard is read if this process knows of no due entry: other processes write entries too.
const LOOK_EVERY: Duration = Duration::from_millis(900);

/// The shortest time between two log lines about foreign members.
const LOG_FOREIGN_EVERY: Duration = Duration::from_secs(60);

/// Metric: members removed from due indexes because they cannot be keys of the shard's records.
const FOREIGN_MEMBERS: &str = "countersign_foreign_due_members_total";

type Entry = (Timestamp, RecordKey);

/// What this process knows of the first entry of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Unknown,
    None,
    At(Entry),
}

#[derive(Clone, Copy, Debug)]
struct Look {
    first: First,
    at: Option<Instant>,
}

/// What this process knows of the due index of each shard.
pub(super) struct Looks {
    shards: Mutex<Vec<Look>>,
    foreign_logged_at: Mutex<Option<Instant>>,
}

impl Looks {
    pub(super) fn new(shards: u16) -> Self {
        let unknown = Look {
            first: First::Unknown,
            at: None,
        };
        Self {
            shards: Mutex::new(vec![unknown; usize::from(shards)]),
            foreign_logged_at: Mutex::default(),
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Look>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a line about foreign members may be logged: at most one a minute (STORE-21). The metric counts all.
    fn may_log_foreign(&self) -> bool {
        let logged_at = &self.foreign_logged_at;
        let mut logged_at = logged_at.lock().unwrap_or_else(PoisonError::into_inner);
        let may = logged_at.is_none_or(|at| at.elapsed() >= LOG_FOREIGN_EVERY);
        if may {
            *logged_at = Some(Instant::now());
        }
        may
    }

    /// Updates this knowledge after this process wrote or removed an entry.
    pub(super) fn entry_written(&self, shard: u16, key: &RecordKey, wake_at: Option<Timestamp>) {
        let look = &mut self.all()[usize::from(shard)];
        look.first = match (look.first, wake_at) {
            (First::Unknown, _) => First::Unknown,
            // The entry known as first has changed, so the first one is no longer known.
            (First::At((_, first)), _) if first == *key => First::Unknown,
            (First::At(first), Some(at)) => First::At(first.min((at, *key))),
            (First::None, Some(at)) => First::At((at, *key)),
            (first, None) => first,
        };
    }

    /// Whether the shard must be read now.
    fn is_open(&self, shard: u16, now: Timestamp) -> bool {
        let look = self.all()[usize::from(shard)];
        let is_old = look.at.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        match look.first {
            First::Unknown => true,
            First::None => is_old,
            First::At((at, _)) => is_old || at <= now,
        }
    }

    fn set_first(&self, shard: u16, first: Option<Entry>) {
        let first = first.map_or(First::None, First::At);
        self.all()[usize::from(shard)] = Look {
            first,
            at: Some(Instant::now()),
        };
    }

    /// Marks the first entry as unknown: after entries that were read and removed there may be others.
    fn forget(&self, shard: u16) {
        self.all()[usize::from(shard)].first = First::Unknown;
    }

    fn first(&self, shard: u16) -> Option<Timestamp> {
        match self.all()[usize::from(shard)].first {
            First::At((at, _)) => Some(at),
            First::Unknown | First::None => None,
        }
    }
}

/// The result of reading some shards.
#[derive(Default)]
struct Found {
    /// The first entries, each with whether it is due by the server's clock.
    entries: Vec<(Entry, bool)>,
    /// Per shard, members that cannot be keys of its records.
    foreign: Vec<(u16, Vec<Vec<u8>>)>,
}

impl Core {
    /// The due records of the shards of this process.
    pub(super) async fn due_now(&self, limit: usize) -> Result<Due, StoreError> {
        let own = self.share.own();
        let now = self.common.clock.now();
        let (open, shut): (Vec<u16>, Vec<u16>) = own
            .iter()
            .partition(|shard| self.looks.is_open(**shard, now));
        // From each of several shards, about twice its part of the limit, in case due records are unevenly
        // distributed.
        let per_shard = (limit + 1).min(2 * limit / open.len().max(1) + 8);
        let looks = self
            .by_node(&open)
            .into_iter()
            .map(|(node, shards)| self.read_shards(node, shards, per_shard));
        let mut all = Found::default();
        let (mut failed, mut worked) = (None, open.is_empty());
        for looked in futures_util::future::join_all(looks).await {
            match looked {
                Ok(found) => {
                    worked = true;
                    all.entries.extend(found.entries);
                    all.foreign.extend(found.foreign);
                }
                // A failed server does not stop the shards of the others.
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed.filter(|_| !worked) {
            return Err(error);
        }
        let Found {
            mut entries,
            foreign,
        } = all;
        entries.sort_unstable();
        let keys: Vec<_> = entries
            .iter()
            .take_while(|(_, is_due)| *is_due)
            .take(limit)
            .map(|((_, key), _)| *key)
            .collect();
        let next = entries.get(keys.len()).map(|((at, _), _)| *at);
        let next = shut
            .iter()
            .filter_map(|shard| self.looks.first(*shard))
            .chain(next)
            // After the removed members there may be more due entries, so look again at once.
            .chain((!foreign.is_empty()).then_some(now))
            .min();
        self.remove_foreign(foreign).await;
        Ok(Due { keys, next })
    }

    /// Removes members that cannot be keys of the shard's records, so that they never fill the head of the index: of a
    /// wrong length, or of another shard, where every change of such a record goes. A key of an unknown kind stays.
    async fn remove_foreign(&self, foreign: Vec<(u16, Vec<Vec<u8>>)>) {
        for (shard, members) in foreign {
            let due = self.keys.due(shard);
            let mut remove = cmd("ZREM");
            remove.arg(&due).arg(&members);
            self.looks.forget(shard);
            match go(&self.topology, Trip::repeatable(slot(&due)), &[remove]).await {
                Ok(_) => {
                    metrics::counter!(FOREIGN_MEMBERS).increment(members.len() as u64);
                    if self.looks.may_log_foreign() {
                        tracing::warn!(
                            shard,
                            members = members.len(),
                            "foreign members removed from the due index"
                        );
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, shard, "foreign members of the due index not removed");
                }
            }
        }
    }

    fn by_node(&self, shards: &[u16]) -> Vec<(Arc<Node>, Vec<u16>)> {
        let mut nodes: Vec<(Arc<Node>, Vec<u16>)> = Vec::new();
        for shard in shards {
            let Some(node) = self.topology.node_of(slot(&self.keys.due(*shard))) else {
                continue;
            };
            match nodes
                .iter_mut()
                .find(|(known, _)| Arc::ptr_eq(known, &node))
            {
                Some((_, shards)) => shards.push(*shard),
                None => nodes.push((node, vec![*shard])),
            }
        }
        nodes
    }

    /// Reads the first entries of some shards, all on one server.
    async fn read_shards(
        &self,
        node: Arc<Node>,
        shards: Vec<u16>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        let link = node.link(Lane::Plain).await?;
        let mut calls = vec![cmd("TIME")];
        calls.extend(shards.iter().map(|shard| {
            let mut range = cmd("ZRANGE");
            range
                .arg(self.keys.due(*shard))
                .arg(0)
                .arg(limit.saturating_sub(1))
                .arg("WITHSCORES");
            range
        }));
        let sent = link
            .send(&calls)
            .await
            .and_then(|answers| self.read_look(&shards, answers));
        sent.map_err(|error| {
            link.trust().lose();
            self.topology.request_refresh();
            store_error(&error)
        })
    }

    fn read_look(&self, shards: &[u16], answers: Vec<Value>) -> Result<Found, redis::RedisError> {
        let mut answers = answers.into_iter();
        let server = identity::read_time(answers.next().unwrap_or_default())?;
        let now = self.test_now().unwrap_or(server);
        let mut found = Found::default();
        for (shard, answer) in shards.iter().zip(answers) {
            let rows: Vec<(Vec<u8>, f64)> = from_redis_value(answer)?;
            let (mut entries, mut foreign): (Vec<Entry>, Vec<Vec<u8>>) = Default::default();
            for (member, score) in rows {
                match read_short(&member).filter(|key| self.keys.shard(key) == *shard) {
                    Some(key) => entries.push((time_of(score), key)),
                    None => foreign.push(member),
                }
            }
            self.looks.set_first(*shard, entries.first().copied());
            found
                .entries
                .extend(entries.into_iter().map(|entry| (entry, entry.0 <= now)));
            if !foreign.is_empty() {
                found.foreign.push((*shard, foreign));
            }
        }
        Ok(found)
    }
}

/// A score of the due index as a time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a score is a whole number below 2^53"
)]
fn time_of(score: f64) -> Timestamp {
    Timestamp::from_micros(score as u64)
}

//! What is due: one sorted set per shard, looked at only when something of it can be due.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{Value, cmd, from_redis_value};
use tokio::time::Instant;

use super::{
    Core,
    connection::{
        identity,
        node::{Lane, Node},
    },
    keys::slot,
};
use crate::{
    domain::{ids::SubjectKey, time::Timestamp},
    ports::store::{Due, StoreError},
};

/// Other processes write too: a shard is looked at again after so long.
const LOOK_EVERY: Duration = Duration::from_millis(900);

/// An entry of the due index.
type Entry = (Timestamp, SubjectKey);

/// The first entry of a shard, as far as it is known.
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

/// What this process knows of the due index.
pub(super) struct Looks(Mutex<Vec<Look>>);

impl Looks {
    pub(super) fn new(shards: u16) -> Self {
        Self(Mutex::new(vec![
            Look {
                first: First::Unknown,
                at: None
            };
            usize::from(shards)
        ]))
    }

    fn all(&self) -> MutexGuard<'_, Vec<Look>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This process wrote an entry, or took one away.
    pub(super) fn note(&self, shard: u16, key: &SubjectKey, wake_at: Option<Timestamp>) {
        let look = &mut self.all()[usize::from(shard)];
        look.first = match (look.first, wake_at) {
            (First::Unknown, _) => First::Unknown,
            // Whatever came first is not known any more.
            (First::At((_, first)), _) if first == *key => First::Unknown,
            (First::At(first), Some(at)) => First::At(first.min((at, *key))),
            (First::None, Some(at)) => First::At((at, *key)),
            (first, None) => first,
        };
    }

    /// Must it be looked at?
    fn is_open(&self, shard: u16, now: Timestamp) -> bool {
        let look = self.all()[usize::from(shard)];
        let is_old = look.at.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        match look.first {
            First::Unknown => true,
            First::None => is_old,
            First::At((at, _)) => is_old || at <= now,
        }
    }

    fn see(&self, shard: u16, first: Option<Entry>) {
        let first = first.map_or(First::None, First::At);
        self.all()[usize::from(shard)] = Look {
            first,
            at: Some(Instant::now()),
        };
    }

    fn first(&self, shard: u16) -> Option<Timestamp> {
        match self.all()[usize::from(shard)].first {
            First::At((at, _)) => Some(at),
            First::Unknown | First::None => None,
        }
    }
}

impl Core {
    /// What is due of the shards that are this process's to look after.
    pub(super) async fn due_now(&self, limit: usize) -> Result<Due, StoreError> {
        let own = self.share.own();
        let now = self.common.clock.now();
        let (open, shut): (Vec<u16>, Vec<u16>) = own
            .iter()
            .partition(|shard| self.looks.is_open(**shard, now));
        // Of several shards each gives its part, and a little more.
        let per_shard = (limit + 1).min(2 * limit / open.len().max(1) + 8);
        let looks = self
            .by_node(&open)
            .into_iter()
            .map(|(node, shards)| self.look(node, shards, per_shard));
        let mut entries: Vec<(Entry, bool)> = Vec::new();
        let (mut failed, mut worked) = (None, open.is_empty());
        for looked in futures_util::future::join_all(looks).await {
            match looked {
                Ok(found) => {
                    worked = true;
                    entries.extend(found);
                }
                // The shards of the other servers go on.
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed.filter(|_| !worked) {
            return Err(error);
        }
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
            .min();
        Ok(Due { keys, next })
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

    /// The first entries of some shards of one server, each with whether it is due by the server's clock.
    async fn look(
        &self,
        node: Arc<Node>,
        shards: Vec<u16>,
        limit: usize,
    ) -> Result<Vec<(Entry, bool)>, StoreError> {
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
            self.topology.look();
            super::connection::fault::store_error(&error)
        })
    }

    fn read_look(
        &self,
        shards: &[u16],
        answers: Vec<Value>,
    ) -> Result<Vec<(Entry, bool)>, redis::RedisError> {
        let mut answers = answers.into_iter();
        let server = identity::read_time(answers.next().unwrap_or_default())?;
        let now = self.frozen_now().unwrap_or(server);
        let mut entries = Vec::new();
        for (shard, answer) in shards.iter().zip(answers) {
            let rows: Vec<(Vec<u8>, f64)> = from_redis_value(answer)?;
            let found: Vec<Entry> = rows.into_iter().filter_map(entry).collect();
            self.looks.see(*shard, found.first().copied());
            entries.extend(found.into_iter().map(|entry| (entry, entry.0 <= now)));
        }
        Ok(entries)
    }
}

/// An entry as it is stored. Whatever else somebody put there is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a score is a whole number below 2^53"
)]
fn entry((member, score): (Vec<u8>, f64)) -> Option<Entry> {
    Some((
        Timestamp::from_micros(score as u64),
        SubjectKey(member.try_into().ok()?),
    ))
}

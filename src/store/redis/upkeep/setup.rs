//! The first use of a store, and the signs by which a loss is noticed: the number of shards, and an epoch in each shard.

use redis::{Cmd, cmd};

use super::probes::Probe;
use crate::{
    domain::{time::Timestamp, verification::rules::FORGOTTEN_PERIOD},
    ports::store::StoreError,
    store::redis::{
        Core,
        connection::{
            node::Lane,
            trip::{Trip, go},
        },
        keys::slot,
    },
};

/// The value of an epoch while nothing was lost.
const WHOLE: &[u8] = b"whole";
/// Stands before the moment of a loss.
const LOST: &str = "lost:";

/// What an epoch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::redis) enum Epoch {
    /// The shard holds what was put there.
    Whole,
    /// It was found empty then.
    Lost(Timestamp),
    /// It is empty now.
    Missing,
}

impl Epoch {
    pub(in crate::store::redis) fn read(value: Option<&[u8]>) -> Self {
        let Some(value) = value else {
            return Self::Missing;
        };
        let lost = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.strip_prefix(LOST)?.parse().ok());
        lost.map_or(Self::Whole, |micros| {
            Self::Lost(Timestamp::from_micros(micros))
        })
    }

    fn write(self) -> Vec<u8> {
        match self {
            Self::Lost(at) => format!("{LOST}{}", at.as_micros()).into_bytes(),
            Self::Whole | Self::Missing => WHOLE.to_vec(),
        }
    }
}

impl Core {
    /// The number of shards that the store was set up with; `None` if it was not.
    pub(in crate::store::redis) async fn shard_count(&self) -> Result<Option<u16>, StoreError> {
        let key = self.keys.shard_count();
        let mut get = cmd("GET");
        get.arg(&key);
        go(&self.topology, Trip::repeatable(slot(&key)), &[get])
            .await?
            .one()
    }

    /// Sets an empty store up. What is there already stays. `lost` if it is empty because it lost what it held.
    pub(in crate::store::redis) async fn set_up(&self, lost: bool) -> Result<(), StoreError> {
        let epoch = if lost {
            Epoch::Lost(self.common.clock.now())
        } else {
            Epoch::Whole
        };
        for shard in 0..self.keys.shards() {
            self.put_epoch(shard, epoch, true).await?;
        }
        let mut set = cmd("SET");
        let key = self.keys.shard_count();
        set.arg(&key).arg(self.keys.shards()).arg("NX");
        self.write(&key, set).await
    }

    /// When a shard lost what it held, if it did so lately; a loss that is found now is written down first.
    pub(in crate::store::redis) async fn forgot_at(
        &self,
        shard: u16,
        epoch: Epoch,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let at = match epoch {
            Epoch::Whole => return Ok(None),
            Epoch::Lost(at) => at,
            Epoch::Missing => {
                self.mark_lost(shard, now, true).await?;
                now
            }
        };
        let lately = now.since(at) < FORGOTTEN_PERIOD;
        let text = "the store lost what it held within the last day; until then failure counts begin half spent".to_owned();
        self.common
            .guards
            .complain("forgot", &"the store", lately.then_some(text));
        Ok(lately.then_some(at))
    }

    /// Writes down that a shard lost what it held.
    async fn mark_lost(
        &self,
        shard: u16,
        at: Timestamp,
        only_missing: bool,
    ) -> Result<(), StoreError> {
        tracing::error!(shard, "A shard lost what it held.");
        self.put_epoch(shard, Epoch::Lost(at), only_missing).await
    }

    async fn put_epoch(
        &self,
        shard: u16,
        epoch: Epoch,
        only_missing: bool,
    ) -> Result<(), StoreError> {
        let key = self.keys.epoch(shard);
        let mut set = cmd("SET");
        set.arg(&key).arg(epoch.write());
        if only_missing {
            set.arg("NX");
        }
        self.write(&key, set).await
    }

    async fn write(&self, key: &[u8], call: Cmd) -> Result<(), StoreError> {
        go(&self.topology, Trip::repeatable(slot(key)), &[call])
            .await
            .map(drop)
    }

    /// Marks all shards once a server threw keys away.
    pub(in crate::store::redis) async fn mark_evictions(&self) {
        loop {
            self.common.guards.evicted.notified().await;
            for shard in 0..self.keys.shards() {
                if let Err(error) = self.mark_lost(shard, self.common.clock.now(), false).await {
                    tracing::warn!(%error, shard, "A loss could not be written down.");
                }
            }
        }
    }

    /// Tries every right that the service needs, on keys of its own.
    ///
    /// # Errors
    /// The first call that is refused, by name.
    pub(in crate::store::redis) async fn try_rights(&self) -> Result<(), String> {
        for node in self.topology.nodes() {
            let Some(shard) = (0..self.keys.shards()).find(|shard| self.serves(&node, *shard))
            else {
                continue;
            };
            let Some(links) = node.links() else { continue };
            for Probe { name, script, call } in self.probes(shard) {
                let link = links.pick(Lane::Durable);
                let done = match script {
                    Some(script) => script.run(&link, &[call]).await,
                    None => link.send(&[call]).await,
                };
                done.map_err(|error| format!("{}: {name} is refused: {error}", links.at))?;
            }
        }
        Ok(())
    }

    fn serves(
        &self,
        node: &std::sync::Arc<crate::store::redis::connection::node::Node>,
        shard: u16,
    ) -> bool {
        let served_by = self.topology.node_of(slot(&self.keys.due(shard)));
        served_by.is_some_and(|other| std::sync::Arc::ptr_eq(&other, node))
    }
}

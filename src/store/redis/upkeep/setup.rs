//! The first setup of a store, and the keys that reveal a loss of data: the number of shards, and an epoch in each
//! shard.

use redis::{Cmd, cmd};

use super::probes::Probe;
use crate::{
    domain::{time::Timestamp, verification::rules::FORGOTTEN_PERIOD},
    ports::store::StoreError,
    store::redis::{
        Core,
        connection::{
            fault::Fault,
            node::Lane,
            trip::{Trip, go},
        },
        keys::slot,
    },
};

/// A call that a server refused.
#[derive(Debug)]
pub(in crate::store::redis) struct Refused {
    /// What kind of refusal it is.
    pub(in crate::store::redis) fault: Fault,
    /// The server, the call, and the server's answer.
    pub(in crate::store::redis) text: String,
}

impl Refused {
    /// Whether our user lacks a right.
    pub(in crate::store::redis) fn is_about_rights(&self) -> bool {
        let text = self.text.to_ascii_uppercase();
        // The first from commands, the others from within scripts, by version.
        [
            "NOPERM",
            "CAN'T RUN THIS COMMAND",
            "CAN'T ACCESS",
            "ACL FAILURE",
        ]
        .iter()
        .any(|word| text.contains(word))
    }
}

/// The epoch of a shard that has not lost data.
const WHOLE: &[u8] = b"whole";
/// The epoch of a shard that lost its data: this text, then the time of the loss in microseconds.
const LOST: &str = "lost:";

/// The state of a shard, as its epoch key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::redis) enum Epoch {
    /// The shard still holds its data.
    Whole,
    /// The shard had lost its data; the loss was found at this time.
    Lost(Timestamp),
    /// The epoch key is missing: the shard has lost its data, and nobody has recorded it.
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
    /// The number of shards that the store was set up with; `None` if it was not set up.
    pub(in crate::store::redis) async fn shard_count(&self) -> Result<Option<u16>, StoreError> {
        let key = self.keys.shard_count();
        let mut get = cmd("GET");
        get.arg(&key);
        go(&self.topology, Trip::repeatable(slot(&key)), &[get])
            .await?
            .one()
    }

    /// Sets an empty store up; existing keys stay. `lost` if it is empty because it lost its data.
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

    /// When a shard lost its data, if within [`FORGOTTEN_PERIOD`]. A loss found only now is recorded first.
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
        self.complain_of_loss(lately);
        Ok(lately.then_some(at))
    }

    /// Records that the whole store lost its data, so that a start finds it set up again.
    pub(in crate::store::redis) async fn record_loss(&self) -> Result<(), StoreError> {
        tracing::error!("the store lost its data");
        self.set_up(true).await?;
        self.complain_of_loss(true);
        Ok(())
    }

    fn complain_of_loss(&self, lately: bool) {
        let text = "the store lost its data less than a day ago; for a day after the loss, the failure counts of new records start at half of their limit".to_owned();
        self.common
            .health
            .complain("forgot", &"the store", lately.then_some(text));
    }

    /// Records that a shard lost its data.
    async fn mark_lost(
        &self,
        shard: u16,
        at: Timestamp,
        only_missing: bool,
    ) -> Result<(), StoreError> {
        tracing::error!(shard, "shard lost its data");
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

    /// Records a loss for all shards whenever a server has evicted keys.
    pub(in crate::store::redis) async fn mark_evictions(&self) {
        loop {
            self.common.health.evicted.notified().await;
            for shard in 0..self.keys.shards() {
                if let Err(error) = self.mark_lost(shard, self.common.clock.now(), false).await {
                    tracing::warn!(%error, shard, "loss of data in a shard not recorded");
                }
            }
        }
    }

    /// Tests every permission that the service needs, on separate keys. On the plain lane without waits for replicas,
    /// which could take long.
    ///
    /// # Errors
    /// The first refused call.
    pub(in crate::store::redis) async fn try_rights(&self, lane: Lane) -> Result<(), Refused> {
        for node in self.topology.nodes() {
            let Some(shard) = (0..self.keys.shards()).find(|shard| self.serves(&node, *shard))
            else {
                continue;
            };
            let Some(links) = node.links() else { continue };
            let refuses = |refuses| links.trust.set_refuses_writes(refuses);
            for Probe { name, script, call } in self.probes(shard, lane) {
                let link = links.pick(lane);
                let done = match script {
                    Some(script) => script.run(&link, &[call]).await,
                    None => link.send(&[call]).await,
                };
                if let Err(error) = done {
                    let fault = Fault::of(&error);
                    if fault == Fault::TooFewReplicas {
                        refuses(true);
                    }
                    let text = format!("{}: {name} is refused: {error}", links.at);
                    return Err(Refused { fault, text });
                }
            }
            // All of them were executed, and most of them write.
            refuses(false);
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

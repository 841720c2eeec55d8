//! Divides the shards among the live processes, without a leader: each shard belongs to one process. For a short time
//! after a process starts or stops, two may have the same shard, which is harmless.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use crate::store::redis::{
    Core,
    connection::{
        lua::BEAT,
        trip::{Trip, go},
    },
    keys::slot,
};
use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};

/// The time between two heartbeats.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// A process without a heartbeat for this long is considered gone.
const GONE_AFTER: Duration = Duration::from_secs(5);

/// The shards of this process.
pub(in crate::store::redis) struct Share {
    process: [u8; 16],
    own: ArcSwap<Vec<u16>>,
    processes: AtomicU16,
}

impl Share {
    /// All shards, as long as no other process is known.
    pub(in crate::store::redis) fn all(process: [u8; 16], shards: u16) -> Self {
        Self {
            process,
            own: ArcSwap::from_pointee((0..shards).collect()),
            processes: AtomicU16::new(1),
        }
    }

    pub(in crate::store::redis) fn own(&self) -> Arc<Vec<u16>> {
        self.own.load_full()
    }

    fn take(&self, processes: &[Vec<u8>], shards: u16) {
        let own: Vec<u16> = (0..shards)
            .filter(|shard| winner(processes, *shard) == Some(&self.process[..]))
            .collect();
        let count = u16::try_from(processes.len()).unwrap_or(u16::MAX);
        if self.processes.swap(count, Ordering::Relaxed) != count {
            tracing::info!(
                processes = count,
                shards = own.len(),
                "due shards redistributed"
            );
        }
        metrics::gauge!("countersign_redis_own_shards").set(own.len() as f64);
        self.own.store(Arc::new(own));
    }
}

/// Rendezvous hashing: the process with the greatest hash together with the shard wins, so that when one process
/// stops, only its shards move.
fn winner(processes: &[Vec<u8>], shard: u16) -> Option<&[u8]> {
    let weight = |process: &[u8]| digest(&SHA256, &[process, &shard.to_be_bytes()].concat());
    processes
        .iter()
        .map(Vec::as_slice)
        .max_by_key(|process| weight(process).as_ref().to_vec())
}

impl Core {
    /// Sends heartbeats, and updates the share from the answers. While there are none, the share stays as it was.
    pub(in crate::store::redis) async fn keep_share(&self) {
        let key = self.keys.processes();
        let mut call = BEAT.on(std::slice::from_ref(&key));
        call.arg(&self.share.process[..])
            .arg(GONE_AFTER.as_micros().to_string());
        let calls = [call];
        loop {
            let beat = go(
                &self.topology,
                Trip::repeatable(slot(&key)).script(&BEAT),
                &calls,
            );
            match tokio::time::timeout(GONE_AFTER, beat)
                .await
                .map(|beat| beat?.one::<Vec<Vec<u8>>>())
            {
                Ok(Ok(processes)) => self.share.take(&processes, self.keys.shards()),
                Ok(Err(error)) => tracing::debug!(%error, "heartbeat failed"),
                Err(_late) => tracing::debug!("heartbeat timed out"),
            }
            tokio::time::sleep(BEAT_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(processes: &[Vec<u8>]) -> Vec<Vec<u16>> {
        let share = |process: &Vec<u8>| {
            let share = Share::all(process.as_slice().try_into().unwrap(), 64);
            share.take(processes, 64);
            share.own().to_vec()
        };
        processes.iter().map(share).collect()
    }

    #[test]
    fn each_shard_has_one_process_and_only_those_of_a_lost_one_move() {
        let processes: Vec<Vec<u8>> = (0..4_u8).map(|n| vec![n; 16]).collect();
        let four = shares(&processes);
        let mut all: Vec<u16> = four.concat();
        all.sort_unstable();
        assert_eq!(all, (0..64).collect::<Vec<_>>());
        assert!(
            four.iter().all(|own| (6..=28).contains(&own.len())),
            "{four:?}"
        );
        for (before, after) in four.iter().zip(shares(&processes[..3])) {
            assert!(before.iter().all(|shard| after.contains(shard)));
        }
    }
}

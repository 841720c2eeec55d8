//! Quotas in the memory of one process.

use std::{collections::HashMap, time::Duration};

use super::shards::Shards;
use crate::{
    domain::{limit::rate::Level, time::Timestamp},
    ports::store::{Draw, Drawn, Return, Short, StoreError},
};

/// The largest number of buckets. Beyond it new buckets are refused, because dropping an old bucket
/// would reset its quota.
const BUCKETS_MAX: usize = 1_000_000;

/// Smaller shards are not pruned.
const PRUNE_FROM: usize = 1024;

/// The shortest time between two prunings of a shard, so that pruning never costs more than drawing.
const PRUNE_INTERVAL: Duration = Duration::from_secs(1);

/// How long a bucket above its limit is kept after the last return to it.
const BEYOND_KEPT: Duration = Duration::from_secs(24 * 3600);

/// A bucket, and when it may be dropped: from that time it is full, as a new one is.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    level: Level,
    until: Timestamp,
}

impl Bucket {
    fn new(level: Level, now: Timestamp) -> Self {
        let until = match level {
            Level::FullAt(at) => at,
            Level::Beyond(_) => now.plus(BEYOND_KEPT),
        };
        Self { level, until }
    }
}

#[derive(Debug, Default)]
struct Shard {
    /// The buckets that are not full; a missing bucket is full.
    buckets: HashMap<[u8; 16], Bucket>,
    next_prune: Timestamp,
}

/// All quotas, in shards with a lock each.
#[derive(Debug, Default)]
pub(super) struct Quotas(Shards<Shard>);

impl Quotas {
    /// Draws from all of the buckets, or from none.
    ///
    /// # Errors
    /// [`StoreError::Full`] if a new bucket is needed and there are too many.
    pub(super) fn draw(&self, draws: &[Draw], now: Timestamp) -> Result<Drawn, StoreError> {
        let mut shards = self.0.lock_all(draws.iter().map(|draw| &draw.bucket));
        let mut taken = Vec::with_capacity(draws.len());
        let mut after = Vec::with_capacity(draws.len());
        for (place, draw) in draws.iter().enumerate() {
            let shard = shards.of(&draw.bucket);
            shard.prune(now);
            let known = shard.buckets.get(&draw.bucket).copied();
            if known.is_none() && shard.buckets.len() >= BUCKETS_MAX / Shards::<Shard>::COUNT {
                return Err(StoreError::Full);
            }
            match draw
                .rate
                .take(known.unwrap_or_default().level, draw.want, draw.least, now)
            {
                Ok((level, count)) => {
                    taken.push(count);
                    after.push(Some(Bucket::new(level, now)));
                }
                Err(_) if draw.short == Short::Skip => {
                    taken.push(0);
                    after.push(None);
                }
                Err(retry_after) => return Ok(Drawn::Refused { place, retry_after }),
            }
        }
        for (draw, bucket) in draws.iter().zip(after) {
            let buckets = &mut shards.of(&draw.bucket).buckets;
            bucket.and_then(|bucket| buckets.insert(draw.bucket, bucket));
        }
        Ok(Drawn::Taken(taken))
    }

    /// Returns amounts to all of the buckets. A new bucket for which there is no room stays full.
    pub(super) fn give_back(&self, returns: &[Return], now: Timestamp) {
        let mut shards = self.0.lock_all(returns.iter().map(|back| &back.bucket));
        for back in returns {
            let shard = shards.of(&back.bucket);
            shard.prune(now);
            let known = shard.buckets.get(&back.bucket).copied();
            if known.is_some() || shard.buckets.len() < BUCKETS_MAX / Shards::<Shard>::COUNT {
                let level = back.rate.give_back(
                    known.unwrap_or_default().level,
                    back.count,
                    back.reserve,
                    now,
                );
                shard.buckets.insert(back.bucket, Bucket::new(level, now));
            }
        }
    }
}

impl Shard {
    /// Drops the buckets that are full again.
    fn prune(&mut self, now: Timestamp) {
        if self.buckets.len() >= PRUNE_FROM && now >= self.next_prune {
            self.buckets.retain(|_, bucket| bucket.until > now);
            self.next_prune = now.plus(PRUNE_INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limit::rate::Rate;

    fn draw(n: u32) -> Draw {
        let mut bucket = [0; 16];
        bucket[12..].copy_from_slice(&n.to_be_bytes());
        Draw::one(bucket, Rate::per(1, Duration::from_secs(10)))
    }

    fn taken() -> Drawn {
        Drawn::Taken(vec![1])
    }

    #[test]
    fn buckets_that_are_full_again_are_forgotten() {
        let quotas = Quotas::default();
        let start = Timestamp::from_micros(1_000_000);
        for n in 0..10_000 {
            assert_eq!(quotas.draw(&[draw(n)], start).unwrap(), taken());
        }
        let later = start.plus(Duration::from_secs(10));
        assert_eq!(quotas.draw(&[draw(0)], later).unwrap(), taken());
        assert_eq!(quotas.0.lock(&draw(0).bucket).buckets.len(), 1);
    }

    #[test]
    fn a_bucket_too_many_is_refused_and_the_others_go_on() {
        let quotas = Quotas::default();
        let now = Timestamp::from_micros(1_000_000);
        // All of these buckets are in one shard.
        let room = u32::try_from(BUCKETS_MAX / Shards::<Shard>::COUNT).unwrap();
        for n in 0..room {
            assert_eq!(quotas.draw(&[draw(n)], now).unwrap(), taken());
        }
        assert!(matches!(
            quotas.draw(&[draw(room)], now),
            Err(StoreError::Full)
        ));
        assert!(
            matches!(quotas.draw(&[draw(0)], now), Ok(Drawn::Refused { .. })),
            "a known bucket still counts"
        );
        let later = now.plus(Duration::from_secs(10));
        assert_eq!(quotas.draw(&[draw(room)], later).unwrap(), taken());
    }
}

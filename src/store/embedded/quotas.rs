//! Quotas in the memory of one process.

use std::{collections::HashMap, time::Duration};

use super::shards::{Locked, Shards};
use crate::{
    domain::{limit::rate::Fill, time::Timestamp},
    ports::store::{Draw, Drawn, Return, Short, StoreError},
};

/// The largest number of owners. Beyond it new ones are refused, because dropping an old one would reset its quotas.
const OWNERS_MAX: usize = 1_000_000;

/// Smaller shards are not pruned.
const PRUNE_FROM: usize = 1024;

/// The shortest time between two prunings of a shard, so that pruning never costs more than drawing.
const PRUNE_INTERVAL: Duration = Duration::from_secs(1);

/// How long a bucket above its limit is kept after the last draw from its owner or return to it.
const BEYOND_KEPT: Duration = Duration::from_secs(24 * 3600);

/// The buckets of an owner by their slots, and when they may be dropped: from that time all are full, as new ones are.
#[derive(Clone, Debug, Default)]
struct Owner {
    /// A bucket beyond the end is full.
    buckets: Vec<Fill>,
    until: Timestamp,
}

impl Owner {
    fn level(&self, slot: u8) -> Fill {
        let level = self.buckets.get(usize::from(slot));
        level.copied().unwrap_or_default()
    }

    fn set(&mut self, slot: u8, level: Fill, now: Timestamp) {
        let slot = usize::from(slot);
        if self.buckets.len() <= slot {
            self.buckets.resize(slot + 1, Fill::default());
        }
        self.buckets[slot] = level;
        let until = self.buckets.iter().map(|level| match level {
            Fill::FullAt(at) => *at,
            Fill::Beyond(_) => now.plus(BEYOND_KEPT),
        });
        self.until = until.max().unwrap_or_default();
    }
}

#[derive(Debug, Default)]
struct Shard {
    /// The owners with a bucket that is not full; the buckets of a missing one are full.
    owners: HashMap<[u8; 16], Owner>,
    next_prune: Timestamp,
}

/// All quotas, in shards with a lock each.
#[derive(Debug, Default)]
pub(super) struct Quotas(Shards<Shard>);

impl Quotas {
    /// Draws from all of the buckets, or from none.
    ///
    /// # Errors
    /// [`StoreError::Full`] if a new owner is needed and there are too many.
    pub(super) fn draw(&self, draws: &[Draw], now: Timestamp) -> Result<Drawn, StoreError> {
        let shards = self.0.lock_all(draws.iter().map(|draw| &draw.owner));
        let mut changes = Changes::new(shards, now);
        let mut skipping = false;
        for draw in draws.iter().filter(|draw| draw.short == Short::Skip) {
            let owner = changes.owner(&draw.owner).ok_or(StoreError::Full)?;
            let (want, least) = draw.amounts();
            let level = owner.level(draw.slot);
            skipping |= draw.rate.take(level, want, least, now).is_err();
        }
        let mut taken = Vec::with_capacity(draws.len());
        for (place, draw) in draws.iter().enumerate() {
            let owner = changes.owner(&draw.owner).ok_or(StoreError::Full)?;
            let (want, least) = draw.amounts();
            match draw.rate.take(owner.level(draw.slot), want, least, now) {
                Ok((level, count)) => {
                    if draw.short == Short::Refuse || !skipping {
                        owner.set(draw.slot, level, now);
                    }
                    taken.push(count);
                }
                Err(_) if draw.short == Short::Skip => taken.push(0),
                Err(retry_after) => return Ok(Drawn::Refused { place, retry_after }),
            }
        }
        changes.keep();
        Ok(Drawn::Taken(taken))
    }

    /// Returns amounts to all of the buckets. Those of a new owner for which there is no room stay full.
    pub(super) fn give_back(&self, returns: &[Return], now: Timestamp) {
        let shards = self.0.lock_all(returns.iter().map(|back| &back.owner));
        let mut changes = Changes::new(shards, now);
        for back in returns {
            if let Some(owner) = changes.owner(&back.owner) {
                let level = owner.level(back.slot);
                let level = back.rate.give_back(level, back.count, back.reserve, now);
                owner.set(back.slot, level, now);
            }
        }
        changes.keep();
    }
}

/// The owners of one call as they will be, if it is not refused.
struct Changes<'a> {
    shards: Locked<'a, Shard>,
    owners: Vec<([u8; 16], Owner)>,
    now: Timestamp,
}

impl<'a> Changes<'a> {
    fn new(shards: Locked<'a, Shard>, now: Timestamp) -> Self {
        Self {
            shards,
            owners: Vec::new(),
            now,
        }
    }

    /// The owner of this name; `None` if it is new and there are too many.
    fn owner(&mut self, name: &[u8; 16]) -> Option<&mut Owner> {
        let known = self.owners.iter().position(|(known, _)| known == name);
        let at = if let Some(at) = known {
            at
        } else {
            let shard = self.shards.of(name);
            shard.prune(self.now);
            let owner = match shard.owners.get(name) {
                Some(owner) => owner.clone(),
                None if shard.owners.len() >= OWNERS_MAX / Shards::<Shard>::COUNT => return None,
                None => Owner::default(),
            };
            self.owners.push((*name, owner));
            self.owners.len() - 1
        };
        self.owners.get_mut(at).map(|(_, owner)| owner)
    }

    fn keep(mut self) {
        for (name, owner) in self.owners {
            if !owner.buckets.is_empty() {
                self.shards.of(&name).owners.insert(name, owner);
            }
        }
    }
}

impl Shard {
    /// Drops the owners whose buckets are full again.
    fn prune(&mut self, now: Timestamp) {
        if self.owners.len() >= PRUNE_FROM && now >= self.next_prune {
            self.owners.retain(|_, owner| owner.until > now);
            self.next_prune = now.plus(PRUNE_INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limit::rate::Rate;

    fn draw(n: u32) -> Draw {
        let mut owner = [0; 16];
        owner[12..].copy_from_slice(&n.to_be_bytes());
        Draw::one(owner, Rate::per(1, Duration::from_secs(10)))
    }

    fn taken() -> Drawn {
        Drawn::Taken(vec![1])
    }

    #[test]
    fn owners_whose_buckets_are_full_again_are_forgotten() {
        let quotas = Quotas::default();
        let start = Timestamp::from_micros(1_000_000);
        for n in 0..10_000 {
            assert_eq!(quotas.draw(&[draw(n)], start).unwrap(), taken());
        }
        let slow = Draw {
            slot: 3,
            rate: Rate::per(1, Duration::from_secs(20)),
            ..draw(1)
        };
        assert_eq!(quotas.draw(&[slow], start).unwrap(), taken());
        let later = start.plus(Duration::from_secs(10));
        assert_eq!(quotas.draw(&[draw(0)], later).unwrap(), taken());
        let shard = quotas.0.lock(&draw(0).owner);
        assert_eq!(
            shard.owners.len(),
            2,
            "the longest bucket of an owner keeps it"
        );
    }

    #[test]
    fn an_owner_too_many_is_refused_and_the_others_go_on() {
        let quotas = Quotas::default();
        let now = Timestamp::from_micros(1_000_000);
        // All of these owners are in one shard.
        let room = u32::try_from(OWNERS_MAX / Shards::<Shard>::COUNT).unwrap();
        for n in 0..room {
            assert_eq!(quotas.draw(&[draw(n)], now).unwrap(), taken());
        }
        assert!(matches!(
            quotas.draw(&[draw(room)], now),
            Err(StoreError::Full)
        ));
        assert!(
            matches!(quotas.draw(&[draw(0)], now), Ok(Drawn::Refused { .. })),
            "a known owner still counts"
        );
        let later = now.plus(Duration::from_secs(10));
        assert_eq!(quotas.draw(&[draw(room)], later).unwrap(), taken());
    }
}

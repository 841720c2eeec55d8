//! Quotas: one script draws from all or none; on a cluster it runs slot by slot, in the order of the draws.

use std::time::Duration;

use redis::Cmd;

use super::{
    Core,
    connection::{
        fault::store_error,
        lua::{DRAW, GIVE_BACK, Lua},
        trip::{Trip, go},
    },
    keys::{Keys, slot},
};
use crate::{
    domain::time::micros,
    ports::store::{Draw, Drawn, Return, Short, StoreError},
};

/// How long a bucket above its limit is kept after the last draw from its owner or return to it.
const BEYOND_KEPT: Duration = Duration::from_secs(24 * 3600);

/// The length of the longest argument.
const ARGUMENT_BYTES: usize = 30;

/// A bucket as the port names it.
#[derive(Clone, Copy)]
struct Bucket {
    owner: [u8; 16],
    slot: u8,
    former: Option<[u8; 16]>,
}

impl From<&Draw> for Bucket {
    fn from(draw: &Draw) -> Self {
        Self {
            owner: draw.owner,
            slot: draw.slot,
            former: draw.former,
        }
    }
}

impl From<&Return> for Bucket {
    fn from(back: &Return) -> Self {
        Self {
            owner: back.owner,
            slot: back.slot,
            former: back.former,
        }
    }
}

/// Where a bucket is for the scripts.
pub(in crate::store::redis) struct Place {
    /// The place of its owner in `KEYS`, from 1.
    pub(in crate::store::redis) owner: usize,
    /// The place of its former name in `KEYS`; 0: it has none.
    pub(in crate::store::redis) former: usize,
    /// Its number among the buckets of its owner, from 0.
    pub(in crate::store::redis) slot: u8,
}

impl Place {
    /// The argument that makes a draw. One binary string is read faster than eight numbers as text.
    pub(in crate::store::redis) fn draw(&self, draw: &Draw) -> Vec<u8> {
        let interval = micros(draw.rate.interval).max(1);
        let capacity = interval.saturating_mul(draw.rate.capacity());
        let (want, least) = draw.amounts();
        let mut argument = self.start();
        argument.push(u8::from(draw.short == Short::Skip));
        argument.extend(interval.to_be_bytes());
        argument.extend(capacity.to_be_bytes());
        argument.extend(want.to_be_bytes());
        argument.extend(least.to_be_bytes());
        argument
    }

    /// The argument that makes a return.
    pub(in crate::store::redis) fn give_back(&self, back: &Return) -> Vec<u8> {
        let interval = micros(back.rate.interval).max(1);
        let mut argument = self.start();
        argument.extend(interval.saturating_mul(back.count.into()).to_be_bytes());
        argument.extend(interval.saturating_mul(back.reserve.into()).to_be_bytes());
        argument
    }

    fn start(&self) -> Vec<u8> {
        // A call has a few hundred keys at most.
        let key = |place| u16::try_from(place).unwrap_or(u16::MAX).to_be_bytes();
        let mut argument = Vec::with_capacity(ARGUMENT_BYTES);
        argument.extend(key(self.owner));
        argument.extend(key(self.former));
        argument.push(self.slot + 1);
        argument
    }
}

impl Core {
    /// Draws from several quotas. If one is refused, draws in the slots before it are not undone. A draw whose answer
    /// was lost is made again, which makes limits stricter, never looser.
    pub(super) async fn draw_all(&self, draws: &[Draw]) -> Result<Drawn, StoreError> {
        let mut taken = vec![0; draws.len()];
        for group in self.groups(draws.iter().map(|draw| draw.owner)) {
            match self.draw_group(draws, &group).await? {
                Drawn::Taken(counts) => group
                    .iter()
                    .zip(counts)
                    .for_each(|(place, count)| taken[*place] = count),
                Drawn::Refused { place, retry_after } => {
                    return Ok(Drawn::Refused {
                        place: group[place],
                        retry_after,
                    });
                }
            }
        }
        Ok(Drawn::Taken(taken))
    }

    /// Returns amounts to several quotas. If an answer was lost, an amount may be returned twice, which loosens the
    /// pumping guard a little.
    pub(super) async fn give_back_all(&self, returns: &[Return]) -> Result<(), StoreError> {
        for group in self.groups(returns.iter().map(|back| back.owner)) {
            let group: Vec<&Return> = group.iter().map(|place| &returns[*place]).collect();
            let (keys, places) = self.keys_of(group.iter().map(|back| Bucket::from(*back)));
            let mut call = self.call(&GIVE_BACK, &keys);
            for (back, place) in group.into_iter().zip(places) {
                call.arg(place.give_back(back));
            }
            let trip = Trip::repeatable(slot(&keys[0])).script(&GIVE_BACK);
            go(&self.topology, trip, &[call]).await?;
        }
        Ok(())
    }

    /// Groups the owners, by their places, so that one call can reach each group: by slot on
    /// a cluster, otherwise all.
    fn groups(&self, owners: impl Iterator<Item = [u8; 16]>) -> Vec<Vec<usize>> {
        let mut groups: Vec<(Option<u16>, Vec<usize>)> = Vec::new();
        for (place, owner) in owners.enumerate() {
            let tag = self.topology.is_cluster().then(|| Keys::quota_tag(&owner));
            match groups.iter_mut().find(|(known, _)| *known == tag) {
                Some((_, places)) => places.push(place),
                None => groups.push((tag, vec![place])),
            }
        }
        groups.into_iter().map(|(_, places)| places).collect()
    }

    /// The keys of the buckets of one call, and where each bucket finds its own. The keys of owners come first.
    fn keys_of(&self, buckets: impl Iterator<Item = Bucket> + Clone) -> (Vec<Vec<u8>>, Vec<Place>) {
        let mut owners: Vec<[u8; 16]> = Vec::new();
        for bucket in buckets.clone() {
            if !owners.contains(&bucket.owner) {
                owners.push(bucket.owner);
            }
        }
        let mut keys: Vec<Vec<u8>> = owners.iter().map(|name| self.keys.buckets(name)).collect();
        let places = buckets.map(|bucket| {
            let owner = owners.iter().position(|name| *name == bucket.owner);
            let former = bucket
                .former
                .filter(|name| self.reaches(&bucket.owner, name));
            Place {
                owner: owner.map_or(0, |at| at + 1),
                slot: bucket.slot,
                former: former.map_or(0, |name| {
                    keys.push(self.keys.former_bucket(&name));
                    keys.len()
                }),
            }
        });
        let places = places.collect();
        (keys, places)
    }

    /// Whether one script reaches both an owner and a former name.
    fn reaches(&self, owner: &[u8; 16], former: &[u8; 16]) -> bool {
        !self.topology.is_cluster() || Keys::quota_tag(owner) == Keys::quota_tag(former)
    }

    /// A call of one of the scripts for buckets; the caller appends the arguments of each bucket.
    fn call(&self, script: &Lua, keys: &[Vec<u8>]) -> Cmd {
        let mut call = script.on(keys);
        call.arg(self.test_clock_arg()).arg(micros(BEYOND_KEPT));
        call
    }

    async fn draw_group(&self, draws: &[Draw], group: &[usize]) -> Result<Drawn, StoreError> {
        let group: Vec<&Draw> = group.iter().map(|place| &draws[*place]).collect();
        let (keys, places) = self.keys_of(group.iter().map(|draw| Bucket::from(*draw)));
        let mut call = self.call(&DRAW, &keys);
        for (draw, place) in group.iter().zip(places) {
            call.arg(place.draw(draw));
        }
        let trip = Trip::repeatable(slot(&keys[0])).script(&DRAW);
        let answer: Vec<i64> = go(&self.topology, trip, &[call]).await?.one()?;
        let strange = || {
            store_error(
                &(
                    redis::ErrorKind::UnexpectedReturnType,
                    "no answer to a draw",
                )
                    .into(),
            )
        };
        match answer[..] {
            [place, wait] if place < 0 => {
                let place = usize::try_from(-place - 1)
                    .ok()
                    .filter(|place| *place < group.len())
                    .ok_or_else(strange)?;
                Ok(Drawn::Refused {
                    place,
                    retry_after: Duration::from_micros(wait.unsigned_abs()),
                })
            }
            _ if answer.len() == group.len() => Ok(Drawn::Taken(
                answer
                    .into_iter()
                    .map(|count| u32::try_from(count).unwrap_or_default())
                    .collect(),
            )),
            _ => Err(strange()),
        }
    }
}

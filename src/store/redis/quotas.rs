//! Quotas: one script draws from all or none; on a cluster it runs slot by slot, in the order of the draws.

use std::time::Duration;

use super::{
    Core,
    connection::{
        fault::store_error,
        lua::{DRAW, GIVE_BACK},
        trip::{Trip, go},
    },
    keys::{Keys, slot},
};
use crate::{
    domain::time::micros,
    ports::store::{Draw, Drawn, Return, Short, StoreError},
};

/// How long a bucket above its limit is kept after the last return to it.
const BEYOND_KEPT: Duration = Duration::from_secs(24 * 3600);

impl Core {
    /// Draws from several quotas. If one is refused, draws in the slots before it are not undone. A draw whose answer
    /// was lost is made again, which makes limits stricter, never looser.
    pub(super) async fn draw_all(&self, draws: &[Draw]) -> Result<Drawn, StoreError> {
        let mut taken = vec![0; draws.len()];
        for group in self.groups(draws.iter().map(|draw| draw.bucket)) {
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
        for group in self.groups(returns.iter().map(|back| back.bucket)) {
            let group: Vec<&Return> = group.iter().map(|place| &returns[*place]).collect();
            let keys: Vec<Vec<u8>> = group
                .iter()
                .map(|back| self.keys.quota(&back.bucket))
                .collect();
            let mut call = GIVE_BACK.on(&keys);
            call.arg(self.test_clock_arg()).arg(BEYOND_KEPT.as_millis());
            for back in group {
                let interval = micros(back.rate.interval).max(1);
                call.arg(interval.saturating_mul(back.count.into()))
                    .arg(interval.saturating_mul(back.reserve.into()));
            }
            let trip = Trip::repeatable(slot(&keys[0])).script(&GIVE_BACK);
            go(&self.topology, trip, &[call]).await?;
        }
        Ok(())
    }

    /// Groups the buckets, by their places, so that one call can reach each group: by slot on
    /// a cluster, otherwise all.
    fn groups(&self, buckets: impl Iterator<Item = [u8; 16]>) -> Vec<Vec<usize>> {
        let mut groups: Vec<(Option<u16>, Vec<usize>)> = Vec::new();
        for (place, bucket) in buckets.enumerate() {
            let tag = self.topology.is_cluster().then(|| Keys::quota_tag(&bucket));
            match groups.iter_mut().find(|(known, _)| *known == tag) {
                Some((_, places)) => places.push(place),
                None => groups.push((tag, vec![place])),
            }
        }
        groups.into_iter().map(|(_, places)| places).collect()
    }

    async fn draw_group(&self, draws: &[Draw], places: &[usize]) -> Result<Drawn, StoreError> {
        let keys: Vec<Vec<u8>> = places
            .iter()
            .map(|place| self.keys.quota(&draws[*place].bucket))
            .collect();
        let mut call = DRAW.on(&keys);
        call.arg(self.test_clock_arg());
        for draw in places.iter().map(|place| &draws[*place]) {
            let interval = micros(draw.rate.interval).max(1);
            call.arg(interval)
                .arg(interval.saturating_mul(u64::from(draw.rate.burst) + 1));
            call.arg(draw.want.max(1).max(draw.least))
                .arg(draw.least.max(1))
                .arg(u8::from(draw.short == Short::Skip));
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
                    .filter(|place| *place < places.len())
                    .ok_or_else(strange)?;
                Ok(Drawn::Refused {
                    place,
                    retry_after: Duration::from_micros(wait.unsigned_abs()),
                })
            }
            _ if answer.len() == places.len() => Ok(Drawn::Taken(
                answer
                    .into_iter()
                    .map(|count| u32::try_from(count).unwrap_or_default())
                    .collect(),
            )),
            _ => Err(strange()),
        }
    }
}

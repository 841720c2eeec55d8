//! The limits of this process, for actions that may continue while the fleet's quotas cannot be drawn.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::charges::Charge;
use crate::{
    domain::{
        crypto::keyring::Mark,
        limit::rate::{Fill, Rate},
        time::Timestamp,
    },
    ports::store::Drawn,
};

/// The largest number of buckets. Without room for another, nothing is drawn: dropping a bucket
/// would reset its limit.
const BUCKETS_MAX: usize = 65_536;

/// One process uses one tenth of a fleet-wide rate. It does not know how many processes there are; up to ten of them
/// stay within the rate together.
const SHARE: u32 = 10;

/// The levels of the limits of this process; a missing bucket is full.
#[derive(Debug, Default)]
pub(super) struct Fallback(Mutex<HashMap<(Mark, u8), Fill>>);

/// One tenth of a rate, but at least one at once.
fn tenth(rate: Rate) -> Rate {
    let count = (rate.burst.saturating_add(1) / SHARE).max(1);
    Rate {
        interval: rate.interval.saturating_mul(SHARE),
        burst: count - 1,
    }
}

impl Fallback {
    /// Draws 1 from each bucket at a tenth of its rate, or from none; `None` if there is no room for the buckets.
    pub(super) fn draw(&self, charges: &[Charge], now: Timestamp) -> Option<Drawn> {
        // Every level is complete even after a panic of another thread, because it is replaced as a whole.
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() + charges.len() > BUCKETS_MAX {
            buckets.retain(|_, level| matches!(level, Fill::FullAt(at) if *at > now));
        }
        if buckets.len() + charges.len() > BUCKETS_MAX {
            return None;
        }
        let mut after = Vec::with_capacity(charges.len());
        for (place, charge) in charges.iter().enumerate() {
            let bucket = (charge.name.owner, charge.name.slot);
            let level = buckets.get(&bucket).copied().unwrap_or_default();
            match tenth(charge.rate).take(level, 1, 1, now) {
                Ok((level, _)) => after.push((bucket, level)),
                Err(retry_after) => return Some(Drawn::Refused { place, retry_after }),
            }
        }
        buckets.extend(after);
        Some(Drawn::Taken(vec![1; charges.len()]))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        domain::limit::{
            bucket::{BucketKind, Scope},
            quota::Dimension,
        },
        ports::store::Short,
        service::limit::charges::BucketName,
    };

    fn charge(n: u32, count: u32) -> Charge {
        let mut owner = [0; 16];
        owner[..4].copy_from_slice(&n.to_be_bytes());
        Charge {
            kind: BucketKind {
                dimension: Dimension::Recipient,
                scope: Scope::Vouched,
            },
            name: BucketName {
                owner,
                slot: 0,
                former: None,
            },
            rate: Rate::per(count, Duration::from_secs(600)),
            want: 1,
            short: Short::Refuse,
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000)
    }

    #[test]
    fn a_tenth_of_the_rate_goes_through_and_at_least_one() {
        let fallback = Fallback::default();
        let through = |n, count| {
            let mut times = (0..1000).take_while(|_| {
                matches!(
                    fallback.draw(&[charge(n, count)], now()),
                    Some(Drawn::Taken(_))
                )
            });
            times.by_ref().count()
        };
        assert_eq!((through(1, 100), through(2, 5)), (10, 1));
        let refused = Some(Drawn::Refused {
            place: 0,
            retry_after: Duration::from_secs(60),
        });
        assert_eq!(
            fallback.draw(&[charge(1, 100)], now()),
            refused,
            "one in ten times the interval"
        );
    }

    #[test]
    fn all_are_drawn_or_none() {
        let fallback = Fallback::default();
        let taken =
            |charges: &[Charge]| matches!(fallback.draw(charges, now()), Some(Drawn::Taken(_)));
        assert!(taken(&[charge(1, 5)]));
        assert!(!taken(&[charge(2, 5), charge(1, 5)]));
        assert!(taken(&[charge(2, 5)]), "the refused draw took nothing");
    }

    #[test]
    fn without_room_nothing_goes_through_until_buckets_are_full_again() {
        let fallback = Fallback::default();
        for n in 0..u32::try_from(BUCKETS_MAX).unwrap() {
            assert!(fallback.draw(&[charge(n, 5)], now()).is_some());
        }
        assert_eq!(fallback.draw(&[charge(u32::MAX, 5)], now()), None);
        assert!(
            fallback
                .draw(
                    &[charge(u32::MAX, 5)],
                    now().plus(Duration::from_secs(1200))
                )
                .is_some()
        );
    }
}

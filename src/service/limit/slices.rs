//! Slices of the quotas that many calls share: a process draws several units at once and then spends them locally.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::domain::{
    crypto::keyring::Mark,
    limit::rate::Rate,
    time::{Timestamp, micros},
};

/// The largest number of slices in a process. They are for callers, tenants and countries, so there are few; beyond
/// the limit every unit is drawn from the store.
const SLICES_MAX: usize = 4096;

/// A slice that was not used for this long is dropped, with what is left in it.
const IDLE: Duration = Duration::from_secs(3600);

/// The shortest time between two searches for unused slices.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);

/// The size of a slice: a hundredth of the limit, rounded up (the limit is `burst + 1`), or the refill of one second,
/// whichever is less, but at least one. A slice of one means that every unit is drawn from the store.
fn size(rate: Rate) -> u32 {
    let hundredth = (rate.burst / 100).saturating_add(1);
    let a_second = 1_000_000_u64
        .checked_div(micros(rate.interval))
        .unwrap_or(u64::MAX);
    hundredth
        .min(u32::try_from(a_second).unwrap_or(u32::MAX))
        .max(1)
}

/// The owner of a bucket, and its slot.
type Place = (Mark, u8);

#[derive(Debug)]
struct Slice {
    left: u32,
    size: u32,
    /// Whether a call is already drawing a new slice. Other calls then draw one unit each, so that at most
    /// one slice is held.
    filling: bool,
    used_at: Timestamp,
}

#[derive(Debug, Default)]
struct Held {
    slices: HashMap<Place, Slice>,
    next_prune: Timestamp,
}

/// The slices of this process.
///
/// The store hands out units at the quota's own rate, so slices never raise the long-term rate. Over a short time they
/// shift spending: `k` processes may spend up to `k` slices later than they drew them, which is up to `k` slices more
/// than the rate in one period; and while they hold slices, a process may be refused up to `k - 1` slices early. A
/// process that ends loses its slices. Since a slice is at most a hundredth of the limit, rounded up, ten processes
/// stay within about a tenth; a slice of an hourly quota is one second's refill, so a hundred processes
/// stay within three hundredths.
#[derive(Debug, Default)]
pub(super) struct Slices(Mutex<Held>);

impl Slices {
    fn lock(&self) -> MutexGuard<'_, Held> {
        // Each change is a single assignment, so a panic cannot leave one half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the draws of one call.
    pub(super) fn hold(&self, now: Timestamp) -> Hold<'_> {
        Hold {
            slices: self,
            now,
            taken: Vec::new(),
            filling: Vec::new(),
        }
    }
}

impl Held {
    /// The slice of a bucket, made if necessary; `None` if there are too many.
    fn slice(&mut self, bucket: Place, size: u32, now: Timestamp) -> Option<&mut Slice> {
        if self.slices.len() >= SLICES_MAX && !self.slices.contains_key(&bucket) {
            if now >= self.next_prune {
                self.slices
                    .retain(|_, slice| slice.filling || now.since(slice.used_at) < IDLE);
                self.next_prune = now.plus(PRUNE_INTERVAL);
            }
            if self.slices.len() >= SLICES_MAX {
                return None;
            }
        }
        let slice = self.slices.entry(bucket).or_insert(Slice {
            left: 0,
            size,
            filling: false,
            used_at: now,
        });
        slice.used_at = now;
        Some(slice)
    }
}

/// The units that one call took from slices, until the store has answered for its other draws. If the call is dropped
/// before that, the units are lost.
pub(super) struct Hold<'a> {
    slices: &'a Slices,
    now: Timestamp,
    taken: Vec<Place>,
    filling: Vec<Place>,
}

impl Hold<'_> {
    /// Takes one unit from the slice of a bucket; returns how many to draw from the store, 0 if the slice had one.
    pub(super) fn take(&mut self, bucket: Place, rate: Rate) -> u32 {
        let size = size(rate);
        if size == 1 {
            return 1;
        }
        let mut held = self.slices.lock();
        let Some(slice) = held.slice(bucket, size, self.now) else {
            return 1;
        };
        if slice.left > 0 {
            slice.left -= 1;
            self.taken.push(bucket);
            0
        } else if slice.filling {
            1
        } else {
            slice.filling = true;
            self.filling.push(bucket);
            size
        }
    }

    /// Adds units that the store handed out, perhaps fewer than asked for: one is for this call, the others
    /// are for the slice.
    pub(super) fn fill(&mut self, bucket: Place, count: u32) {
        let Some(at) = self.filling.iter().position(|filling| *filling == bucket) else {
            return;
        };
        self.filling.swap_remove(at);
        if let Some(slice) = self.slices.lock().slices.get_mut(&bucket) {
            slice.left = slice
                .size
                .min(slice.left.saturating_add(count.saturating_sub(1)));
            slice.filling = false;
        }
    }

    /// Returns this call's units to their slices, because the store refused another quota. A slice never
    /// grows beyond its size.
    pub(super) fn put_back(&mut self) {
        let mut held = self.slices.lock();
        for bucket in self.taken.drain(..) {
            if let Some(slice) = held.slices.get_mut(&bucket) {
                slice.left = slice.size.min(slice.left + 1);
            }
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut held = self.slices.lock();
        for bucket in self.filling.drain(..) {
            if let Some(slice) = held.slices.get_mut(&bucket) {
                slice.filling = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rate whose slice is ten units.
    const RATE: Rate = Rate {
        interval: Duration::from_millis(100),
        burst: 9999,
    };
    const BUCKET: Place = ([7; 16], 2);

    fn now() -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000)
    }

    #[test]
    fn a_slice_is_the_lesser_of_a_hundredth_and_a_second() {
        let of = |count, seconds| size(Rate::per(count, Duration::from_secs(seconds)));
        assert_eq!(
            (of(1000, 1), of(100_000, 3600), of(1_000_000, 1)),
            (10, 27, 10_000)
        );
        assert_eq!(
            (of(5, 600), of(99, 1), of(10_000, 3600)),
            (1, 1, 2),
            "at least one"
        );
    }

    #[test]
    fn one_draw_of_the_store_serves_a_slice_of_calls() {
        let slices = Slices::default();
        let mut first = slices.hold(now());
        assert_eq!(first.take(BUCKET, RATE), 10);
        assert_eq!(
            slices.hold(now()).take(BUCKET, RATE),
            1,
            "meanwhile another asks for its own one"
        );
        first.fill(BUCKET, 10);
        for _ in 0..9 {
            assert_eq!(slices.hold(now()).take(BUCKET, RATE), 0);
        }
        assert_eq!(
            slices.hold(now()).take(BUCKET, RATE),
            10,
            "and then the store is asked again"
        );
    }

    #[test]
    fn fewer_than_asked_for_are_used() {
        let slices = Slices::default();
        let mut hold = slices.hold(now());
        hold.take(BUCKET, RATE);
        hold.fill(BUCKET, 3);
        assert_eq!(
            [(); 3].map(|()| slices.hold(now()).take(BUCKET, RATE)),
            [0, 0, 10]
        );
    }

    #[test]
    fn what_a_refused_call_took_goes_back_and_what_a_lost_one_took_does_not() {
        let slices = Slices::default();
        let mut hold = slices.hold(now());
        hold.take(BUCKET, RATE);
        hold.fill(BUCKET, 3);
        drop(hold);
        let mut refused = slices.hold(now());
        assert_eq!(refused.take(BUCKET, RATE), 0);
        refused.put_back();
        drop(refused);
        assert_eq!(slices.lock().slices[&BUCKET].left, 2, "it is there again");
        let mut lost = slices.hold(now());
        assert_eq!(lost.take(BUCKET, RATE), 0);
        drop(lost);
        assert_eq!(slices.lock().slices[&BUCKET].left, 1, "it is not");
        assert_eq!(slices.hold(now()).take(BUCKET, RATE), 0);
        assert_eq!(slices.hold(now()).take(BUCKET, RATE), 10);
        assert_eq!(
            slices.hold(now()).take(BUCKET, RATE),
            10,
            "a filling that was given up is begun by the next"
        );
    }

    #[test]
    fn no_more_than_one_slice_is_held_even_when_calls_put_back() {
        let slices = Slices::default();
        let fill = || {
            let mut hold = slices.hold(now());
            hold.take(BUCKET, RATE);
            hold.fill(BUCKET, 10);
        };
        fill();
        let mut waiting: Vec<_> = (0..9).map(|_| slices.hold(now())).collect();
        assert!(waiting.iter_mut().all(|hold| hold.take(BUCKET, RATE) == 0));
        fill();
        waiting.iter_mut().for_each(Hold::put_back);
        assert_eq!(slices.lock().slices[&BUCKET].left, 10);
    }

    #[test]
    fn slices_are_bounded_and_idle_ones_give_way() {
        let slices = Slices::default();
        let bucket = |n: usize| {
            let mut bucket = [0; 16];
            bucket[..8].copy_from_slice(&n.to_be_bytes());
            (bucket, 0)
        };
        let fill = |n: usize, at: Timestamp| {
            let mut hold = slices.hold(at);
            let want = hold.take(bucket(n), RATE);
            hold.fill(bucket(n), want);
            want
        };
        for n in 0..SLICES_MAX {
            assert_eq!(fill(n, now()), 10);
        }
        assert_eq!(fill(SLICES_MAX, now()), 1, "no slice for one more");
        assert_eq!(slices.lock().slices.len(), SLICES_MAX);
        assert_eq!(
            fill(SLICES_MAX, now().plus(IDLE)),
            10,
            "the idle ones are gone"
        );
        assert_eq!(slices.lock().slices.len(), 1);
    }

    #[test]
    fn threads_that_share_a_slice_spend_what_was_drawn_and_no_more() {
        let (slices, drawn, spent) = (
            Slices::default(),
            std::sync::atomic::AtomicU32::new(0),
            8 * 1000,
        );
        let count = |by: u32| drawn.fetch_add(by, std::sync::atomic::Ordering::SeqCst);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let mut hold = slices.hold(now());
                        let want = hold.take(BUCKET, RATE);
                        count(want);
                        hold.fill(BUCKET, want);
                    }
                });
            }
        });
        let left = slices.lock().slices[&BUCKET].left;
        assert_eq!(
            drawn.into_inner(),
            spent + left,
            "each call has one of its own"
        );
        assert!(left < 10, "and no more than one slice is held: {left}");
    }
}

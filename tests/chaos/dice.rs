//! Seeded randomness: the same seed repeats every choice.

use std::time::Duration;

/// `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    /// One of several independent sequences from the same seed.
    pub fn new(seed: u64, number: u64) -> Self {
        let mut dice = Self(seed ^ number.wrapping_mul(0xa076_1d64_78bd_642f));
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A random number below this one.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 16).expect("48 bits fit") % end
    }

    pub fn millis(&mut self, from: usize, to: usize) -> Duration {
        Duration::from_millis((from + self.below(to - from)) as u64)
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

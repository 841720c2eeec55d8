//! What is asked of quotas: draws, returns, and the answers.

use std::time::Duration;

use crate::domain::limit::rate::Rate;

/// One draw from a quota.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Names the bucket: a keyed hash of what is limited.
    pub bucket: [u8; 16],
    /// The rate at which the bucket fills, and its size.
    pub rate: Rate,
    /// The amount wanted: at most this much is taken, less if the bucket holds less.
    pub want: u32,
    /// The least amount that is of use; at least 1.
    pub least: u32,
    /// What happens to all draws if the bucket holds less than `least`.
    pub short: Short,
}

/// What happens to all draws if one bucket holds less than its least amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// None of them is made.
    Refuse,
    /// Nothing is taken from this bucket, and the other draws are made as if it were not there.
    Skip,
}

impl Draw {
    /// Draws one from a bucket, or is refused.
    #[must_use]
    pub const fn one(bucket: [u8; 16], rate: Rate) -> Self {
        Self::some(bucket, rate, 1)
    }

    /// Draws up to `want` from a bucket, or is refused if it is empty.
    #[must_use]
    pub const fn some(bucket: [u8; 16], rate: Rate, want: u32) -> Self {
        Self {
            bucket,
            rate,
            want,
            least: 1,
            short: Short::Refuse,
        }
    }

    /// Draws exactly `count` from a bucket, or is refused.
    #[must_use]
    pub const fn whole(bucket: [u8; 16], rate: Rate, count: u32) -> Self {
        Self {
            least: count,
            ..Self::some(bucket, rate, count)
        }
    }
}

/// What is given back to a bucket.
#[derive(Clone, Copy, Debug)]
pub struct Return {
    /// Names the bucket.
    pub bucket: [u8; 16],
    /// The rate at which the bucket fills, and its size.
    pub rate: Rate,
    /// The amount given back.
    pub count: u32,
    /// How much more than full the bucket may be afterwards.
    pub reserve: u32,
}

/// The answer to several draws.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Drawn {
    /// Amount taken per draw: 0 if skipped, else between `least` and `want`.
    Taken(Vec<u32>),
    /// One bucket holds less than its least amount, so nothing was taken.
    Refused {
        /// The index of the first such draw.
        place: usize,
        /// When its bucket will hold enough.
        retry_after: Duration,
    },
}

//! Draws from quotas, returns to them, and their results.
//!
//! A quota's bucket is a slot of its owner: of what is limited, such as one recipient. The buckets of an owner are stored
//! together, eight bytes a slot, and forgotten together once all of them are full.

use std::time::Duration;

use crate::domain::limit::rate::Rate;

/// One draw from a quota.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// The owner's name: a keyed hash of what is limited.
    pub owner: [u8; 16],
    /// The number of the bucket among those of its owner, below 255.
    pub slot: u8,
    /// The name under which version 0.1 stored the bucket by itself. A bucket that was not drawn from since continues
    /// there, if its former name lies in the same slot of a cluster.
    pub former: Option<[u8; 16]>,
    /// The rate at which the bucket fills, and its size.
    pub rate: Rate,
    /// The amount wanted: at most this much is taken, less if the bucket holds less.
    pub want: u32,
    /// The smallest useful amount; at least 1.
    pub least: u32,
    /// What to do if the bucket holds less than `least`.
    pub short: Short,
}

/// What to do if one bucket of several holds less than its `least`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// Make none of the draws.
    Refuse,
    /// Take nothing from this bucket nor from any other that may be skipped, and make the other draws as if they were not
    /// there. The answer is 0 for the buckets that hold less, and for the others what would have been taken. (On a Redis
    /// Cluster those of one slot go together.)
    Skip,
}

impl Draw {
    /// Draws 1 from the first bucket of an owner; refused if it is empty.
    #[must_use]
    pub const fn one(owner: [u8; 16], rate: Rate) -> Self {
        Self::some(owner, rate, 1)
    }

    /// Draws up to `want` from the first bucket of an owner; refused if it is empty.
    #[must_use]
    pub const fn some(owner: [u8; 16], rate: Rate, want: u32) -> Self {
        Self {
            owner,
            slot: 0,
            former: None,
            rate,
            want,
            least: 1,
            short: Short::Refuse,
        }
    }

    /// Draws exactly `count` from the first bucket of an owner; refused if it holds less.
    #[must_use]
    pub const fn whole(owner: [u8; 16], rate: Rate, count: u32) -> Self {
        Self {
            least: count,
            ..Self::some(owner, rate, count)
        }
    }

    /// The amounts to draw: at most the first, and at least the second.
    #[must_use]
    pub fn amounts(&self) -> (u32, u32) {
        let least = self.least.max(1);
        (self.want.max(least), least)
    }
}

/// An amount that is returned to a bucket.
#[derive(Clone, Copy, Debug)]
pub struct Return {
    /// The owner's name: a keyed hash of what is limited.
    pub owner: [u8; 16],
    /// The number of the bucket among those of its owner, below 255.
    pub slot: u8,
    /// The name under which version 0.1 stored the bucket, as in [`Draw`].
    pub former: Option<[u8; 16]>,
    /// The rate at which the bucket fills, and its size.
    pub rate: Rate,
    /// The amount to return.
    pub count: u32,
    /// By how much the bucket may exceed its limit afterwards.
    pub reserve: u32,
}

/// The result of several draws.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Drawn {
    /// Amount taken per draw: 0 if skipped, else between `least` and `want`.
    Taken(Vec<u32>),
    /// One bucket holds less than its least amount, so nothing was taken.
    Refused {
        /// The index of the first draw that failed.
        place: usize,
        /// How long until its bucket holds enough.
        retry_after: Duration,
    },
}

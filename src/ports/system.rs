//! The clock and the generator of randomness.

use std::time::Duration;

use async_trait::async_trait;

use super::store::Complaint;
use crate::domain::time::Timestamp;

/// Tells the time, and waits for a later one.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time now; never goes backwards within a process.
    fn now(&self) -> Timestamp;

    /// Returns once `now()` is `span` later than it is. May return at once if the clock is moved by hand.
    async fn sleep(&self, span: Duration);

    /// What operators should know of this clock now.
    fn complaints(&self) -> Vec<Complaint> {
        Vec::new()
    }
}

/// Gives random bytes that nobody can guess.
pub trait Entropy: Send + Sync {
    /// Fills the whole slice with fresh random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// A fresh array of random bytes.
pub fn fresh<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}

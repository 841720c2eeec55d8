//! The system clock and the source of randomness.

use std::time::Duration;

use async_trait::async_trait;

use super::store::Complaint;
use crate::domain::time::Timestamp;

/// A source of time, which can also wait.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The current time; never goes backwards within a process.
    fn now(&self) -> Timestamp;

    /// Waits until `now()` has advanced by `span`. With a manual clock it may return at once.
    async fn sleep(&self, span: Duration);

    /// The degraded conditions that this clock knows of; by default none.
    fn complaints(&self) -> Vec<Complaint> {
        Vec::new()
    }
}

/// A source of random bytes that nobody can predict.
pub trait Entropy: Send + Sync {
    /// Fills the whole slice with new random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// A new array of random bytes.
pub fn fresh<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}

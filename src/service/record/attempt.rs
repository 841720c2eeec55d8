//! The loop of every compare-and-swap: an attempt is repeated while others are faster, a bounded number of times.

use crate::service::failure::Failure;

/// One change of a record, which can be tried again.
pub(super) trait Attempt {
    /// The result of a change that was carried out.
    type Output;

    /// Tries once. `None`: others changed the record meanwhile, so that it must be tried again on fresh state.
    fn once(&mut self) -> impl Future<Output = Result<Option<Self::Output>, Failure>> + Send;
}

/// Tries until an attempt holds, at most `conflicts_max` times more than once.
pub(super) async fn carry_out<A: Attempt>(
    mut attempt: A,
    conflicts_max: usize,
) -> Result<A::Output, Failure> {
    for _ in 0..=conflicts_max {
        if let Some(output) = attempt.once().await? {
            return Ok(output);
        }
    }
    Err(Failure::Contention)
}

//! The loop around every compare-and-swap: a bounded number of attempts while others change the record first.

use crate::service::failure::Failure;

/// One change of a record, which can be attempted again.
pub(super) trait Swap {
    /// The result of a change that was carried out.
    type Output;

    /// Makes one attempt. `None`: others changed the record meanwhile, so it must be attempted again on fresh state.
    fn once(&mut self) -> impl Future<Output = Result<Option<Self::Output>, Failure>> + Send;
}

/// Makes attempts until one succeeds, at most `conflicts_max` after the first.
pub(super) async fn retry_on_conflict<A: Swap>(
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

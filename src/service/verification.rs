//! The use cases of a verification, one verb a file. Reading one is here.

pub mod cancel;
pub mod check;
pub(super) mod explain;
pub mod link;
pub mod resend;
pub(super) mod screen;
pub mod start;
pub mod watch;

use super::{Service, failure::Failure};
use crate::domain::{
    caller::Caller,
    decide::{Snapshot, Target, get},
    ids::VerificationId,
};

/// A verification, and the time at which it was read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The verification, with the earliest time for the next guess.
    pub snapshot: Snapshot,
    /// The time of the reading, by which expiry is judged.
    pub now: crate::domain::time::Now,
}

impl Service {
    /// Reads a verification without changing anything.
    ///
    /// # Errors
    /// [`Failure`] if it is unknown, belongs to another tenant, or cannot be read.
    pub async fn get(&self, caller: &Caller, id: VerificationId) -> Result<Reading, Failure> {
        let target = target(caller, id);
        let loaded = self.records.read(&id.subject).await?;
        let cx = self.records.context(&loaded);
        let snapshot = get(loaded.record, &target, &cx)?;
        Ok(Reading {
            snapshot,
            now: cx.now,
        })
    }
}

/// The verification, with the tenant and name of its caller.
fn target(caller: &Caller, id: VerificationId) -> Target {
    Target {
        tenant: caller.tenant.clone(),
        caller: caller.name.clone(),
        id,
    }
}

//! The use cases of a verification, one verb a file, and reading one.

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
    decide::{Standing, Target, get},
    ids::VerificationId,
};

/// A verification as it stands, and the time at which it was read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// How it stands.
    pub standing: Standing,
    /// When it was read: expiry is judged by it.
    pub now: crate::domain::time::Now,
}

impl Service {
    /// Reads a verification.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn get(&self, caller: &Caller, id: VerificationId) -> Result<Reading, Failure> {
        let target = target(caller, id);
        let loaded = self.records.read(&id.subject).await?;
        let cx = self.records.context(&loaded);
        let standing = get(loaded.record, &target, &cx)?;
        Ok(Reading {
            standing,
            now: cx.now,
        })
    }
}

/// Whose verification, by whom.
fn target(caller: &Caller, id: VerificationId) -> Target {
    Target {
        tenant: caller.tenant.clone(),
        caller: caller.name.clone(),
        id,
    }
}

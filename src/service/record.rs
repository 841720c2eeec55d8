//! Records: load, decide, commit once; what is kept beside them, and their events.

pub mod audit;
pub(super) mod journal;
pub(super) mod side;
pub(super) mod transact;
pub mod vault;

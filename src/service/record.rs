//! Records: load, decide, commit once; side records, events, and records that cannot be opened.

pub mod audit;
pub mod quarantine;
pub(super) mod side;
pub(super) mod transact;
pub mod usage;
pub mod vault;

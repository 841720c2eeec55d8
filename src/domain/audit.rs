//! The audit trail of all decisions.

pub mod event;

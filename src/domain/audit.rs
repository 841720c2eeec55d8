//! The audit trail: one event for each decision.

pub mod event;
pub mod refusals;

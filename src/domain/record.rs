//! The records that the store keeps: one per subject, and side records of the fleet.

pub mod side;
pub mod subject;

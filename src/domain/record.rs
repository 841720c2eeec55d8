//! The records that the store keeps: one per subject, and side records that all processes share.

pub mod key;
pub mod side;
pub mod subject;

//! The records in the store: one per subject, and side records shared by all processes.

pub mod key;
pub mod side;
pub mod subject;

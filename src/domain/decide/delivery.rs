//! Commands on deliveries: what is due, how a hand-over ended, what a provider reported.

pub(super) mod lease;
mod plan;
mod receipt;
mod report;
mod tick;

pub use receipt::{NoteReceipt, Noted, receipt};
pub use report::{Report, report};
pub use tick::{Tick, Work, tick, wake};

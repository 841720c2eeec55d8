//! Commands on deliveries: doing what is due, reporting a hand-over, noting a provider's receipt.

pub(super) mod lease;
mod plan;
mod receipt;
mod report;
mod tick;

pub use receipt::{NoteReceipt, Noted, receipt};
pub use report::{Report, report};
pub use tick::{Tick, Work, tick, wake};

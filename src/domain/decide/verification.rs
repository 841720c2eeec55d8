//! Commands on a verification: start, check, look at and follow a link, resend, cancel.

mod cancel;
mod check;
mod follow;
mod given;
mod judge;
mod look;
mod resend;
mod start;

pub use cancel::{Cancel, CancelReason, cancel};
pub use check::{Check, check, guess_counts_for};
pub use follow::{Follow, Pressed, follow};
pub use judge::{Checked, Verdict};
pub use look::{Looked, look};
pub use resend::{Resend, resend};
pub use start::{Start, start};

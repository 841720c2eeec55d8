//! Commands on a verification: start, check, follow a link, resend, cancel.

mod cancel;
mod check;
mod follow;
mod given;
mod judge;
mod resend;
mod start;

pub use cancel::{Cancel, CancelReason, cancel};
pub use check::{Check, check, guess_counts_for};
pub use follow::{Follow, Pressed, follow};
pub use judge::{Checked, Verdict};
pub use resend::{Resend, resend};
pub use start::{Start, start};

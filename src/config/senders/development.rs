//! `kind = "console"` and `kind = "outbox"`: senders of the development profile, without settings.

use super::{ConfiguredSender, Section};
use crate::sender::development::{console::Console, outbox::OutboxSettings};

#[expect(clippy::unnecessary_wraps, reason = "a row of the table of kinds")]
pub(super) fn console(_section: &mut Section<'_>) -> Option<ConfiguredSender> {
    Some(ConfiguredSender::silent(Console))
}

#[expect(clippy::unnecessary_wraps, reason = "a row of the table of kinds")]
pub(super) fn outbox(_section: &mut Section<'_>) -> Option<ConfiguredSender> {
    Some(ConfiguredSender::silent(OutboxSettings))
}

//! `kind = "console"` and `kind = "outbox"`: senders of the development profile, without settings.

use super::{ConfiguredSender, Section};
use crate::sender::development::{console::Console, outbox::OutboxSettings};

pub(super) fn console(_section: &mut Section<'_>) -> ConfiguredSender {
    ConfiguredSender::silent(Console)
}

pub(super) fn outbox(_section: &mut Section<'_>) -> ConfiguredSender {
    ConfiguredSender::silent(OutboxSettings)
}

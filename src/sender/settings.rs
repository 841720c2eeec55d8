//! What the settings of all senders have in common: the channels they carry, how a sender is built,
//! and their errors.

use std::{any::Any, fmt, sync::Arc};

use crate::{
    domain::recipient::Channel,
    ports::{
        sender::{Sender, outbox::Outbox, receipts::Receipts},
        system::{Clock, Entropy},
    },
};

/// The settings of one sender, with its secrets already read. Every sender has its own settings
/// type, so that adding a sender changes only one list of senders, that of the settings reader.
pub trait SenderSettings: Any + fmt::Debug + Send + Sync {
    /// Whether the sender can carry messages of this channel.
    fn carries(&self, channel: Channel) -> bool;

    /// The keys that are missing before the sender could carry this channel; `None` if no key would help.
    fn missing_for(&self, _channel: Channel) -> Option<String> {
        None
    }

    /// Whether people other than the recipient can see the codes, so that production must refuse the sender.
    fn shows_codes(&self) -> bool {
        false
    }

    /// Settings that are permitted but look wrong. Blocks for a moment.
    fn warnings(&self) -> Vec<SettingError> {
        Vec::new()
    }

    /// Builds the sender. Reads the files of certificate authorities, so it blocks; never opens a connection.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    fn build(&self, parts: &SenderParts) -> Result<Arc<dyn Sender>, SettingError>;

    /// All settings that cannot be used. Blocks as [`Self::build`] does.
    fn problems(&self, parts: &SenderParts) -> Vec<SettingError> {
        self.build(parts).err().into_iter().collect()
    }
}

/// The parts of this process that senders use.
#[derive(Clone)]
pub struct SenderParts {
    /// The service's clock, for signatures and token lifetimes.
    pub clock: Arc<dyn Clock>,
    /// The service's source of randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The queue for receipts that arrive over a sender's own connection.
    pub receipts: Receipts,
    /// The development outbox; `None` in production.
    pub outbox: Option<Arc<Outbox>>,
}

/// A setting that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}")]
pub struct SettingError {
    /// The key within the sender's section, as the operator writes it; empty for the section as a whole.
    pub key: String,
    /// The problem and what to do, as the end of a sentence that begins with the key.
    /// Never contains a secret.
    pub problem: String,
}

impl SettingError {
    pub(in crate::sender) fn new(key: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self {
            key: key.into(),
            problem: problem.to_string(),
        }
    }
}

/// Errors of several parts of a sender, without repeats: some settings are used by more than one part.
pub(in crate::sender) fn distinct(
    errors: impl IntoIterator<Item = Option<SettingError>>,
) -> Vec<SettingError> {
    let mut distinct: Vec<SettingError> = Vec::new();
    for error in errors.into_iter().flatten() {
        if !distinct.contains(&error) {
            distinct.push(error);
        }
    }
    distinct
}

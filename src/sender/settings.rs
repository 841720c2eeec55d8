//! What all senders' settings have in common: what they carry, how a sender is built from them, and what can be wrong.

use std::{any::Any, fmt, sync::Arc};

use crate::{
    domain::recipient::Channel,
    ports::{
        sender::{Sender, outbox::Outbox, receipts::Receipts},
        system::{Clock, Entropy},
    },
};

/// The settings of one sender, with its secrets already read. Every sender has a settings type of its own, so adding a
/// sender changes no list of all senders but the one of the settings reader.
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

    /// Builds the sender. Reads the files of certificate authorities, so it blocks; never opens a connection.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    fn build(&self, means: &Means) -> Result<Arc<dyn Sender>, SettingError>;
}

/// What senders use of this process.
#[derive(Clone)]
pub struct Means {
    /// The service's clock, for signatures and token lifetimes.
    pub clock: Arc<dyn Clock>,
    /// The service's source of randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where a sender puts the receipts that arrive over its own connection.
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
    /// The problem and the cure, as the end of a sentence that begins with the key. Never contains a secret.
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

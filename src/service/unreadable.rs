//! Stored records that cannot be opened: the cause, and what is needed to leave them unchanged.

use crate::{
    domain::crypto::{
        keyring::Kid,
        seal::{self, SealError},
    },
    ports::store::{Blob, Token},
};

/// Why stored bytes cannot be opened. Operators see the cause; callers get `RECORD_UNREADABLE` alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The seal does not open: a key that is not in the ring, or bytes that were changed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The seal opens, but this version cannot decode what is in it.
    #[error("stored {0} is not understood by this version")]
    Content(&'static str),
    /// The record key is of a kind that this version does not know.
    #[error("stored record is of a kind that this version does not know")]
    Kind,
    /// The value at the record's key in the store is not a record.
    #[error("stored value is no record")]
    Foreign,
}

/// A stored record that cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Unreadable {
    /// The compare token of the record; `None` if the value has none.
    pub token: Option<Token>,
    /// The id of the key that it is sealed with; `None` if the bytes name none.
    pub kid: Option<Kid>,
    /// Why it cannot be opened.
    pub cause: VaultError,
}

impl Unreadable {
    /// Describes a blob that cannot be opened.
    #[must_use]
    pub fn new(blob: &Blob, cause: VaultError) -> Self {
        Self {
            token: Some(blob.token),
            kid: seal::key_id(&blob.bytes),
            cause,
        }
    }

    /// Describes a value that is not a record.
    #[must_use]
    pub fn foreign() -> Self {
        Self {
            token: None,
            kid: None,
            cause: VaultError::Foreign,
        }
    }
}

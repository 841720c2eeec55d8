//! Why stored bytes cannot be opened, and what is needed to leave them alone.

use crate::{
    domain::crypto::{
        keyring::Kid,
        seal::{self, SealError},
    },
    ports::store::{Blob, Token},
};

/// Stored bytes cannot be used. What is wrong with them is not told to callers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The seal does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It opens, but this version does not understand its content.
    #[error("stored {0} is not understood by this version")]
    Content(&'static str),
    /// Its key is of a kind that this version does not know.
    #[error("stored record is of a kind that this version does not know")]
    Kind,
    /// The store holds something at its key that is no record at all.
    #[error("stored value is no record")]
    Foreign,
}

/// Why a stored record cannot be opened, and what is needed to leave it alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Unreadable {
    /// The compare token of the record; `None` if there is no value that could have one.
    pub token: Option<Token>,
    /// The id of the key that it is sealed with, if it says one.
    pub kid: Option<Kid>,
    /// What is wrong with it.
    pub cause: VaultError,
}

impl Unreadable {
    /// Of a blob that does not open.
    #[must_use]
    pub fn new(blob: &Blob, cause: VaultError) -> Self {
        Self {
            token: Some(blob.token),
            kid: seal::key_id(&blob.bytes),
            cause,
        }
    }

    /// Of a place where no record can be.
    #[must_use]
    pub fn foreign() -> Self {
        Self {
            token: None,
            kid: None,
            cause: VaultError::Foreign,
        }
    }
}

//! Turns records and events into sealed bytes and back: the store never sees what it keeps.

mod decode;
mod encode;
mod events;
mod sides;

use std::sync::Arc;

use prost::Message as _;

use crate::{
    domain::{
        audit::event::Event,
        crypto::{
            keyring::Keyring,
            seal::{self, SealContext},
        },
        ids::SubjectKey,
        record::subject::SubjectRecord,
    },
    pb::store as pb,
    ports::{
        store::{Blob, SealedEvent},
        system::{Entropy, fresh},
    },
    service::unreadable::VaultError,
};

pub use events::Line;

/// Salt for events of a subject without a record, such as a refusal about an unknown subject.
const NO_SALT: [u8; 16] = [0; 16];

/// Encodes and seals records and events, and opens them, with the keys of one ring.
#[derive(Clone)]
pub struct Vault {
    keyring: Arc<Keyring>,
    entropy: Arc<dyn Entropy>,
}

impl Vault {
    /// Seals with the current key of `keyring`, with nonces from `entropy`.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>, entropy: Arc<dyn Entropy>) -> Self {
        Self { keyring, entropy }
    }

    /// Seals a record under its version and a fresh nonce, which becomes its compare token.
    #[must_use]
    pub fn close(&self, key: &SubjectKey, record: &SubjectRecord) -> Blob {
        let token = fresh(&*self.entropy);
        let plain = encode::record(record).encode_to_vec();
        let bytes = seal::seal(
            &self.keyring,
            SealContext::Record(key),
            record.version,
            token,
            plain,
        );
        Blob {
            token,
            bytes: bytes.into(),
        }
    }

    /// Opens and decodes a record.
    ///
    /// # Errors
    /// [`VaultError`]; the state of the subject is then unknown, and nothing may be approved.
    pub fn open(&self, key: &SubjectKey, blob: &Blob) -> Result<SubjectRecord, VaultError> {
        let (version, plain) = seal::open(&self.keyring, SealContext::Record(key), &blob.bytes)?;
        let stored = pb::SubjectRecord::decode(plain.as_slice())
            .map_err(|_| VaultError::Content("record"))?;
        decode::record(stored, version, key, &self.keyring)
    }

    /// Seals an event under the salt of its record; without a record, under a salt of zeros.
    #[must_use]
    pub fn close_event(
        &self,
        key: &SubjectKey,
        salt: Option<&[u8; 16]>,
        event: &Event,
    ) -> SealedEvent {
        let plain = events::encode(event).encode_to_vec();
        seal::seal(
            &self.keyring,
            SealContext::Event(key, salt.unwrap_or(&NO_SALT)),
            0,
            fresh(&*self.entropy),
            plain,
        )
    }

    /// Opens and decodes an event.
    ///
    /// # Errors
    /// [`VaultError`]; also once the record, and so its salt, is deleted.
    pub fn open_event(
        &self,
        key: &SubjectKey,
        salt: Option<&[u8; 16]>,
        sealed: &SealedEvent,
    ) -> Result<Line, VaultError> {
        let (_, plain) = seal::open(
            &self.keyring,
            SealContext::Event(key, salt.unwrap_or(&NO_SALT)),
            sealed,
        )?;
        let stored =
            pb::Event::decode(plain.as_slice()).map_err(|_| VaultError::Content("event"))?;
        Ok(events::line(stored))
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

//! The key of a stored record: its kind, and a keyed hash.

use std::{cmp::Ordering, fmt};

use super::side::SideKind;
use crate::domain::{crypto::keyring::Keyring, ids::SubjectKey};

/// The length of a key as bytes: one letter for the kind, then the hash.
pub const RECORD_KEY_BYTES: usize = 17;

/// What a record contains. The kind is part of the key, so that it never has to be guessed from the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// Everything remembered about one subject.
    Subject,
    /// A side record, shared by all processes for a limited time.
    Side(SideKind),
    /// A kind that this version does not know, written by a newer one.
    Unknown(UnknownKind),
}

/// The letter of a kind that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnknownKind(u8);

/// These letters are stored, so none may ever change its meaning.
const SUBJECT: u8 = b'r';
const BREAKER: u8 = b'b';
const DELIVERY: u8 = b'd';
const TALLY: u8 = b'g';

impl RecordKind {
    /// The kind for a stored letter.
    #[must_use]
    pub const fn from_letter(letter: u8) -> Self {
        match letter {
            SUBJECT => Self::Subject,
            BREAKER => Self::Side(SideKind::Breaker),
            DELIVERY => Self::Side(SideKind::Delivery),
            TALLY => Self::Side(SideKind::Tally),
            other => Self::Unknown(UnknownKind(other)),
        }
    }

    /// The letter that is stored for the kind.
    #[must_use]
    pub const fn letter(self) -> u8 {
        match self {
            Self::Subject => SUBJECT,
            Self::Side(SideKind::Breaker) => BREAKER,
            Self::Side(SideKind::Delivery) => DELIVERY,
            Self::Side(SideKind::Tally) => TALLY,
            Self::Unknown(UnknownKind(letter)) => letter,
        }
    }

    /// The name used in logs, metrics and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Side(SideKind::Breaker) => "breaker",
            Self::Side(SideKind::Delivery) => "delivery",
            Self::Side(SideKind::Tally) => "tally",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// The key of a stored record. Records of different kinds are different records, even with equal hashes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordKey {
    /// The kind of the record.
    pub kind: RecordKind,
    /// A keyed hash, which reveals nothing without the key.
    pub hash: [u8; 16],
}

impl RecordKey {
    /// The key of the side record for what these fields identify.
    #[must_use]
    pub fn side(keyring: &Keyring, kind: SideKind, fields: &[&[u8]]) -> Self {
        // The labels are part of the hash, so they must never change.
        let label = match kind {
            SideKind::Breaker => "breaker",
            SideKind::Delivery => "reference",
            SideKind::Tally => "guesses",
        };
        Self {
            kind: RecordKind::Side(kind),
            hash: keyring.side_hash(label, fields),
        }
    }

    /// The subject's key; `None` if the record is not a subject's.
    #[must_use]
    pub fn as_subject(&self) -> Option<SubjectKey> {
        match self.kind {
            RecordKind::Subject => Some(SubjectKey(self.hash)),
            RecordKind::Side(_) | RecordKind::Unknown(_) => None,
        }
    }

    /// The key under which version 0.1, which had no kinds, stored this record: among the subjects' records.
    #[must_use]
    pub const fn before_kinds(self) -> Self {
        Self {
            kind: RecordKind::Subject,
            hash: self.hash,
        }
    }

    /// The key as bytes: the letter of the kind, then the hash.
    #[must_use]
    pub fn to_bytes(self) -> [u8; RECORD_KEY_BYTES] {
        let mut bytes = [self.kind.letter(); RECORD_KEY_BYTES];
        bytes[1..].copy_from_slice(&self.hash);
        bytes
    }

    /// Parses the bytes of a key. Never fails: any letter is a kind, known or unknown.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; RECORD_KEY_BYTES]) -> Self {
        let [letter, hash @ ..] = *bytes;
        Self {
            kind: RecordKind::from_letter(letter),
            hash,
        }
    }
}

impl From<SubjectKey> for RecordKey {
    fn from(subject: SubjectKey) -> Self {
        Self {
            kind: RecordKind::Subject,
            hash: subject.0,
        }
    }
}

/// Orders keys by their bytes, so that all engines return records due at the same time in the same order.
impl Ord for RecordKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.to_bytes().cmp(&other.to_bytes())
    }
}

impl PartialOrd for RecordKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), hex::encode(self.hash))
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::crypto::keyring::tests::ring;

    #[test]
    fn every_letter_is_one_kind_and_every_kind_one_letter() {
        for letter in 0..=u8::MAX {
            assert_eq!(RecordKind::from_letter(letter).letter(), letter);
        }
        for (kind, letter) in [
            (RecordKind::Subject, b'r'),
            (RecordKind::Side(SideKind::Breaker), b'b'),
            (RecordKind::Side(SideKind::Delivery), b'd'),
            (RecordKind::Side(SideKind::Tally), b'g'),
        ] {
            assert_eq!(RecordKind::from_letter(letter), kind, "letters are stored");
        }
    }

    #[test]
    fn the_byte_form_is_the_letter_and_the_hash() {
        let key = RecordKey::from(SubjectKey([7; 16]));
        assert_eq!(
            key.to_bytes(),
            *b"r\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07"
        );
        for letter in [b'r', b'b', b'd', b'g', b'?'] {
            let mut bytes = [9; RECORD_KEY_BYTES];
            bytes[0] = letter;
            assert_eq!(RecordKey::from_bytes(&bytes).to_bytes(), bytes);
        }
    }

    #[test]
    fn equal_hashes_of_two_kinds_are_two_records() {
        let keyring = ring(1, &["a"]);
        let breaker = RecordKey::side(&keyring, SideKind::Breaker, &[b"mail"]);
        assert_ne!(breaker, breaker.before_kinds());
        assert_eq!(breaker.as_subject(), None);
        assert_eq!(
            breaker.before_kinds().as_subject(),
            Some(SubjectKey(breaker.hash))
        );
        assert_ne!(
            breaker.hash,
            RecordKey::side(&keyring, SideKind::Delivery, &[b"mail"]).hash
        );
    }
}

//! Seals what is stored: AES-256-GCM under a data key of its own for each record and each event.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::keyring::{Keyring, Kid, Mark};
use crate::domain::ids::SubjectKey;

/// The random part of a seal, and the compare token of the stored blob.
pub type SealNonce = [u8; 12];

const FORMAT: u8 = 1;
const HEADER_MAX: usize = 2 + 16 + 8 + 12;

/// What a seal is bound to.
#[derive(Clone, Copy, Debug)]
pub enum SealContext<'a> {
    /// A subject record.
    Record(&'a SubjectKey),
    /// An event of a record; without the record's salt it cannot be opened.
    Event(&'a SubjectKey, &'a [u8; 16]),
    /// A side record, by the hash of its key.
    Side(&'a Mark),
}

impl SealContext<'_> {
    /// The label of the data key, which is also part of the associated data.
    fn label(&self) -> Vec<u8> {
        match self {
            Self::Record(key) => [b"record".as_slice(), &key.0].concat(),
            Self::Event(key, salt) => [b"event/".as_slice(), &key.0, salt.as_slice()].concat(),
            Self::Side(hash) => [b"side/".as_slice(), hash.as_slice()].concat(),
        }
    }
}

/// The blob cannot be opened. One error for every cause but an unknown format: what was changed is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Written by a newer or foreign program.
    #[error("stored format {0} is unknown to this version")]
    UnknownFormat(u8),
    /// Cut, changed, moved, or sealed with a key that the ring does not hold.
    #[error("stored data cannot be opened")]
    Broken,
}

/// Seals `plain` with the current key; `nonce` must be fresh from the system's generator.
#[must_use]
pub fn seal(
    keyring: &Keyring,
    context: SealContext<'_>,
    version: u64,
    nonce: SealNonce,
    plain: Vec<u8>,
) -> Vec<u8> {
    let kid = keyring.current();
    let mut header = Vec::with_capacity(HEADER_MAX + plain.len() + AES_256_GCM.tag_len());
    header.push(FORMAT);
    header.push(u8::try_from(kid.as_str().len()).unwrap_or(u8::MAX));
    header.extend_from_slice(kid.as_str().as_bytes());
    header.extend_from_slice(&version.to_be_bytes());
    let label = context.label();
    let aad = [&header, label.as_slice()].concat();
    header.extend_from_slice(&nonce);
    let mut body = plain;
    // Cannot fail: the current key is in the ring, and no record is near the 64 GiB bound of GCM.
    data_key(keyring, kid, &label)
        .and_then(|key| {
            key.seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(&aad),
                &mut body,
            )
            .ok()
        })
        .expect("sealing a bounded record succeeds");
    header.append(&mut body);
    header
}

/// Opens a blob; gives its version and its content.
///
/// # Errors
/// [`SealError`]: any change, move or foreign key is a refusal, never a guess.
pub fn open(
    keyring: &Keyring,
    context: SealContext<'_>,
    blob: &[u8],
) -> Result<(u64, Vec<u8>), SealError> {
    let (&format, rest) = blob.split_first().ok_or(SealError::Broken)?;
    if format != FORMAT {
        return Err(SealError::UnknownFormat(format));
    }
    let (&kid_len, rest) = rest.split_first().ok_or(SealError::Broken)?;
    let (kid, rest) = rest
        .split_at_checked(usize::from(kid_len))
        .ok_or(SealError::Broken)?;
    let (version, rest) = rest.split_first_chunk::<8>().ok_or(SealError::Broken)?;
    let (nonce, body) = rest.split_first_chunk::<12>().ok_or(SealError::Broken)?;
    let label = context.label();
    let aad = [&blob[..2 + kid.len() + version.len()], &label].concat();
    let kid = std::str::from_utf8(kid)
        .ok()
        .and_then(|kid| keyring.find(kid))
        .ok_or(SealError::Broken)?;
    let key = data_key(keyring, kid, &label).ok_or(SealError::Broken)?;
    let mut body = body.to_vec();
    let plain_len = key
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(&aad),
            &mut body,
        )
        .map_err(|_| SealError::Broken)?
        .len();
    body.truncate(plain_len);
    Ok((u64::from_be_bytes(*version), body))
}

/// The id of the key that a blob says it is sealed with; `None` if it has no header of ours. Whether it opens is another
/// question.
#[must_use]
pub fn key_id(blob: &[u8]) -> Option<Kid> {
    let (&FORMAT, rest) = blob.split_first()? else {
        return None;
    };
    let (&kid_len, rest) = rest.split_first()?;
    let (kid, _) = rest.split_at_checked(usize::from(kid_len))?;
    Kid::parse(std::str::from_utf8(kid).ok()?).ok()
}

fn data_key(keyring: &Keyring, kid: &Kid, label: &[u8]) -> Option<LessSafeKey> {
    let secret = keyring.subkeys(kid)?.seal.expand(label);
    UnboundKey::new(&AES_256_GCM, &*secret)
        .ok()
        .map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::{super::keyring::tests::ring, *};

    const KEY: SubjectKey = SubjectKey([3; 16]);

    #[test]
    fn seal_01_a_moved_or_relabelled_blob_is_refused() {
        let keyring = ring(1, &["a"]);
        let blob = seal(
            &keyring,
            SealContext::Record(&KEY),
            7,
            [9; 12],
            b"hello".to_vec(),
        );
        assert_eq!(
            open(&keyring, SealContext::Record(&KEY), &blob),
            Ok((7, b"hello".to_vec()))
        );
        assert_eq!(
            open(&keyring, SealContext::Record(&SubjectKey([4; 16])), &blob),
            Err(SealError::Broken)
        );
        assert_eq!(
            open(&keyring, SealContext::Event(&KEY, &[0; 16]), &blob),
            Err(SealError::Broken)
        );
        assert_eq!(
            open(&keyring, SealContext::Side(&KEY.0), &blob),
            Err(SealError::Broken)
        );
        let mut older = blob.clone();
        older[2 + 1 + 7] = 6;
        assert_eq!(
            open(&keyring, SealContext::Record(&KEY), &older),
            Err(SealError::Broken),
            "another version"
        );
    }

    #[test]
    fn a_blob_says_which_key_it_is_sealed_with() {
        let keyring = ring(1, &["key-of-16-bytes-", "a"]);
        let blob = seal(&keyring, SealContext::Record(&KEY), 7, [9; 12], vec![]);
        let kid = Some(keyring.current().clone());
        assert_eq!(key_id(&blob), kid);
        assert_eq!(key_id(&blob[..18]), kid, "the beginning is enough");
        assert_eq!(key_id(&blob[..17]), None);
        for foreign in [
            &b""[..],
            &[FORMAT],
            &[FORMAT, 0],
            &[FORMAT, 1, b'A'],
            &[2, 1, b'a'],
        ] {
            assert_eq!(key_id(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn seal_02_two_records_have_two_keys() {
        let keyring = ring(1, &["a"]);
        let of = |key| seal(&keyring, SealContext::Record(&key), 1, [0; 12], vec![0; 32]);
        let (one, other) = (of(SubjectKey([1; 16])), of(SubjectKey([2; 16])));
        assert_ne!(
            one[one.len() - 48..one.len() - 16],
            other[other.len() - 48..other.len() - 16],
            "same nonce, other key stream"
        );
    }

    #[test]
    fn seal_09_one_changed_byte_is_a_refusal_and_no_panic() {
        let keyring = ring(1, &["a"]);
        let blob = seal(&keyring, SealContext::Record(&KEY), 7, [9; 12], vec![5; 40]);
        for at in 0..blob.len() {
            for bit in 0..8 {
                let mut changed = blob.clone();
                changed[at] ^= 1 << bit;
                let answer = open(&keyring, SealContext::Record(&KEY), &changed);
                assert_eq!(
                    answer,
                    Err(if at == 0 {
                        SealError::UnknownFormat(changed[0])
                    } else {
                        SealError::Broken
                    })
                );
            }
            assert!(
                open(&keyring, SealContext::Record(&KEY), &blob[..at]).is_err(),
                "cut at {at}"
            );
        }
    }

    #[test]
    fn an_older_key_of_the_ring_still_opens() {
        let older = ring(5, &["old"]);
        let blob = seal(&older, SealContext::Record(&KEY), 1, [0; 12], b"x".to_vec());
        // The helper gives the first id the byte 6: "new" takes 5 here so that "old" keeps its own.
        let both = ring(4, &["new", "old"]);
        assert_eq!(
            open(&both, SealContext::Record(&KEY), &blob),
            Ok((1, b"x".to_vec()))
        );
        assert!(
            seal(&both, SealContext::Record(&KEY), 1, [0; 12], vec![])
                .starts_with(&[FORMAT, 3, b'n', b'e', b'w'])
        );
        assert_eq!(
            open(&ring(8, &["new"]), SealContext::Record(&KEY), &blob),
            Err(SealError::Broken),
            "a dropped key"
        );
    }
}

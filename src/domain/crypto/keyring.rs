//! The keys of the service: one secret for names, a ring of master secrets, and a subkey for each use.

use std::{fmt, sync::Arc};

use aws_lc_rs::{hkdf, hmac};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::domain::ids::{Invalid, SubjectId, SubjectKey, TenantId};

/// The length of every secret: 256 bits.
pub const SECRET_BYTES: usize = 32;

/// A secret as read from its file; its memory is wiped when it is dropped.
pub type Secret = Zeroizing<[u8; SECRET_BYTES]>;

/// Whether two secrets are the same; the time it takes does not depend on them.
#[must_use]
pub fn is_same(one: &Secret, other: &Secret) -> bool {
    one.ct_eq(other.as_slice()).into()
}

/// The id of a master secret in the ring. It is stored with everything sealed under that secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid(Arc<str>);

impl Kid {
    /// Parses an id: 1 to 16 of a-z, 0-9 and `-`.
    ///
    /// # Errors
    /// [`Invalid`] describes the expected form.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let fits = (1..=16).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(Invalid("must be 1 to 16 of a-z, 0-9 and -"))
        }
    }

    /// The id as stored and as shown in logs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A 128-bit keyed hash: equal input gives an equal mark, and a mark reveals nothing about its input.
pub type Mark = [u8; 16];

/// The subkeys of one master secret, one for each use.
pub(in crate::domain) struct Subkeys {
    pub(in crate::domain) code: hmac::Key,
    pub(in crate::domain) seal: SealKey,
}

/// All keys of the process.
pub struct Keyring {
    records: hmac::Key,
    marks: hmac::Key,
    ring: Vec<(Kid, Subkeys)>,
}

/// The secrets do not form a key ring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// There is no master secret.
    #[error("the ring has no key")]
    Empty,
    /// Two master secrets have the same id.
    #[error("key id {0:?} comes twice")]
    Twice(Kid),
}

impl Keyring {
    /// Makes a key ring from the names secret and the master secrets, newest first: the first one seals
    /// and derives everything new.
    ///
    /// # Errors
    /// [`RingError`] if there is no master secret, or two have the same id.
    pub fn new(names: &Secret, ring: &[(Kid, Secret)]) -> Result<Self, RingError> {
        if ring.is_empty() {
            return Err(RingError::Empty);
        }
        if let Some((_, (kid, _))) = ring
            .iter()
            .enumerate()
            .find(|(at, (kid, _))| ring[..*at].iter().any(|(k, _)| k == kid))
        {
            return Err(RingError::Twice(kid.clone()));
        }
        let names = extract(names);
        Ok(Self {
            records: hmac_subkey(&names, b"record"),
            marks: hmac_subkey(&names, b"mark"),
            ring: ring
                .iter()
                .map(|(kid, secret)| (kid.clone(), Subkeys::of(secret)))
                .collect(),
        })
    }

    /// The id of the master secret used for everything new.
    #[must_use]
    pub fn current(&self) -> &Kid {
        &self.ring[0].0
    }

    /// The ids of all master secrets, the current one first.
    pub fn kids(&self) -> impl Iterator<Item = &Kid> {
        self.ring.iter().map(|(kid, _)| kid)
    }

    pub(in crate::domain) fn subkeys(&self, kid: &Kid) -> Option<&Subkeys> {
        self.ring
            .iter()
            .find(|(k, _)| k == kid)
            .map(|(_, subkeys)| subkeys)
    }

    /// The key id with this text; `None` if its key is not in the ring.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Kid> {
        self.ring
            .iter()
            .map(|(kid, _)| kid)
            .find(|kid| kid.as_str() == name)
    }

    /// The key under which the record of this subject is stored.
    #[must_use]
    pub fn subject_key(&self, tenant: &TenantId, subject: &SubjectId) -> SubjectKey {
        SubjectKey(sign_fields(
            &self.records,
            &[tenant.as_str().as_bytes(), subject.as_str().as_bytes()],
        ))
    }

    /// The hash for the key of a side record, from a label for its kind and the fields that identify it.
    #[must_use]
    pub fn side_hash(&self, label: &str, fields: &[&[u8]]) -> Mark {
        let mut all = vec![label.as_bytes()];
        all.extend(fields);
        self.mark("side", &all)
    }

    /// A mark of these fields under this label, so that they are recognised when they come again. Does not change
    /// when the master secrets are rotated.
    #[must_use]
    pub fn mark(&self, label: &str, fields: &[&[u8]]) -> Mark {
        let mut context = hmac::Context::with_key(&self.marks);
        update_field(&mut context, label.as_bytes());
        for field in fields {
            update_field(&mut context, field);
        }
        truncate(&context.sign())
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.ring.iter().map(|(kid, _)| kid))
            .finish()
    }
}

impl Subkeys {
    fn of(secret: &Secret) -> Self {
        let master = extract(secret);
        let seal = expand(&master, b"seal");
        Self {
            code: hmac_subkey(&master, b"code"),
            seal: SealKey::extract(b"countersign/v1/seal", &seal),
        }
    }
}

/// Derives the data keys of seals by HKDF-SHA256 (RFC 5869, section 2), whose steps are HMACs. The extraction is done
/// only once; the library's HKDF would repeat it for every data key.
pub(in crate::domain) struct SealKey(hmac::Key);

impl SealKey {
    fn extract(salt: &[u8], secret: &Secret) -> Self {
        let extracted = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), &**secret);
        Self(hmac::Key::new(hmac::HMAC_SHA256, extracted.as_ref()))
    }

    /// A 32-byte key for one use. It is the first block of the HKDF expansion, and no other block is needed.
    pub(in crate::domain) fn expand(&self, label: &[u8]) -> Secret {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(label);
        context.update(&[1]);
        let mut out = Secret::new([0; SECRET_BYTES]);
        out.copy_from_slice(context.sign().as_ref());
        out
    }
}

fn extract(secret: &Secret) -> hkdf::Prk {
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"countersign/v1").extract(&**secret)
}

/// A 32-byte key for one use. The labels determine stored data: see `seal_04_subkeys_do_not_drift`.
fn expand(key: &hkdf::Prk, label: &[u8]) -> Secret {
    let mut out = Secret::new([0; SECRET_BYTES]);
    // Cannot fail: 32 bytes are one block of SHA-256.
    key.expand(&[label], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *out))
        .expect("HKDF gives one block for any label");
    out
}

fn hmac_subkey(key: &hkdf::Prk, label: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &*expand(key, label))
}

/// Adds a field with its length before it, so that different lists of fields never give the same bytes.
pub(in crate::domain) fn update_field(context: &mut hmac::Context, field: &[u8]) {
    context.update(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
    context.update(field);
}

pub(in crate::domain) fn sign_fields(key: &hmac::Key, fields: &[&[u8]]) -> [u8; 16] {
    let mut context = hmac::Context::with_key(key);
    for field in fields {
        update_field(&mut context, field);
    }
    truncate(&context.sign())
}

fn truncate(tag: &hmac::Tag) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&tag.as_ref()[..16]);
    short
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A ring with these key ids. The names secret consists of the byte `seed`, the first master secret of `seed +
    /// 1`, and so on.
    pub(crate) fn ring(seed: u8, kids: &[&str]) -> Keyring {
        let ring: Vec<_> = kids
            .iter()
            .zip(seed + 1..)
            .map(|(kid, byte)| (Kid::parse(kid).unwrap(), Secret::new([byte; SECRET_BYTES])))
            .collect();
        Keyring::new(&Secret::new([seed; SECRET_BYTES]), &ring).unwrap()
    }

    #[test]
    fn seal_04_subkeys_do_not_drift() {
        let master = extract(&Secret::new([7; SECRET_BYTES]));
        // Computed independently with Python's hmac and hashlib, after RFC 5869.
        assert_eq!(
            hex::encode(*expand(&master, b"code")),
            "1dbcb480d86cd6f08f1e8da00eceaaf6c28bbbae7ad39c2ca11fc7f6502966dc"
        );
        assert_eq!(
            hex::encode(*expand(&master, b"seal")),
            "925c2cfc375554968dc77a8f3e5df401d201c63c84459145eea0de41ebbdc3b4"
        );
        assert_eq!(
            hex::encode(*expand(&master, b"record")),
            "acdfbc12caa76c2de880dacd24da8a9d2302bfef4bdd5b51ca4c1b2e065d08ac"
        );
        assert_eq!(
            hex::encode(*expand(&master, b"mark")),
            "c98319bd0039159d7cdc7a52ebf52d468ffda7ea575946e4a25b6d0c51cd109a"
        );
    }

    #[test]
    fn seal_04_data_keys_are_those_of_hkdf() {
        let (salt, secret) = (b"countersign/v1/seal", Secret::new([7; SECRET_BYTES]));
        let hkdf = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&*secret);
        let key = SealKey::extract(salt, &secret);
        for label in [&b""[..], b"record", &[9; 38], &[0xff; 300]] {
            assert_eq!(key.expand(label), expand(&hkdf, label));
        }
    }

    #[test]
    fn seal_04_equal_input_under_two_uses_differs() {
        let keyring = ring(1, &["a", "b"]);
        let tenant = TenantId::parse("t").unwrap();
        let subject = SubjectId::parse("s").unwrap();
        let record = keyring.subject_key(&tenant, &subject).0;
        let marks = [
            keyring.mark("start", &[b"t", b"s"]),
            keyring.mark("resend", &[b"t", b"s"]),
        ];
        let code = |kid| {
            sign_fields(
                &keyring.subkeys(&Kid::parse(kid).unwrap()).unwrap().code,
                &[b"t", b"s"],
            )
        };
        let all = [record, marks[0], marks[1], code("a"), code("b")];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one));
        }
    }

    #[test]
    fn two_lists_of_fields_never_look_alike() {
        let keyring = ring(1, &["a"]);
        assert_ne!(
            keyring.mark("x", &[b"ab", b"c"]),
            keyring.mark("x", &[b"a", b"bc"])
        );
    }

    #[test]
    fn a_ring_is_not_empty_and_has_no_twins() {
        let secret = || Secret::new([0; SECRET_BYTES]);
        let kid = Kid::parse("a").unwrap();
        assert_eq!(Keyring::new(&secret(), &[]).err(), Some(RingError::Empty));
        let twins = [(kid.clone(), secret()), (kid.clone(), secret())];
        assert_eq!(
            Keyring::new(&secret(), &twins).err(),
            Some(RingError::Twice(kid))
        );
    }
}

//! Derivation of codes: they are computed when needed and never stored.

pub mod guess;
pub mod link;

use aws_lc_rs::hmac;

use super::{
    code::{
        guess::{DIGITS_MAX, DIGITS_MIN, Digits},
        link::LinkSecret,
    },
    crypto::keyring::{Keyring, Kid, Mark, sign_fields, update_field},
    ids::{ActionName, AttemptId, SubjectId, TenantId, VerificationId},
};

/// The version of the derivation. It is an input of every code, so another
/// version gives other codes.
const VERSION: &[u8] = b"1";

/// The length of a code: 6 to 8 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeLength(u8);

impl CodeLength {
    /// A length of 6 to 8; `None` for any other.
    #[must_use]
    pub fn new(digits: u8) -> Option<Self> {
        (DIGITS_MIN..=DIGITS_MAX)
            .contains(&digits)
            .then_some(Self(digits))
    }

    /// The number of digits.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

/// The inputs of a code, apart from the key.
#[derive(Clone, Copy, Debug)]
pub struct CodeFields<'a> {
    /// The tenant that the subject belongs to.
    pub tenant: &'a TenantId,
    /// The subject to be verified.
    pub subject: &'a SubjectId,
    /// The action that the code approves.
    pub action: &'a ActionName,
    /// The verification that the code belongs to.
    pub verification: &'a VerificationId,
    /// The 128 random bits of the verification.
    pub nonce: &'a [u8; 16],
    /// The SHA-256 digest of the binding.
    pub binding: &'a [u8; 32],
    /// The length of the code.
    pub length: CodeLength,
}

/// The code of a verification; `None` if its key is no longer in the keyring.
#[must_use]
pub fn derive(keyring: &Keyring, kid: &Kid, fields: &CodeFields<'_>) -> Option<Digits> {
    let prefix = keyed(keyring, kid, b"code", fields)?;
    digits(fields.length, |counter| {
        let mut block = prefix.clone();
        update_field(&mut block, &counter.to_be_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(block.sign().as_ref());
        bytes
    })
}

/// The secret of a verification's link; `None` if its key is no longer in the keyring.
#[must_use]
pub fn derive_link(keyring: &Keyring, kid: &Kid, fields: &CodeFields<'_>) -> Option<LinkSecret> {
    let tag = keyed(keyring, kid, b"link", fields)?.sign();
    let (bits, _) = tag.as_ref().split_first_chunk::<16>()?;
    Some(LinkSecret::new(*bits))
}

/// The HMAC context over all fields, for one purpose.
fn keyed(
    keyring: &Keyring,
    kid: &Kid,
    purpose: &[u8],
    fields: &CodeFields<'_>,
) -> Option<hmac::Context> {
    let mut context = hmac::Context::with_key(&keyring.subkeys(kid)?.code);
    let id = fields.verification.to_bytes();
    let parts: [&[u8]; 9] = [
        VERSION,
        purpose,
        fields.tenant.as_str().as_bytes(),
        fields.subject.as_str().as_bytes(),
        fields.action.as_str().as_bytes(),
        &id,
        fields.nonce,
        fields.binding,
        &[fields.length.0],
    ];
    for part in parts {
        update_field(&mut context, part);
    }
    Some(context)
}

/// Digits by rejection sampling over blocks of pseudo-random bytes, so that every code is equally likely.
///
/// Each block gives eight big-endian numbers. One at or above the largest multiple of 10^length is
/// skipped. A block without a usable number has a probability below 10^-29 for 6 digits and 10^-13 for 8.
fn digits(length: CodeLength, block: impl Fn(u32) -> [u8; 32]) -> Option<Digits> {
    let modulus = 10_u32.pow(length.0.into());
    let limit = u32::MAX - (u32::MAX % modulus + 1) % modulus;
    for counter in 0..u32::MAX {
        let bytes = block(counter);
        let (numbers, _) = bytes.as_chunks::<4>();
        if let Some(number) = numbers
            .iter()
            .map(|word| u32::from_be_bytes(*word))
            .find(|number| *number <= limit)
        {
            let width = usize::from(length.0);
            return Digits::from_ascii(format!("{:0width$}", number % modulus).as_bytes());
        }
    }
    None
}

/// The only trace of a guess: a keyed hash that recognises the same guess under the same attempt
/// id. `None` if the key is no longer in the keyring.
#[must_use]
#[expect(
    clippy::too_many_arguments,
    reason = "the ring, and the fields of a stored mark in their order"
)]
pub fn fingerprint(
    keyring: &Keyring,
    kid: &Kid,
    verification: &VerificationId,
    attempt: &AttemptId,
    answer: &str,
    entry_mode: &str,
) -> Option<Mark> {
    let key = &keyring.subkeys(kid)?.code;
    let id = verification.to_bytes();
    let fields: [&[u8]; 5] = [
        b"attempt",
        &id,
        attempt.as_str().as_bytes(),
        answer.as_bytes(),
        entry_mode.as_bytes(),
    ];
    Some(sign_fields(key, &fields))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{
        super::{crypto::keyring::tests::ring, ids::SubjectKey},
        *,
    };

    struct Sample {
        tenant: TenantId,
        subject: SubjectId,
        action: ActionName,
        verification: VerificationId,
        nonce: [u8; 16],
        binding: [u8; 32],
        length: CodeLength,
    }

    impl Sample {
        fn new() -> Self {
            Self {
                tenant: TenantId::parse("t").unwrap(),
                subject: SubjectId::parse("s").unwrap(),
                action: ActionName::parse("a").unwrap(),
                verification: VerificationId {
                    subject: SubjectKey([1; 16]),
                    random: [2; 16],
                },
                nonce: [3; 16],
                binding: [4; 32],
                length: CodeLength::new(8).unwrap(),
            }
        }

        fn code(&self, keyring: &Keyring) -> String {
            let fields = CodeFields {
                tenant: &self.tenant,
                subject: &self.subject,
                action: &self.action,
                verification: &self.verification,
                nonce: &self.nonce,
                binding: &self.binding,
                length: self.length,
            };
            derive(keyring, keyring.current(), &fields)
                .unwrap()
                .expose()
                .to_owned()
        }
    }

    fn block_of(numbers: [u32; 8]) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes
            .chunks_mut(4)
            .zip(numbers)
            .for_each(|(chunk, number)| chunk.copy_from_slice(&number.to_be_bytes()));
        bytes
    }

    #[test]
    fn code_02_the_last_incomplete_stretch_is_rejected() {
        let six = CodeLength::new(6).unwrap();
        let code = |first: u32, second: u32| {
            let blocks = |counter| {
                if counter == 0 {
                    block_of([first; 8])
                } else {
                    block_of([second; 8])
                }
            };
            digits(six, blocks).unwrap().expose().to_owned()
        };
        assert_eq!(
            code(4_293_999_999, 1),
            "999999",
            "the last complete stretch is used"
        );
        assert_eq!(
            code(4_294_000_000, 1),
            "000001",
            "the incomplete one takes the next block"
        );
        let one_block = digits(six, |_| {
            block_of([u32::MAX, 4_294_000_000, 42, 7, 7, 7, 7, 7])
        })
        .unwrap();
        assert_eq!(
            one_block.expose(),
            "000042",
            "the next number of the same block comes first"
        );
    }

    #[test]
    fn code_01_codes_are_evenly_spread_and_keep_leading_zeros() {
        const CODES: u32 = 1_000_000;
        let keyring = ring(1, &["a"]);
        let mut sample = Sample::new();
        sample.length = CodeLength::new(6).unwrap();
        let mut positions = [[0_u32; 10]; 6];
        let mut last_three = vec![0_u32; 1000];
        let mut pairs = vec![0_u32; 100];
        let mut previous = 0;
        for round in 0..CODES {
            sample.nonce[..4].copy_from_slice(&round.to_be_bytes());
            let code = sample.code(&keyring);
            assert_eq!(code.len(), 6);
            let digits: Vec<usize> = code.bytes().map(|b| usize::from(b - b'0')).collect();
            positions
                .iter_mut()
                .zip(&digits)
                .for_each(|(position, digit)| position[*digit] += 1);
            last_three[digits[3] * 100 + digits[4] * 10 + digits[5]] += 1;
            pairs[previous * 10 + digits[5]] += 1;
            previous = digits[5];
        }
        let chi2 = |counts: &[u32]| {
            let expected = f64::from(CODES) / counts.len() as f64;
            counts
                .iter()
                .map(|count| (f64::from(*count) - expected).powi(2) / expected)
                .sum::<f64>()
        };
        // Critical values at p = 0.001 for 9, 99 and 999 degrees of freedom.
        assert!(
            positions.iter().all(|position| chi2(position) < 27.88),
            "digits per position"
        );
        assert!(chi2(&pairs) < 148.23, "a code and the one before it");
        assert!(chi2(&last_three) < 1142.8, "last three digits");
    }

    #[test]
    fn code_08_every_field_makes_another_code() {
        let keyring = ring(1, &["a"]);
        let changes: [fn(&mut Sample); 8] = [
            |_| {},
            |s| s.tenant = TenantId::parse("t2").unwrap(),
            |s| s.subject = SubjectId::parse("s2").unwrap(),
            |s| s.action = ActionName::parse("a2").unwrap(),
            |s| s.verification.random[0] ^= 1,
            |s| s.nonce[0] ^= 1,
            |s| s.binding[0] ^= 1,
            |s| s.length = CodeLength::new(7).unwrap(),
        ];
        let mut seen = HashSet::new();
        for change in changes {
            let mut sample = Sample::new();
            change(&mut sample);
            assert!(seen.insert(sample.code(&keyring)));
        }
        assert!(
            seen.insert(Sample::new().code(&ring(2, &["a"]))),
            "another key"
        );
    }
}

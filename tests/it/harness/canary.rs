//! Searches for secrets in every encoding in which they might leak.

use std::collections::{BTreeSet, HashMap};

use base64::engine::{
    Engine as _,
    general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// The number of bytes by which a spelling is looked up; no secret may be shorter.
const PREFIX_BYTES: usize = 8;
/// A number between further digits is another number, and no match.
const DIGITS: &[u8] = b"0123456789";

/// One encoding of a secret.
struct Spelling {
    secret: usize,
    bytes: Vec<u8>,
    /// Whether it matches only if no further digit adjoins it.
    is_number: bool,
}

/// The secrets that must not appear anywhere.
#[derive(Default)]
pub struct Canaries {
    secrets: Vec<String>,
    spellings: Vec<Spelling>,
    by_prefix: HashMap<[u8; PREFIX_BYTES], Vec<usize>>,
}

impl Canaries {
    pub fn of<S: Into<String>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut all = Self::default();
        for secret in secrets {
            all.add(secret.into());
        }
        all
    }

    fn add(&mut self, secret: String) {
        assert!(
            secret.len() >= PREFIX_BYTES,
            "{secret} is too short: it would be met by chance"
        );
        let at = self.secrets.len();
        for (bytes, is_number) in spellings(&secret) {
            let prefix = *bytes.first_chunk().unwrap();
            self.by_prefix
                .entry(prefix)
                .or_default()
                .push(self.spellings.len());
            self.spellings.push(Spelling {
                secret: at,
                bytes,
                is_number,
            });
        }
        self.secrets.push(secret);
    }

    /// The secrets that a text contains.
    pub fn in_bytes(&self, haystack: &[u8]) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for (at, window) in haystack.windows(PREFIX_BYTES).enumerate() {
            let Some(candidates) = self.by_prefix.get(window) else {
                continue;
            };
            for spelling in candidates
                .iter()
                .map(|candidate| &self.spellings[*candidate])
            {
                if spelling.is_at(at, haystack) {
                    found.insert(self.secrets[spelling.secret].as_str());
                }
            }
        }
        found
    }

    /// Panics if a text contains a secret, and names what was found.
    pub fn assert_absent(&self, haystack: &[u8], place: &str) {
        assert_eq!(self.in_bytes(haystack), BTreeSet::new(), "{place}");
    }
}

impl Spelling {
    fn is_at(&self, at: usize, haystack: &[u8]) -> bool {
        let end = at + self.bytes.len();
        let is_digit = |byte: Option<&u8>| byte.is_some_and(|byte| DIGITS.contains(byte));
        let is_part = || {
            is_digit(at.checked_sub(1).and_then(|before| haystack.get(before)))
                || is_digit(haystack.get(end))
        };
        haystack.get(at..end) == Some(&self.bytes) && !(self.is_number && is_part())
    }
}

/// The encodings of a secret: plain, reversed, with its digits apart, in hex, and in base64 at each of the three
/// offsets.
fn spellings(secret: &str) -> Vec<(Vec<u8>, bool)> {
    let is_number = secret.bytes().all(|byte| byte.is_ascii_digit());
    let mut all = vec![secret.to_owned(), secret.chars().rev().collect()];
    if is_number {
        let (front, back) = secret.split_at(secret.len() / 2);
        let apart = |gap: &str| {
            secret
                .chars()
                .map(String::from)
                .collect::<Vec<_>>()
                .join(gap)
        };
        all.extend([
            format!("{front} {back}"),
            format!("{front}-{back}"),
            apart(" "),
            apart("-"),
        ]);
    }
    let plain = all.into_iter().map(|text| (text.into_bytes(), is_number));
    let hex = [hex::encode(secret), hex::encode_upper(secret)].into_iter();
    let base64 = [STANDARD_NO_PAD, URL_SAFE_NO_PAD]
        .into_iter()
        .flat_map(|engine| {
            (0..3).map(move |shift| {
                let text = engine.encode([&[0; 3][..shift], secret.as_bytes()].concat());
                // Only characters that depend on the secret alone are kept; those that also depend on its neighbours
                // are cut off.
                text[(8 * shift).div_ceil(6)..8 * (shift + secret.len()) / 6].to_owned()
            })
        });
    plain
        .chain(hex.chain(base64).map(|text| (text.into_bytes(), false)))
        .collect()
}

#[test]
fn code_12_a_planted_leak_is_found() {
    let canaries = Canaries::of(["12345678", "canary-subject"]);
    for secret in ["12345678", "canary-subject"] {
        let backwards: String = secret.chars().rev().collect();
        let embedded = STANDARD_NO_PAD.encode(format!("a{secret}z"));
        let planted = [
            secret,
            &backwards,
            &hex::encode(secret),
            &URL_SAFE_NO_PAD.encode(secret),
            &embedded,
        ];
        for planted in planted {
            let line = format!("INFO something happened, code={planted}, and went on");
            assert_eq!(
                canaries.in_bytes(line.as_bytes()),
                BTreeSet::from([secret]),
                "{planted}"
            );
        }
    }
    for planted in ["1234 5678", "1234-5678", "1 2 3 4 5 6 7 8"] {
        assert_eq!(canaries.in_bytes(planted.as_bytes()).len(), 1, "{planted}");
    }
    assert!(
        canaries
            .in_bytes(b"at 9123456789 us, canary-subjec")
            .is_empty(),
        "part of a longer number is no leak"
    );
}

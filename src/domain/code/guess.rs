//! Parses guesses strictly, before anything else sees them.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Fewest digits of a code (NIST SP 800-63B-4 §3.1.3.2).
pub const DIGITS_MIN: u8 = 6;
/// Most digits of a code: customers read and type them.
pub const DIGITS_MAX: u8 = 8;
/// Longest guess in bytes: the most digits, with a separator between any two.
const TEXT_MAX: usize = 2 * DIGITS_MAX as usize - 1;

/// The separators that a customer may type between digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Separators {
    /// Whether single spaces are allowed.
    pub space: bool,
    /// Whether single hyphens are allowed.
    pub hyphen: bool,
}

/// A code of 6 to 8 digits that is never printed and is wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Digits {
    /// On the heap, because a value that moves through calls and futures leaves copies on the stack
    /// that are not wiped.
    buffer: Box<[u8; DIGITS_MAX as usize]>,
    len: u8,
}

impl Digits {
    /// Parses 6 to 8 ASCII digits; `None` for anything else.
    #[must_use]
    pub fn from_ascii(text: &[u8]) -> Option<Self> {
        let len = u8::try_from(text.len())
            .ok()
            .filter(|len| (DIGITS_MIN..=DIGITS_MAX).contains(len))?;
        let mut buffer = Box::new([0; DIGITS_MAX as usize]);
        buffer
            .iter_mut()
            .zip(text)
            .for_each(|(to, from)| *to = *from);
        text.iter()
            .all(u8::is_ascii_digit)
            .then_some(Self { buffer, len })
    }

    /// The number of digits.
    #[must_use]
    pub fn len(&self) -> u8 {
        self.len
    }

    /// Always false: there are at least 6 digits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The digits as text, only for the message to the recipient and for a keyed fingerprint.
    #[must_use]
    pub fn expose(&self) -> &str {
        // Never the default: `from_ascii` accepts ASCII digits only.
        std::str::from_utf8(&self.buffer[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl PartialEq for Digits {
    /// Compares the whole buffers in constant time, whatever their lengths.
    fn eq(&self, other: &Self) -> bool {
        (self.buffer.as_slice().ct_eq(other.buffer.as_slice()) & self.len.ct_eq(&other.len)).into()
    }
}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digits(hidden)")
    }
}

/// The text does not have the form of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the digits of the code, with at most one space or hyphen between two digits")]
pub struct Malformed;

/// A guess as it was received; its form is checked in two stages.
#[derive(Clone, Debug)]
pub struct Guess {
    digits: Digits,
    used: Separators,
}

impl Guess {
    /// The first stage, before the record is loaded: 6 to 8 ASCII digits, with single spaces or
    /// hyphens between digits only.
    ///
    /// # Errors
    /// [`Malformed`], which does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.len() > TEXT_MAX {
            return Err(Malformed);
        }
        let mut digits = Vec::with_capacity(TEXT_MAX);
        let mut used = Separators {
            space: false,
            hyphen: false,
        };
        let mut after_digit = false;
        for byte in text.bytes() {
            match byte {
                b'0'..=b'9' => digits.push(byte),
                b' ' if after_digit => used.space = true,
                b'-' if after_digit => used.hyphen = true,
                _ => return Err(Malformed),
            }
            after_digit = byte.is_ascii_digit();
        }
        let parsed = Digits::from_ascii(&digits);
        digits.zeroize();
        match parsed {
            Some(digits) if after_digit => Ok(Self { digits, used }),
            _ => Err(Malformed),
        }
    }

    /// The second stage, after the record is loaded: the length and the separators of the action.
    ///
    /// # Errors
    /// [`Malformed`] says that the form is wrong for this action.
    pub fn fits(&self, len: u8, allowed: Separators) -> Result<&Digits, Malformed> {
        let separators_fit =
            (allowed.space || !self.used.space) && (allowed.hyphen || !self.used.hyphen);
        if self.digits.len == len && separators_fit {
            Ok(&self.digits)
        } else {
            Err(Malformed)
        }
    }

    /// The digits, to compute the fingerprint of a repeated guess.
    #[must_use]
    pub fn digits(&self) -> &Digits {
        &self.digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Separators = Separators {
        space: true,
        hyphen: true,
    };

    #[test]
    fn code_13_unicode_digits_are_malformed() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/unicode_digits.json"))
                .unwrap();
        let cases = vectors["cases"].as_array().unwrap();
        assert!(cases.len() > 50, "the vectors were read");
        for case in cases {
            assert!(
                Guess::parse(case["code"].as_str().unwrap()).is_err(),
                "{}",
                case["name"]
            );
        }
    }

    #[test]
    fn code_13_only_plain_digits_and_single_separators_pass() {
        for bad in [
            "",
            "123456\n",
            " 123456",
            "123456 ",
            "+123456",
            "12345",
            "123456789",
            "123--456",
            "123 -456",
            "12345a",
            "1.5e10",
            "-123456",
        ] {
            assert_eq!(Guess::parse(bad).map(|_| ()), Err(Malformed), "{bad:?}");
        }
        for good in ["123456", "123 456", "1-2-3-4-5-6", "12 34-56", "12345678"] {
            assert!(Guess::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn code_13_length_and_separators_of_the_action_come_second() {
        let fits = |text, len, allowed| Guess::parse(text).unwrap().fits(len, allowed).is_ok();
        assert!(fits("123 456", 6, BOTH));
        assert!(!fits(
            "123 456",
            6,
            Separators {
                space: false,
                hyphen: true
            }
        ));
        assert!(!fits(
            "123-456",
            6,
            Separators {
                space: true,
                hyphen: false
            }
        ));
        assert!(!fits("1234567", 6, BOTH));
    }

    #[test]
    fn digits_compare_by_value_and_print_nothing() {
        let digits = |text: &str| Digits::from_ascii(text.as_bytes()).unwrap();
        assert!(digits("000000") == digits("000000") && digits("000000") != digits("0000000"));
        assert_eq!(
            format!("{:?}", Guess::parse("123456").unwrap()).find("123456"),
            None
        );
    }
}

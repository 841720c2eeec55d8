//! Parses guesses strictly, before anything else sees them.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Fewest digits of a code (NIST SP 800-63B-4 §3.1.3.2).
pub const DIGITS_MIN: u8 = 6;
/// Most digits of a code: customers read and type them.
pub const DIGITS_MAX: u8 = 8;
/// Longest guess in characters: the most digits, with a separator between any two.
const CHARS_MAX: usize = 2 * DIGITS_MAX as usize - 1;

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

/// Whether a character may surround a pasted code: white space, and the marks that chats, mails and
/// spreadsheets put around a number.
fn surrounds(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A guess as it was received; its form is checked in two stages.
#[derive(Clone, Debug)]
pub struct Guess {
    digits: Digits,
    used: Separators,
}

impl Guess {
    /// The first stage, before the record is loaded. What surrounds a pasted code is ignored: white space,
    /// zero-width characters and direction marks. Within it are 6 to 8 ASCII digits, with single spaces
    /// or hyphens between digits only; no-break spaces and dashes of the width of a hyphen count as such.
    ///
    /// # Errors
    /// [`Malformed`], which does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut digits = Zeroizing::new(Vec::with_capacity(CHARS_MAX));
        let mut used = Separators {
            space: false,
            hyphen: false,
        };
        let mut after_digit = false;
        for (at, character) in text.trim_matches(surrounds).chars().enumerate() {
            match character {
                _ if at >= CHARS_MAX => return Err(Malformed),
                '0'..='9' => digits.extend(u8::try_from(character)),
                ' ' | '\u{a0}' | '\u{2007}' | '\u{202f}' if after_digit => used.space = true,
                '-' | '\u{2010}'..='\u{2013}' if after_digit => used.hyphen = true,
                _ => return Err(Malformed),
            }
            after_digit = character.is_ascii_digit();
        }
        // A hyphen at the end stands between no digits.
        let parsed = Digits::from_ascii(&digits).filter(|_| after_digit);
        parsed.map(|digits| Self { digits, used }).ok_or(Malformed)
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

    fn is_123456(text: &str) -> bool {
        Guess::parse(text).is_ok_and(|guess| {
            guess
                .fits(6, BOTH)
                .is_ok_and(|digits| digits.expose() == "123456")
        })
    }

    #[test]
    fn code_13_each_row_of_the_unicode_vectors_is_judged_or_malformed_as_it_says() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/unicode_digits.json"))
                .unwrap();
        let cases = vectors["cases"].as_array().unwrap();
        assert!(cases.len() > 50, "the vectors were read");
        for case in cases {
            let code = case["code"].as_str().unwrap();
            let judged = case["judged"].as_bool().unwrap();
            assert_eq!(is_123456(code), judged, "{}", case["name"]);
            assert_eq!(Guess::parse(code).is_ok(), judged, "{}", case["name"]);
        }
    }

    #[test]
    fn code_13_a_pasted_code_is_judged_by_its_digits() {
        let cases: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/pasted_codes.json")).unwrap();
        let texts = |name: &str| {
            let texts = cases[name].as_array().unwrap().iter();
            let texts: Vec<_> = texts
                .map(|text| text.as_str().unwrap().to_owned())
                .collect();
            assert!(texts.len() > 9, "the cases were read");
            texts
        };
        for text in texts("judged_as_123456") {
            assert!(is_123456(&text), "{text:?}");
        }
        for text in texts("malformed") {
            assert!(!is_123456(&text), "{text:?}");
        }
    }

    #[test]
    fn code_13_what_surrounds_a_code_is_ignored_and_what_is_inside_is_not() {
        let around = [
            "\t", "\n", "\u{b}", "\u{c}", "\r", " ", "\u{85}", "\u{a0}", "\u{1680}", "\u{2000}",
            "\u{200a}", "\u{2028}", "\u{2029}", "\u{202f}", "\u{205f}", "\u{3000}", "\u{200b}",
            "\u{200c}", "\u{200d}", "\u{2060}", "\u{feff}", "\u{200e}", "\u{200f}", "\u{61c}",
            "\u{2066}", "\u{2067}", "\u{2068}", "\u{2069}",
        ];
        for mark in around {
            for text in [
                format!("{mark}123456"),
                format!("123456{mark}"),
                format!("{mark}\u{2066} 123 456 {mark}\r\n"),
                format!("{}123456", mark.repeat(500)),
            ] {
                assert!(is_123456(&text), "{text:?}");
            }
            let only = mark.repeat(6);
            assert!(Guess::parse(&only).is_err(), "{only:?}");
        }
        for bad in [
            "",
            "-123456",
            "123456-",
            "\u{2013}123456",
            "123 -456",
            "1\u{a0}\u{a0}23456",
        ] {
            assert!(Guess::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn code_13_only_plain_digits_and_single_separators_pass() {
        for bad in [
            "",
            "+123456",
            "12345",
            "123456789",
            "123--456",
            "123 -456",
            "12345a",
            "1.5e10",
            "-123456",
            "(123456)",
            "\"123456\"",
            "G-123456",
            "123456.",
            "1 2 3 4 5 6 7 8 9",
        ] {
            assert_eq!(Guess::parse(bad).map(|_| ()), Err(Malformed), "{bad:?}");
        }
        for good in [
            "123456",
            "123 456",
            "1-2-3-4-5-6",
            "12 34-56",
            "12345678",
            "1\u{2007}2\u{2010}3\u{2011}4\u{2012}5\u{2013}6\u{202f}7\u{a0}8",
        ] {
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
        let no_space = Separators {
            space: false,
            hyphen: true,
        };
        assert!(!fits("123\u{a0}456", 6, no_space) && fits(" 123\u{2013}456 ", 6, no_space));
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

//! Names and ids: each type holds only texts that fit its grammar.

use std::{fmt, sync::Arc};

use crate::format::{base58, visible};

/// What a text must be, as the end of a sentence that begins with the name of its field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $grammar:expr, $says:literal, $($shown:tt)+) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses a text that fits the grammar.
            ///
            /// # Errors
            /// Describes the grammar that the text breaks.
            pub fn parse(text: &str) -> Result<Self, Invalid> {
                let fits: fn(&str) -> bool = $grammar;
                if fits(text) { Ok(Self(text.into())) } else { Err(Invalid($says)) }
            }

            /// The text as it was parsed.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        text_id!(@debug $name, $($shown)+);
    };
    (@debug $name:ident, shown) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
    (@debug $name:ident, hidden) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(hidden)"))
            }
        }
    };
}

fn is_setting_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

fn is_visible_ascii(text: &str) -> bool {
    text.len() <= 64 && is_graphic(text)
}

fn is_graphic(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Printable text of 1 to `max` characters, without spaces at either end and without characters
/// that only control the display, such as zero-width spaces and changes of direction.
pub(super) fn is_printable(text: &str, max: usize) -> bool {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    !text.is_empty()
        && text.chars().count() <= max
        && text.trim() == text
        && !text.chars().any(hidden)
}

/// Why people cannot read a text in full, as the end of a sentence that begins with the name of its field; `None`
/// if they can: it has 1 to `max` characters that can all be seen, without spaces at either end.
#[must_use]
pub fn visible_problem(text: &str, max: usize) -> Option<String> {
    // The length comes first, so that the work on a text is bounded.
    if text.is_empty() || text.chars().nth(max).is_some() || text.trim() != text {
        return Some(format!(
            "must be 1 to {max} characters that can be seen, without spaces at either end"
        ));
    }
    visible::unseen(text).map(|unseen| unseen.to_string())
}

text_id!(
    /// An organisation or line of business; everything is inside one.
    TenantId, is_setting_name, "must be 1 to 64 of a-z, 0-9, _ and -", shown
);
text_id!(
    /// The authenticated back end or front end that calls this service.
    CallerName, is_setting_name, "must be 1 to 64 of a-z, 0-9, _ and -", shown
);
text_id!(
    /// The action that the proof is for; it selects the limits.
    ActionName, is_setting_name, "must be 1 to 64 of a-z, 0-9, _ and -", shown
);
text_id!(
    /// The person to be verified: an opaque id chosen by the caller.
    SubjectId, |text| is_printable(text, 128), "must be 1 to 128 printable characters, without spaces at either end", hidden
);
text_id!(
    /// Makes a repeated Start or Resend harmless.
    RequestId, is_visible_ascii, "must be 1 to 64 visible ASCII characters", hidden
);
text_id!(
    /// Makes a repeated Check harmless.
    AttemptId, is_visible_ascii, "must be 1 to 64 visible ASCII characters", hidden
);
text_id!(
    /// The caller's id of a contact, a case or an agent.
    Reference, is_visible_ascii, "must be 1 to 64 visible ASCII characters", hidden
);
text_id!(
    /// Why an operator unlocks a subject, in the operator's words.
    UnlockReason, |text| visible_problem(text, 256).is_none(), "must be 1 to 256 characters that can be seen, without spaces at either end", hidden
);
text_id!(
    /// A provider's id of a message that it accepted, which its receipts name.
    ProviderReference, |text| text.len() <= 128 && is_graphic(text), "must be 1 to 128 visible ASCII characters", shown
);
text_id!(
    /// The name of a sender: `NAME` of `[senders.NAME]` in the settings.
    SenderName, |text| is_printable(text, 64), "must be 1 to 64 printable characters, without spaces at either end", shown
);
text_id!(
    /// A language tag of BCP 47: `nl`, `de-AT`; also with underscores, as in `de_AT`.
    Locale, is_language_tag, "must be a language tag such as nl or de-AT", shown
);
text_id!(
    /// Authentication context class: how well something was proven.
    Acr, |text| is_printable(text, 128), "must be 1 to 128 printable characters, without spaces at either end", hidden
);

impl SenderName {
    /// The name in records and events for messages to test recipients, which no sender gets.
    #[must_use]
    pub fn of_tests() -> Self {
        Self("test".into())
    }
}

fn is_language_tag(text: &str) -> bool {
    let mut parts = text.split(['-', '_']);
    text.len() <= 35
        && parts.next().is_some_and(|p| {
            (2..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphabetic())
        })
        && parts.all(|p| (1..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric()))
}

impl Locale {
    /// Its tags, the most specific first, in lower case and with hyphens: `pt-br`, `pt` of `pt_BR` (RFC 4647 §3.4).
    pub fn lookup(&self) -> impl Iterator<Item = String> {
        let tag = self.0.replace('_', "-").to_ascii_lowercase();
        let next = |tag: &String| Some(tag.rsplit_once('-')?.0.to_owned());
        std::iter::successors(Some(tag), next)
    }
}

impl SubjectId {
    /// Whether it looks like a Dutch citizen number (9 digits, eleven-test). Such a number needs a
    /// legal basis of its own and must not be used as an opaque id.
    #[must_use]
    pub fn looks_like_citizen_number(&self) -> bool {
        let digits: Vec<i32> = self
            .0
            .chars()
            .filter_map(|c| c.to_digit(10))
            .filter_map(|d| i32::try_from(d).ok())
            .collect();
        if self.0.len() != 9 || digits.len() != 9 || digits.iter().all(|d| *d == 0) {
            return false;
        }
        let sum: i32 = digits
            .iter()
            .zip([9, 8, 7, 6, 5, 4, 3, 2, -1])
            .map(|(digit, weight)| digit * weight)
            .sum();
        sum % 11 == 0
    }
}

/// The keyed hash under which a subject's record is stored; tells nothing without the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectKey(pub [u8; 16]);

impl fmt::Display for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectKey({self})")
    }
}

/// Names one verification and finds its record: `vrf_` and base58 of the subject key and 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerificationId {
    /// The key of the record that holds it.
    pub subject: SubjectKey,
    /// The random part: 128 bits, so that no id can be guessed.
    pub random: [u8; 16],
}

const VERIFICATION_PREFIX: &str = "vrf_";
const VERIFICATION_CHARS: usize = 44;

impl VerificationId {
    /// Both parts, as the input of keyed hashes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        let mut raw = [0; 32];
        raw[..16].copy_from_slice(&self.subject.0);
        raw[16..].copy_from_slice(&self.random);
        raw
    }

    /// Parses the text form. Only the canonical spelling is accepted.
    ///
    /// # Errors
    /// Describes the expected form.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = Invalid("must be vrf_ and 44 base58 characters");
        let digits = text
            .strip_prefix(VERIFICATION_PREFIX)
            .filter(|digits| digits.len() == VERIFICATION_CHARS);
        let raw: [u8; 32] = digits
            .and_then(|digits| base58::decode(digits.as_bytes()))
            .ok_or(wrong)?;
        let mut id = Self {
            subject: SubjectKey([0; 16]),
            random: [0; 16],
        };
        id.subject.0.copy_from_slice(&raw[..16]);
        id.random.copy_from_slice(&raw[16..]);
        Ok(id)
    }
}

impl fmt::Display for VerificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERIFICATION_PREFIX)?;
        write_digits(f, &base58::encode::<VERIFICATION_CHARS>(&self.to_bytes()))
    }
}

impl fmt::Debug for VerificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Names one delivery, and is the idempotency id for the provider.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub [u8; 16]);

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dlv_")?;
        write_digits(f, &base58::encode::<22>(&self.0))
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn write_digits(f: &mut fmt::Formatter<'_>, digits: &[u8]) -> fmt::Result {
    f.write_str(std::str::from_utf8(digits).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_verification_id_has_one_spelling_of_fixed_length(subject: [u8; 16], random: [u8; 16]) {
            let id = VerificationId { subject: SubjectKey(subject), random };
            let text = id.to_string();
            prop_assert_eq!(text.len(), 48);
            prop_assert_eq!(VerificationId::parse(&text), Ok(id));
        }
    }

    #[test]
    fn ids_with_leading_zero_bytes_survive() {
        for id in [[0; 16], [255; 16]] {
            let id = VerificationId {
                subject: SubjectKey([0; 16]),
                random: id,
            };
            assert_eq!(VerificationId::parse(&id.to_string()), Ok(id));
        }
        assert!(
            VerificationId::parse(&format!("vrf_{}", "z".repeat(44))).is_err(),
            "a number above 256 bits"
        );
        assert!(VerificationId::parse("vrf_1").is_err());
        assert_eq!(DeliveryId([255; 16]).to_string().len(), 26);
    }

    #[test]
    fn a_subject_has_no_invisible_characters() {
        for bad in [
            "",
            " a",
            "a\n",
            "a\u{200b}b",
            "a\u{202e}b",
            &"x".repeat(129),
        ] {
            assert!(SubjectId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(SubjectId::parse("customer 42 é").is_ok());
        assert_eq!(
            format!("{:?}", SubjectId::parse("s").unwrap()),
            "SubjectId(hidden)"
        );
    }

    #[test]
    fn bind_12_a_text_for_people_says_what_of_it_cannot_be_read() {
        let length = "must be 1 to 3 characters that can be seen, without spaces at either end";
        for (text, expected) in [
            ("abc", None),
            ("\u{e9}\u{1f512}\u{20ac}", None),
            ("", Some(length)),
            ("abcd", Some(length)),
            (" a", Some(length)),
            ("a\u{a0}", Some(length)),
            (
                "a\u{61c}b",
                Some("has U+061C as character 2, which cannot be seen"),
            ),
        ] {
            assert_eq!(visible_problem(text, 3).as_deref(), expected, "{text:?}");
        }
        assert!(UnlockReason::parse("called back\u{202e}").is_err());
        assert!(UnlockReason::parse("called back \u{1f44d}\u{1f3fd}").is_ok());
    }

    #[test]
    fn bind_12_a_locale_is_looked_up_from_the_most_specific_tag() {
        let tags = |text| Locale::parse(text).unwrap().lookup().collect::<Vec<_>>();
        assert_eq!(tags("nl"), ["nl"]);
        assert_eq!(tags("de_DE"), ["de-de", "de"]);
        assert_eq!(tags("pt-BR"), ["pt-br", "pt"]);
        assert_eq!(tags("ZH_Hant-tw"), ["zh-hant-tw", "zh-hant", "zh"]);
        for bad in [
            "",
            "n",
            "de_",
            "_de",
            "de__AT",
            "de AT",
            "de-AT;q=1",
            "../nl",
        ] {
            assert!(Locale::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn priv_04_a_citizen_number_is_recognised() {
        let looks = |text| SubjectId::parse(text).unwrap().looks_like_citizen_number();
        assert!(looks("111222333"));
        assert!(
            !looks("111222334")
                && !looks("000000000")
                && !looks("customer-1")
                && !looks("1112223330")
        );
    }
}

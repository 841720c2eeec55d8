//! The binding: the details of what is approved, in canonical form.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::digest;

use crate::domain::ids::visible_problem;

/// Largest canonical form, in bytes.
pub const CANONICAL_BYTES_MAX: usize = 4096;
/// Longest value, in characters.
pub const VALUE_CHARS_MAX: usize = 512;

/// Whether a text can be the name of a bound value.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Names and values of what is approved, sorted by name; never changed once made.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Binding(BTreeMap<String, String>);

impl Binding {
    /// Checks names and values: each by its grammar, and all together for at most 4 KiB.
    ///
    /// # Errors
    /// All violations: the name that each concerns, and the end of a sentence that begins with it. An empty name stands
    /// for the whole binding.
    pub fn parse(values: BTreeMap<String, String>) -> Result<Self, Vec<(String, String)>> {
        let mut wrong = Vec::new();
        for (name, value) in &values {
            if !is_name(name) {
                let problem = "must have a name of 1 to 32 of a-z, 0-9 and _".to_owned();
                wrong.push((name.clone(), problem));
            } else if let Some(problem) = visible_problem(value, VALUE_CHARS_MAX) {
                wrong.push((name.clone(), problem));
            }
        }
        let binding = Self(values);
        if binding.canonical().len() > CANONICAL_BYTES_MAX {
            let problem = "must be at most 4096 bytes in canonical form".to_owned();
            wrong.push((String::new(), problem));
        }
        if wrong.is_empty() {
            Ok(binding)
        } else {
            Err(wrong)
        }
    }

    /// Takes values that an earlier start checked and stored, by the rules of its time.
    #[must_use]
    pub fn from_stored(values: BTreeMap<String, String>) -> Self {
        Self(values)
    }

    /// The canonical form: names and values in the order of the names' bytes, each preceded by its length
    /// as four big-endian bytes.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in self.0.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }

    /// The SHA-256 hash of the canonical form.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(digest::digest(&digest::SHA256, &self.canonical()).as_ref());
        out
    }

    /// Whether there is a value with this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Binding({} values, hidden)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(values: &[(&str, &str)]) -> Result<Binding, Vec<(String, String)>> {
        Binding::parse(
            values
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn bind_04_order_does_not_matter_and_bytes_do() {
        let digest = |values| binding(values).unwrap().digest();
        assert_eq!(
            digest(&[("a", "1"), ("b", "2")]),
            digest(&[("b", "2"), ("a", "1")])
        );
        assert_ne!(digest(&[("a", "1")]), digest(&[("a", "1.0")]));
        assert_ne!(digest(&[("a", "b")]), digest(&[("b", "a")]));
    }

    #[test]
    fn bind_05_the_digest_is_sha_256_of_the_documented_form() {
        // Computed independently with Python: hashlib.sha256(b'\0\0\0\x06amount\0\0\0\x05100.0')
        let expected = "b3ae6e6e40584b8a1747029a3abbdbcaeab6f4bec41a942108df7c9c6895789b";
        assert_eq!(
            hex::encode(binding(&[("amount", "100.0")]).unwrap().digest()),
            expected
        );
    }

    #[test]
    fn bind_12_what_cannot_be_seen_is_no_part_of_a_value() {
        for hidden in [
            '\u{61c}',
            '\u{202e}',
            '\u{e0041}',
            '\u{3164}',
            '\u{fff9}',
            '\u{fe0f}',
        ] {
            for value in [
                format!("Jan{hidden}sen"),
                format!("{hidden}Jansen"),
                hidden.to_string(),
            ] {
                let wrong = binding(&[("payee", &value)]).unwrap_err();
                let place = value.chars().position(|c| c == hidden).unwrap() + 1;
                assert_eq!(wrong[0].0, "payee", "{hidden:?}");
                let says = format!("has U+{:04X} as character {place}, ", u32::from(hidden));
                assert!(wrong[0].1.starts_with(&says), "{wrong:?}");
                // A verification that an earlier version started can still be answered.
                let stored = BTreeMap::from([("payee".to_owned(), value.clone())]);
                assert!(
                    Binding::from_stored(stored)
                        .iter()
                        .eq([("payee", value.as_str())])
                );
            }
        }
    }

    #[test]
    fn every_violation_is_reported() {
        let wrong = binding(&[
            ("Amount", "1"),
            ("payee", " x"),
            ("ok", "1"),
            ("control", "a\u{0}"),
        ])
        .unwrap_err();
        assert_eq!(wrong.len(), 3);
        let long = "x".repeat(512);
        let many: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h"]
            .map(|n| (n, long.as_str()))
            .to_vec();
        assert_eq!(binding(&many).unwrap_err()[0].0, "");
    }
}

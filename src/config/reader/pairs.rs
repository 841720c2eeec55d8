//! Reads amounts of money, and tables whose keys are not names of settings.

use config::{Value, ValueKind};

use super::{Table, spelling::literal};
use crate::domain::{ids::Invalid, limit::spend::Money};

/// A text, or a number as the operator wrote it. TOML parses a decimal number to a binary one, whose shortest decimal
/// form is the original again.
fn written(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::String(text) => Some(text.clone()),
        ValueKind::I64(number) => Some(number.to_string()),
        ValueKind::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Table<'_> {
    /// Reads an amount of money; the default if absent.
    pub(in crate::config) fn amount(&mut self, key: &str, default: Money) -> Money {
        let Some(value) = self.take(key) else {
            return default;
        };
        match written(&value)
            .ok_or(Invalid("must be an amount, such as 12.50"))
            .and_then(|text| Ok((Money::parse(&text)?, text)))
        {
            Ok((amount, text)) => {
                self.note(key, literal(&text));
                amount
            }
            Err(Invalid(what)) => {
                self.mistake(key, what);
                default
            }
        }
    }

    /// Reads all pairs of this table, in the order of their keys.
    pub(in crate::config) fn pairs(&mut self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for (key, value) in std::mem::take(&mut self.values) {
            match written(&value) {
                Some(text) => {
                    self.note(&literal(&key), literal(&text));
                    pairs.push((key, text));
                }
                None => self.mistake(&key, "must be a text or a number"),
            }
        }
        pairs
    }
}

//! Collects everything that is wrong with the fields of a request, so that one answer can list it all.

use crate::{
    domain::ids::Invalid,
    service::failure::{Failure, FieldViolation},
};

/// The violations found while parsing a request.
#[derive(Default)]
pub(super) struct Fields(Vec<FieldViolation>);

impl Fields {
    /// Adds a violation: the field's path as in the proto, and the rest of the sentence.
    pub(super) fn wrong(&mut self, field: &str, description: impl Into<String>) {
        self.0.push(FieldViolation {
            field: field.to_owned(),
            description: description.into(),
        });
    }

    /// Adds violations that were found elsewhere.
    pub(super) fn extend(&mut self, violations: Vec<FieldViolation>) {
        self.0.extend(violations);
    }

    /// Adds a violation of an enum field: the value found, named as in the proto, and the allowed values.
    pub(super) fn wrong_enum(
        &mut self,
        field: &str,
        found: Option<&str>,
        number: i32,
        allowed: &str,
    ) {
        let found = found.map_or_else(|| format!("the unknown number {number}"), str::to_owned);
        self.wrong(field, format!("is {found}; must be {allowed}"));
    }

    /// Adds a violation of a list field: the number of entries found, and the allowed numbers.
    pub(super) fn wrong_count(&mut self, field: &str, found: usize, allowed: &str) {
        self.wrong(field, format!("has {found} entries; must have {allowed}"));
    }

    /// Returns the parsed value, or adds its violation.
    pub(super) fn take<T>(&mut self, field: &str, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|invalid| self.wrong(field, invalid.0)).ok()
    }

    /// Parses a text that may be empty; an empty one is `None`, and no violation.
    pub(super) fn optional<T>(
        &mut self,
        field: &str,
        text: &str,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        if text.is_empty() {
            None
        } else {
            self.take(field, parse(text))
        }
    }

    /// Returns the parsed request if there are no violations.
    pub(super) fn finish<T>(self, parsed: Option<T>) -> Result<T, Failure> {
        match parsed {
            Some(parsed) if self.0.is_empty() => Ok(parsed),
            _ => Err(Failure::Fields(self.0)),
        }
    }
}

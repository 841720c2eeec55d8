//! Collects what is wrong with the fields of a request, so that all of it is told at once.

use crate::{
    domain::ids::Invalid,
    service::failure::{Failure, FieldViolation},
};

/// Collects violations while fields are parsed.
#[derive(Default)]
pub(super) struct Fields(Vec<FieldViolation>);

impl Fields {
    pub(super) fn wrong(&mut self, field: &str, description: &str) {
        self.0.push(FieldViolation {
            field: field.to_owned(),
            description: description.to_owned(),
        });
    }

    pub(super) fn take<T>(&mut self, field: &str, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|invalid| self.wrong(field, invalid.0)).ok()
    }

    /// An absent text is no violation.
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

    /// What was parsed, if nothing was wrong.
    pub(super) fn finish<T>(self, parsed: Option<T>) -> Result<T, Failure> {
        match parsed {
            Some(parsed) if self.0.is_empty() => Ok(parsed),
            _ => Err(Failure::Fields(self.0)),
        }
    }
}

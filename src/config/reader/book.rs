//! What was read of the settings so far: every mistake, and every value that holds.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::{self, Display, Write as _},
};

/// A mistake in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The key's path; empty for the file as a whole.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub what: String,
}

/// All mistakes of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mistake(s) in the settings:", self.0.len())?;
        for Mistake { key, what } in &self.0 {
            if key.is_empty() {
                write!(f, "\n  {what}")?
            } else {
                write!(f, "\n  {key}: {what}")?
            }
        }
        Ok(())
    }
}

/// What was read so far: mistakes, and each key with the value that holds.
#[derive(Default)]
pub(in crate::config) struct Book {
    mistakes: RefCell<Vec<Mistake>>,
    effective: RefCell<BTreeMap<String, Vec<(String, String)>>>,
}

impl Book {
    pub(in crate::config) fn mistake(&self, key: &str, what: impl Display) {
        self.mistakes.borrow_mut().push(Mistake {
            key: key.to_owned(),
            what: what.to_string(),
        });
    }

    pub(in crate::config) fn is_mistaken(&self, key: &str) -> bool {
        self.mistakes
            .borrow()
            .iter()
            .any(|mistake| mistake.key == key)
    }

    /// A table was read, with or without keys.
    pub(in crate::config) fn note_table(&self, table: &str) {
        self.effective
            .borrow_mut()
            .entry(table.to_owned())
            .or_default();
    }

    /// A key was read, and this holds.
    pub(in crate::config) fn note(&self, table: &str, key: &str, literal: String) {
        self.effective
            .borrow_mut()
            .entry(table.to_owned())
            .or_default()
            .push((key.to_owned(), literal));
    }

    pub(in crate::config) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes.into_inner()
    }

    /// Everything that was read, as TOML.
    pub(in crate::config) fn effective(&self) -> String {
        let mut text = String::new();
        for (table, keys) in self.effective.borrow().iter() {
            let gap = if text.is_empty() { "" } else { "\n" };
            if !table.is_empty() {
                let _ = writeln!(text, "{gap}[{table}]");
            }
            for (key, literal) in keys {
                let _ = writeln!(text, "{key} = {literal}");
            }
        }
        text
    }
}

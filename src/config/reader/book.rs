//! Collects the results of reading the settings: all mistakes, and all values in effect.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::{self, Display, Write as _},
};

use super::masking;
use crate::config::Profile;

/// A mistake in the settings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The path of the key as the operator writes it; empty for the file as a whole.
    pub key: String,
    /// What was found and what is allowed: the end of a sentence that begins with the key.
    pub what: String,
}

/// All mistakes of the settings, sorted by key, without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    /// Adds mistakes, keeping the order by key and dropping duplicates.
    pub fn add(&mut self, more: impl IntoIterator<Item = Mistake>) {
        self.0.extend(more);
        self.0.sort();
        self.0.dedup();
    }

    /// Whether one of them is in this table or in a key below it.
    #[must_use]
    pub fn concern(&self, table: &str) -> bool {
        self.0.iter().any(|mistake| mistake.is_within(table))
    }
}

impl Mistake {
    fn is_within(&self, table: &str) -> bool {
        let rest = self.key.strip_prefix(table);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "1 mistake in the settings:")?,
            count => write!(f, "{count} mistakes in the settings:")?,
        }
        for Mistake { key, what } in &self.0 {
            if key.is_empty() {
                write!(f, "\n  {}", masking::text(what))?;
            } else {
                write!(f, "\n  {key}: {}", masking::text(what))?;
            }
        }
        Ok(())
    }
}

/// The results so far: mistakes, and the value in effect of each key.
pub(in crate::config) struct Book {
    profile: Profile,
    mistakes: RefCell<Vec<Mistake>>,
    effective: RefCell<BTreeMap<String, Vec<(String, String)>>>,
}

impl Book {
    /// An empty book for the settings of this profile.
    pub(in crate::config) fn new(profile: Profile) -> Self {
        Self {
            profile,
            mistakes: RefCell::default(),
            effective: RefCell::default(),
        }
    }

    pub(in crate::config) fn profile(&self) -> Profile {
        self.profile
    }

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

    /// Whether a key has a mistake, or a table that it is in as a whole, so that its value is not known.
    pub(in crate::config) fn is_unknown(&self, key: &str) -> bool {
        let mistakes = self.mistakes.borrow();
        let table = Mistake {
            key: key.to_owned(),
            what: String::new(),
        };
        mistakes.iter().any(|mistake| table.is_within(&mistake.key))
    }

    /// Whether there is a mistake in a table as a whole, or in the name or form of one of its keys, so that it is not
    /// known what the table was meant to have.
    pub(in crate::config) fn is_unclear(&self, table: &str) -> bool {
        let mistakes = self.mistakes.borrow();
        mistakes.iter().any(|mistake| {
            let rest = mistake.key.strip_prefix(table);
            let rest = rest.map(|rest| rest.strip_prefix('.').unwrap_or(rest));
            mistake.is_within(table) && rest.is_some_and(|rest| !rest.contains('.'))
        })
    }

    /// Whether there is a mistake in this table or in a key below it.
    pub(in crate::config) fn is_mistaken_within(&self, table: &str) -> bool {
        let mistakes = self.mistakes.borrow();
        mistakes.iter().any(|mistake| mistake.is_within(table))
    }

    /// Records that a table was read, even if it has no keys.
    pub(in crate::config) fn note_table(&self, table: &str) {
        self.effective
            .borrow_mut()
            .entry(table.to_owned())
            .or_default();
    }

    /// Records the value in effect of a key.
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

    /// Everything that was read, as TOML. Secrets are in files, so only their paths appear.
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

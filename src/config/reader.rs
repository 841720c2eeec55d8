//! Reads tables of settings: converts and checks each key, and collects all mistakes instead of stopping at the
//! first.

pub(super) mod book;
mod files;
mod lists;
pub(super) mod masking;
mod numbers;
mod pairs;
pub(super) mod spelling;

use std::{collections::BTreeMap, fmt::Display};

use config::{Value, ValueKind};

use super::{
    Profile,
    reader::{
        book::Book,
        spelling::{hint, literal},
    },
};

/// One table of the settings; each key is removed from it when read.
pub(super) struct Table<'a> {
    path: String,
    values: BTreeMap<String, Value>,
    known: Vec<String>,
    /// Stands for a value that is no table: what is missing in it is no mistake of its own.
    is_void: bool,
    book: &'a Book,
}

impl<'a> Table<'a> {
    pub(super) fn root(values: config::Map<String, Value>, book: &'a Book) -> Self {
        Self::new(String::new(), values, book)
    }

    fn new(path: String, values: config::Map<String, Value>, book: &'a Book) -> Self {
        book.note_table(&path);
        Self {
            path,
            values: values.into_iter().collect(),
            known: Vec::new(),
            is_void: false,
            book,
        }
    }

    /// A table within this one.
    fn within(&self, path: String, values: config::Map<String, Value>) -> Self {
        Self {
            is_void: self.is_void,
            ..Self::new(path, values, self.book)
        }
    }

    /// Whether the settings are for production.
    pub(super) fn is_production(&self) -> bool {
        self.book.profile() == Profile::Production
    }

    /// The full path of a key of this table, as the operator writes it.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The keys of this table that have not been read yet.
    pub(super) fn keys(&self) -> Vec<String> {
        self.values.keys().cloned().collect()
    }

    /// Whether a key that has not been read yet has a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.get(key).is_some_and(|value| !is_empty(value))
    }

    /// The text of a key that has not been read yet.
    pub(super) fn peek(&self, key: &str) -> Option<String> {
        self.values.get(key)?.clone().into_string().ok()
    }

    /// Records a mistake in the value of a key; `what` continues a sentence that begins with the key.
    pub(super) fn mistake(&self, key: &str, what: impl Display) {
        self.mistake_at(&self.path(key), what);
    }

    /// Records a mistake in the table as a whole.
    pub(super) fn mistake_here(&self, what: impl Display) {
        self.mistake_at(&self.path, what);
    }

    /// Records a mistake in a key that is given by its full path.
    pub(super) fn mistake_at(&self, path: &str, what: impl Display) {
        if !self.is_void {
            self.book.mistake(path, what);
        }
    }

    /// Records a mistake together with the value found.
    fn mistaken(&self, key: &str, found: impl Display, what: impl Display) {
        self.mistake(key, format!("is {found}; it {what}"));
    }

    /// Whether a mistake in this key was recorded.
    pub(super) fn is_mistaken(&self, key: &str) -> bool {
        self.is_void || self.book.is_mistaken(&self.path(key))
    }

    fn note(&self, key: &str, literal: String) {
        self.book.note(&self.path, key, literal);
    }

    /// The raw value of a key; an empty text counts as absent.
    fn take(&mut self, key: &str) -> Option<Value> {
        self.known.push(key.to_owned());
        self.values.remove(key).filter(|value| !is_empty(value))
    }

    /// Reads an optional text; a number is taken as text.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let value = self.take(key)?;
        let text = match value.kind {
            ValueKind::String(text) => text,
            ValueKind::I64(number) => number.to_string(),
            _ => {
                self.mistaken(key, kind(&value), "must be text in quotes");
                return None;
            }
        };
        self.note(key, literal(&masking::text(&text)));
        Some(text)
    }

    /// Whether a mistake in this key, or in a key below it, was recorded.
    pub(super) fn is_mistaken_within(&self, key: &str) -> bool {
        self.is_void || self.book.is_mistaken_within(&self.path(key))
    }

    /// Whether a mistake in this table as a whole was recorded.
    pub(super) fn is_mistaken_here(&self) -> bool {
        self.is_void || self.book.is_mistaken(&self.path)
    }

    /// Whether a mistake in this table of the root as a whole, or in the name or form of one of its keys, was recorded.
    pub(super) fn is_root_unclear(&self, key: &str) -> bool {
        self.book.is_unclear(key)
    }

    /// Whether a mistake in this key of the root, or in a key below it, was recorded.
    pub(super) fn is_root_mistaken(&self, key: &str) -> bool {
        self.book.is_mistaken_within(key)
    }

    /// Reads a required text; if it is absent, records a mistake.
    pub(super) fn required(&mut self, key: &str) -> Option<String> {
        let text = self.text(key);
        if text.is_none() && !self.is_mistaken(key) {
            self.mistake(key, "is required");
        }
        text
    }

    /// Reads a required text and parses it; `parse` fails with the end of a sentence, such as "must be a number".
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.required(key)?;
        self.understood(key, &text, parse)
    }

    /// Reads an optional text and parses it.
    pub(super) fn parsed_if_any<T, E: Display>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key)?;
        self.understood(key, &text, parse)
    }

    fn understood<T, E: Display>(
        &self,
        key: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(text) {
            Ok(meaning) => Some(meaning),
            Err(error) => {
                self.mistaken(key, format!("{:?}", masking::text(text)), error);
                None
            }
        }
    }

    /// Reads one of several words; the default if absent.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)], default: T) -> T {
        self.parsed_if_any(key, |text| one_of(words, text))
            .unwrap_or(default)
    }

    /// Reads one of several words; if it is absent, records a mistake.
    pub(super) fn required_word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        self.parsed(key, |text| one_of(words, text))
    }

    /// Reads `true` or `false`; the default if absent.
    pub(super) fn switch(&mut self, key: &str, default: bool) -> bool {
        let switch = match self.take(key).map(Value::into_bool) {
            None => default,
            Some(Ok(switch)) => switch,
            Some(Err(_)) => {
                self.mistake(key, "must be true or false");
                default
            }
        };
        self.note(key, switch.to_string());
        switch
    }

    /// Reads a table within this one; an empty table if absent.
    pub(super) fn table(&mut self, key: &str) -> Self {
        let (values, is_void) = match self.take(key).map(Value::into_table) {
            None => (config::Map::new(), false),
            Some(Ok(values)) => (values, false),
            Some(Err(_)) => {
                self.mistake(key, "must be a table");
                (config::Map::new(), true)
            }
        };
        let mut table = self.within(self.path(key), values);
        table.is_void |= is_void;
        table
    }

    /// Reads a table within this one; `None` if absent.
    pub(super) fn table_if_any(&mut self, key: &str) -> Option<Table<'a>> {
        if self.values.contains_key(key) {
            Some(self.table(key))
        } else {
            self.known.push(key.to_owned());
            None
        }
    }

    /// Reads a list of tables.
    pub(super) fn tables(&mut self, key: &str) -> Vec<Table<'a>> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let rows: Result<Vec<_>, _> = value
            .into_array()
            .and_then(|rows| rows.into_iter().map(Value::into_table).collect());
        let Ok(rows) = rows else {
            self.mistake(key, "must be a list of tables");
            return Vec::new();
        };
        let path = |at: usize| format!("{}.{at}", self.path(key));
        rows.into_iter()
            .enumerate()
            .map(|(at, row)| self.within(path(at), row))
            .collect()
    }

    /// Reads all tables within this one, with their names.
    pub(super) fn named(&mut self) -> Vec<(String, Table<'a>)> {
        let mut tables = Vec::new();
        for (name, value) in std::mem::take(&mut self.values) {
            match value.into_table() {
                Ok(values) => {
                    let table = self.within(self.path(&name), values);
                    tables.push((name, table));
                }
                Err(_) => self.mistake(&name, "must be a table"),
            }
        }
        tables
    }

    /// Ends the reading of a table: each key that was not read is a mistake.
    pub(super) fn finish(self) {
        for key in self.values.keys() {
            let hint = hint(self.known.iter().map(String::as_str), key);
            self.mistake(key, format!("is not a setting{hint}"));
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match &value.kind {
        ValueKind::Nil => true,
        ValueKind::String(text) => text.is_empty(),
        _ => false,
    }
}

/// The value that a word stands for.
fn one_of<T: Copy>(words: &[(&str, T)], text: &str) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text);
    found
        .map(|(_, meaning)| *meaning)
        .ok_or_else(|| format!("must be one of {}", names(words)))
}

/// The allowed words, for a message.
fn names<T>(words: &[(&str, T)]) -> String {
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    names.join(", ")
}

/// The kind of a value, for a message.
fn kind(value: &Value) -> &'static str {
    match value.kind {
        ValueKind::Nil => "empty",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
            "a number"
        }
        ValueKind::Float(_) => "a number with a point",
        ValueKind::String(_) => "text",
        ValueKind::Table(_) => "a table",
        ValueKind::Array(_) => "a list",
    }
}

//! Reads tables of settings: converts and checks each key, and remembers every mistake instead of stopping at the first.

pub(super) mod book;
mod pairs;
pub(super) mod spelling;

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive, time::Duration};

use config::{Value, ValueKind};

use super::reader::{
    book::Book,
    spelling::{is_near, literal},
};

/// One table of the settings.
pub(super) struct Table<'a> {
    path: String,
    values: BTreeMap<String, Value>,
    known: Vec<String>,
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
            book,
        }
    }

    /// The path of a key of this table.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub(super) fn mistake(&self, key: &str, what: impl Display) {
        self.book.mistake(&self.path(key), what);
    }

    /// The keys that it holds and nobody asked for yet.
    pub(super) fn keys(&self) -> Vec<String> {
        self.values.keys().cloned().collect()
    }

    /// A mistake of the table as a whole.
    pub(super) fn mistake_here(&self, what: impl Display) {
        self.book.mistake(&self.path, what);
    }

    fn note(&self, key: &str, literal: String) {
        self.book.note(&self.path, key, literal);
    }

    /// The raw value; an empty text is as good as none.
    fn take(&mut self, key: &str) -> Option<Value> {
        self.known.push(key.to_owned());
        let value = self.values.remove(key)?;
        let is_empty = matches!(&value.kind, ValueKind::String(text) if text.is_empty())
            || matches!(value.kind, ValueKind::Nil);
        (!is_empty).then_some(value)
    }

    /// A text, or none.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let value = self.take(key)?;
        match &value.kind {
            ValueKind::String(text) => {
                self.note(key, literal(text));
                Some(text.clone())
            }
            ValueKind::I64(number) => {
                self.note(key, literal(&number.to_string()));
                Some(number.to_string())
            }
            _ => {
                self.mistake(key, "must be a text");
                None
            }
        }
    }

    /// A text that must not be shown.
    pub(super) fn masked(&mut self, key: &str) -> Option<String> {
        let Some(value) = self.take(key) else {
            self.mistake(key, "is required");
            return None;
        };
        self.note(key, literal("(masked)"));
        value.into_string().ok()
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, key: &str) -> Option<String> {
        let text = self.text(key);
        if text.is_none() && !self.is_mistaken(key) {
            self.mistake(key, "is required");
        }
        text
    }

    /// What a text means.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.required(key)?;
        parse(&text).map_err(|error| self.mistake(key, error)).ok()
    }

    /// One of several words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)], default: T) -> T {
        let Some(text) = self.text(key) else {
            return default;
        };
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.mistake(key, format!("must be one of {}", all.join(", ")));
        }
        found.map_or(default, |(_, meaning)| *meaning)
    }

    /// A number within bounds; the default where there is none.
    pub(super) fn number(&mut self, key: &str, default: u64, bounds: &RangeInclusive<u64>) -> u64 {
        let number = match self.take(key).map(|value| value.into_int()) {
            None => default,
            Some(Ok(number)) => {
                let fits = u64::try_from(number)
                    .ok()
                    .filter(|number| bounds.contains(number));
                if fits.is_none() {
                    self.mistake(
                        key,
                        format!(
                            "{number} is not within {} to {}",
                            bounds.start(),
                            bounds.end()
                        ),
                    );
                }
                fits.unwrap_or(default)
            }
            Some(Err(_)) => {
                self.mistake(
                    key,
                    format!(
                        "must be a whole number within {} to {}",
                        bounds.start(),
                        bounds.end()
                    ),
                );
                default
            }
        };
        self.note(key, number.to_string());
        number
    }

    /// A number that is known to fit the type, because its bounds do.
    pub(super) fn small<T: TryFrom<u64> + Default>(
        &mut self,
        key: &str,
        default: u64,
        bounds: &RangeInclusive<u64>,
    ) -> T {
        T::try_from(self.number(key, default, bounds)).unwrap_or_default()
    }

    pub(super) fn millis(
        &mut self,
        key: &str,
        default: u64,
        bounds: &RangeInclusive<u64>,
    ) -> Duration {
        Duration::from_millis(self.number(key, default, bounds))
    }

    pub(super) fn seconds(
        &mut self,
        key: &str,
        default: u64,
        bounds: &RangeInclusive<u64>,
    ) -> Duration {
        Duration::from_secs(self.number(key, default, bounds))
    }

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

    /// A list of texts; from the environment with commas between them. None where there is none.
    pub(super) fn list(&mut self, key: &str) -> Option<Vec<String>> {
        let value = self.take(key)?;
        let texts: Option<Vec<String>> = match value.kind {
            ValueKind::String(text) => {
                Some(text.split(',').map(|part| part.trim().to_owned()).collect())
            }
            ValueKind::Array(values) => values
                .into_iter()
                .map(|value| value.into_string().ok())
                .collect(),
            _ => None,
        };
        match &texts {
            Some(texts) => self.note_list(key, texts),
            None => self.mistake(key, "must be a list of texts"),
        }
        texts
    }

    /// A table of texts, sorted by name.
    pub(super) fn texts(&mut self, key: &str) -> Vec<(String, String)> {
        let Some(values) = self.take(key).map(Value::into_table) else {
            return Vec::new();
        };
        let text = |(name, value): (String, Value)| Some((name, value.into_string().ok()?));
        let texts: Option<Vec<_>> = values
            .ok()
            .and_then(|values| values.into_iter().map(text).collect());
        let Some(mut texts) = texts else {
            self.mistake(key, "must be a table of texts");
            return Vec::new();
        };
        texts.sort();
        let all: Vec<String> = texts
            .iter()
            .map(|(name, text)| format!("{} = {}", literal(name), literal(text)))
            .collect();
        self.note(key, format!("{{ {} }}", all.join(", ")));
        texts
    }

    pub(super) fn note_list(&self, key: &str, texts: &[String]) {
        let all: Vec<String> = texts.iter().map(|text| literal(text)).collect();
        self.note(key, format!("[{}]", all.join(", ")));
    }

    /// A list of words, each with a meaning; the default where there is none.
    pub(super) fn words<T: Copy>(
        &mut self,
        key: &str,
        all: &[(&str, T)],
        default: &[(&str, T)],
    ) -> Vec<T> {
        let Some(texts) = self.list(key) else {
            self.note_list(
                key,
                &default
                    .iter()
                    .map(|(word, _)| (*word).to_owned())
                    .collect::<Vec<_>>(),
            );
            return default.iter().map(|(_, meaning)| *meaning).collect();
        };
        let mut meanings = Vec::new();
        for text in texts {
            let found = all.iter().find(|(word, _)| *word == text);
            if found.is_none() {
                let words: Vec<&str> = all.iter().map(|(word, _)| *word).collect();
                self.mistake(key, format!("{text:?} is none of {}", words.join(", ")));
            }
            meanings.extend(found.map(|(_, meaning)| *meaning));
        }
        meanings
    }

    /// A list of words that must hold at least one.
    pub(super) fn required_words<T: Copy>(&mut self, key: &str, all: &[(&str, T)]) -> Vec<T> {
        let words = self.words(key, all, &[]);
        if words.is_empty() && !self.is_mistaken(key) {
            let names: Vec<&str> = all.iter().map(|(word, _)| *word).collect();
            self.mistake(
                key,
                format!("must name at least one of {}", names.join(", ")),
            );
        }
        words
    }

    fn is_mistaken(&self, key: &str) -> bool {
        self.book.is_mistaken(&self.path(key))
    }

    /// A table within this one; empty where there is none.
    pub(super) fn table(&mut self, key: &str) -> Table<'a> {
        let values = match self.take(key).map(Value::into_table) {
            None => config::Map::new(),
            Some(Ok(values)) => values,
            Some(Err(_)) => {
                self.mistake(key, "must be a table");
                config::Map::new()
            }
        };
        Table::new(self.path(key), values, self.book)
    }

    /// A table within this one, if it is there.
    pub(super) fn table_if_any(&mut self, key: &str) -> Option<Table<'a>> {
        if self.values.contains_key(key) {
            Some(self.table(key))
        } else {
            self.known.push(key.to_owned());
            None
        }
    }

    /// The tables of a list of tables.
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
            .map(|(at, row)| Table::new(path(at), row, self.book))
            .collect()
    }

    /// Every table of a table of tables, with its name.
    pub(super) fn named(&mut self) -> Vec<(String, Table<'a>)> {
        let mut tables = Vec::new();
        for (name, value) in std::mem::take(&mut self.values) {
            match value.into_table() {
                Ok(values) => tables.push((
                    name.clone(),
                    Table::new(self.path(&name), values, self.book),
                )),
                Err(_) => self.mistake(&name, "must be a table"),
            }
        }
        tables
    }

    /// Keys that nobody asked for are mistakes.
    pub(super) fn finish(self) {
        for key in self.values.keys() {
            let near = self.known.iter().find(|known| is_near(known, key));
            let hint = near.map_or_else(String::new, |known| format!("; did you mean {known}?"));
            self.mistake(key, format!("is no setting{hint}"));
        }
    }
}

//! Reads lists of texts or words, and tables of texts.

use std::borrow::Cow;

use config::{Value, ValueKind};

use super::{Table, kind, masking, names, one_of, spelling::literal};

/// The name of a file, which is no secret.
fn as_is<'a>(_name: &str, file: &'a str) -> Cow<'a, str> {
    Cow::Borrowed(file)
}

impl Table<'_> {
    /// Reads a list of texts; in environment variables they are separated by commas. `None` if absent.
    pub(in crate::config) fn list(&mut self, key: &str) -> Option<Vec<String>> {
        let texts = self.take_list(key)?;
        self.note_list(key, &texts);
        Some(texts)
    }

    /// Reads a required list of texts that must not be shown; one text is a list of one.
    pub(in crate::config) fn masked_list(&mut self, key: &str) -> Option<Vec<String>> {
        let texts = self.take_list(key);
        match &texts {
            Some(texts) if texts.len() == 1 => self.note(key, literal(masking::MASKED)),
            Some(texts) => {
                let shown = vec![masking::MASKED.to_owned(); texts.len()];
                self.note_list(key, &shown);
            }
            None if self.is_mistaken(key) => {}
            None => self.mistake(key, "is required"),
        }
        texts
    }

    fn take_list(&mut self, key: &str) -> Option<Vec<String>> {
        let value = self.take(key)?;
        let found = kind(&value);
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
        if texts.is_none() {
            self.mistaken(key, found, "must be a list of texts");
        }
        texts
    }

    /// Records a list as the value in effect.
    pub(in crate::config) fn note_list(&self, key: &str, texts: &[String]) {
        let shown = |text: &String| literal(&masking::text(text));
        let all: Vec<String> = texts.iter().map(shown).collect();
        self.note(key, format!("[{}]", all.join(", ")));
    }

    /// Reads a table of texts, sorted by name; empty if absent. Secrets among them are masked where they are shown.
    pub(in crate::config) fn texts(&mut self, key: &str) -> Vec<(String, String)> {
        self.shown_texts(key, masking::field)
    }

    /// Reads a table of the names of files, sorted by name; empty if absent.
    pub(super) fn files(&mut self, key: &str) -> Vec<(String, String)> {
        self.shown_texts(key, as_is)
    }

    fn shown_texts(
        &mut self,
        key: &str,
        shown: for<'a> fn(&str, &'a str) -> Cow<'a, str>,
    ) -> Vec<(String, String)> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let Some(mut texts) = texts(value) else {
            self.mistake(key, "must be a table of texts, such as { name = \"text\" }");
            return Vec::new();
        };
        texts.sort();
        let all: Vec<String> = texts
            .iter()
            .map(|(name, text)| format!("{} = {}", literal(name), literal(&shown(name, text))))
            .collect();
        self.note(key, format!("{{ {} }}", all.join(", ")));
        texts
    }

    /// Reads a list of words, each of which stands for a value; the default if absent.
    pub(in crate::config) fn words<T: Copy>(
        &mut self,
        key: &str,
        all: &[(&str, T)],
        default: &[(&str, T)],
    ) -> Vec<T> {
        let Some(texts) = self.list(key) else {
            let names: Vec<_> = default.iter().map(|(word, _)| (*word).to_owned()).collect();
            self.note_list(key, &names);
            return default.iter().map(|(_, meaning)| *meaning).collect();
        };
        let mut meanings = Vec::new();
        for text in texts {
            match one_of(all, &text) {
                Ok(meaning) => meanings.push(meaning),
                Err(what) => self.mistake(key, format!("has {text:?}; each {what}")),
            }
        }
        meanings
    }

    /// Reads a list of words with at least one.
    pub(in crate::config) fn required_words<T: Copy>(
        &mut self,
        key: &str,
        all: &[(&str, T)],
    ) -> Vec<T> {
        let words = self.words(key, all, &[]);
        if words.is_empty() && !self.is_mistaken(key) {
            self.mistake(key, format!("must name at least one of {}", names(all)));
        }
        words
    }
}

fn texts(value: Value) -> Option<Vec<(String, String)>> {
    let text = |(name, value): (String, Value)| Some((name, value.into_string().ok()?));
    value.into_table().ok()?.into_iter().map(text).collect()
}

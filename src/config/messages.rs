//! `[messages]` and `[labels]`: the texts of messages, and the rules for SMS.

use std::{collections::BTreeMap, path::PathBuf};

use super::Table;
use crate::{
    domain::{
        ids::{ActionName, Invalid, Locale, visible_problem},
        verification::binding::is_name,
    },
    message::{BRAND_CHARS_MAX, EmbeddedMark, SmsRules, TextByLanguage},
};

/// The texts of messages.
#[derive(Clone, Debug)]
pub struct MessageSettings {
    /// The directory of texts that replace built-in ones and add languages.
    pub templates_dir: Option<PathBuf>,
    /// The language of messages if a start has no locale, or one in a language without texts; a tag such as `nl`.
    pub default_language: String,
    /// What customers read for each action, by language: `title` of `[actions.NAME]`.
    pub titles: BTreeMap<ActionName, TextByLanguage>,
    /// What customers read for each bound name, by language: `[labels]`.
    pub labels: BTreeMap<String, TextByLanguage>,
    /// The name under which customers know the organisation that sends the messages.
    pub brand: String,
    /// The limits of an SMS, and the lines at its end that let phones fill in the code.
    pub sms: SmsRules,
}

impl MessageSettings {
    /// Reads both tables; the titles come from the tables of the actions.
    pub(super) fn read(
        mut table: Table<'_>,
        labels: Table<'_>,
        titles: BTreeMap<ActionName, TextByLanguage>,
    ) -> Self {
        let marks = [("@", EmbeddedMark::At), ("%", EmbeddedMark::Percent)];
        let settings = Self {
            templates_dir: table.file("templates_dir"),
            default_language: table.parsed("default_language", tag).unwrap_or_default(),
            titles,
            labels: self::labels(labels),
            brand: table.parsed("brand", brand).unwrap_or_default(),
            sms: SmsRules {
                web_host: table.text("web_host"),
                web_embedded_host: table.text("web_embedded_host"),
                web_embedded_mark: table.word("web_embedded_mark", &marks, EmbeddedMark::At),
                android_hash: table.text("android_hash"),
                segments_max: table.small("sms_segments_max", 1, &(1..=3)),
                ucs2: table.switch("sms_ucs2", false),
            },
        };
        table.finish();
        settings
    }
}

/// The labels by bound name.
fn labels(mut table: Table<'_>) -> BTreeMap<String, TextByLanguage> {
    let mut labels = BTreeMap::new();
    for name in table.keys() {
        let texts = table.texts(&name).into_iter().collect();
        if is_name(&name) {
            labels.insert(name, texts);
        } else {
            table.mistake(&name, "is not a bound name: 1 to 32 of a-z, 0-9 and _");
        }
    }
    table.finish();
    labels
}

/// Checks a language tag. Whether the language has texts is checked when they are loaded.
pub(super) fn tag(text: &str) -> Result<String, Invalid> {
    Locale::parse(text).map(|locale| locale.as_str().to_owned())
}

/// Checks a brand name: short enough for an SMS, without characters that cannot be seen.
pub(super) fn brand(text: &str) -> Result<String, String> {
    match visible_problem(text, BRAND_CHARS_MAX) {
        None => Ok(text.to_owned()),
        Some(problem) => Err(problem),
    }
}

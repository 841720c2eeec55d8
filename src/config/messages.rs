//! `[messages]`: the texts, and what an SMS ends with.

use std::path::PathBuf;

use super::Table;
use crate::message::SmsRules;

/// The texts of messages.
#[derive(Clone, Debug)]
pub struct MessageSettings {
    /// Directory of templates that replace the built-in ones.
    pub templates_dir: Option<PathBuf>,
    /// Language for starts without a locale, or with one of another language, as a tag.
    pub default_language: String,
    /// Sender of the messages as customers know it.
    pub brand: String,
    /// What holds for SMS.
    pub sms: SmsRules,
}

impl MessageSettings {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let languages = ["en", "de", "nl", "es", "fr"].map(|tag| (tag, tag));
        let settings = Self {
            templates_dir: table.file("templates_dir"),
            default_language: table.word("default_language", &languages, "en").to_owned(),
            brand: table.parsed("brand", brand).unwrap_or_default(),
            sms: SmsRules {
                web_host: table.text("web_host"),
                web_embedded_host: table.text("web_embedded_host"),
                android_hash: table.text("android_hash"),
                segments_max: table.small("sms_segments_max", 1, &(1..=3)),
                ucs2: table.switch("sms_ucs2", false),
            },
        };
        table.finish();
        settings
    }
}

/// A name that customers know and that fits into an SMS.
pub(super) fn brand(text: &str) -> Result<String, &'static str> {
    let is_short = text.chars().count() <= 40 && text.trim() == text;
    if is_short && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 40 printable characters, without spaces at either end")
    }
}

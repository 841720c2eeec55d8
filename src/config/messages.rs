//! `[messages]`: the texts of messages, and the rules for SMS.

use std::path::PathBuf;

use super::Table;
use crate::message::{BRAND_CHARS_MAX, SmsRules};

/// The texts of messages.
#[derive(Clone, Debug)]
pub struct MessageSettings {
    /// The directory of templates that replace built-in ones.
    pub templates_dir: Option<PathBuf>,
    /// The language of messages if a start has no locale, or one in a language without texts; a tag such as `nl`.
    pub default_language: String,
    /// The name under which customers know the organisation that sends the messages.
    pub brand: String,
    /// The limits of an SMS, and the lines at its end that let phones fill in the code.
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

// The message below names the limit.
const _: () = assert!(BRAND_CHARS_MAX == 40);

/// Checks a brand name: short enough for an SMS, without control characters.
pub(super) fn brand(text: &str) -> Result<String, &'static str> {
    let is_short = text.chars().count() <= BRAND_CHARS_MAX && text.trim() == text;
    if is_short && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 40 printable characters, without spaces at either end")
    }
}

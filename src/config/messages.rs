//! `[messages]`: the texts, and what stands at the end of an SMS.

use std::path::PathBuf;

use super::Table;

/// The texts.
#[derive(Clone, Debug)]
pub struct MessageSettings {
    /// Files that take the place of the built-in ones.
    pub templates_dir: Option<PathBuf>,
    /// For customers without a language of ours.
    pub default_language: String,
    /// Who the messages are from.
    pub brand: String,
    /// The host of the page on which a code of an SMS is typed.
    pub web_host: Option<String>,
    /// The host of a page embedded in it.
    pub web_embedded_host: Option<String>,
    /// The hash of the Android app that reads the code.
    pub android_hash: Option<String>,
    /// Most segments of an SMS.
    pub sms_segments_max: usize,
    /// May an SMS hold characters beyond its own alphabet?
    pub sms_ucs2: bool,
}

impl MessageSettings {
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let languages = ["en", "de", "nl", "es", "fr"].map(|tag| (tag, tag));
        let settings = Self {
            templates_dir: table.text("templates_dir").map(PathBuf::from),
            default_language: table.word("default_language", &languages, "en").to_owned(),
            brand: table.parsed("brand", brand).unwrap_or_default(),
            web_host: table.text("web_host"),
            web_embedded_host: table.text("web_embedded_host"),
            android_hash: table.text("android_hash"),
            sms_segments_max: table.small("sms_segments_max", 1, &(1..=3)),
            sms_ucs2: table.switch("sms_ucs2", false),
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
        Err("must be 1 to 40 printable characters")
    }
}

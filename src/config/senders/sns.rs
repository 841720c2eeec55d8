//! `kind = "sns"`: SMS through Amazon SNS.

use super::{ConfiguredSender, Section, connection};
use crate::sender::sns::SnsSettings;

pub(super) fn read(section: &mut Section<'_>) -> ConfiguredSender {
    let row = &mut section.row;
    let region = row.parsed("region", region);
    let access_key_id = row.required_secret("access_key_id_file");
    let secret_access_key = row.required_secret("secret_access_key_file");
    let session_token = row.secret("session_token_file");
    let sender_id = row.parsed_if_any("sender_id", sender_id);
    let base_url = row.text("base_url");
    let connection = connection(row);
    let region = region.unwrap_or_default();
    ConfiguredSender::silent(SnsSettings {
        base_url: base_url.unwrap_or_else(|| format!("https://sns.{region}.amazonaws.com")),
        region,
        access_key_id: access_key_id.unwrap_or_default(),
        secret_access_key: secret_access_key.unwrap_or_default(),
        session_token,
        sender_id,
        connection,
    })
}

fn region(text: &str) -> Result<String, &'static str> {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.len() <= 32 && text.bytes().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("must be a region such as eu-central-1")
    }
}

fn sender_id(text: &str) -> Result<String, &'static str> {
    let fits = (1..=11).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric())
        && text.bytes().any(|b| b.is_ascii_alphabetic());
    if fits {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 11 letters and digits, with at least one letter")
    }
}

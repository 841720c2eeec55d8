//! `kind = "sns"`: SMS by Amazon.

use std::path::PathBuf;

use super::{super::Table, http::Connection};

/// Amazon SNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnsSender {
    /// The region that sends.
    pub region: String,
    /// The file of the access key's name.
    pub access_key_id_file: PathBuf,
    /// The file of the access key.
    pub secret_access_key_file: PathBuf,
    /// The file of the session token, of credentials that end by themselves.
    pub session_token_file: Option<PathBuf>,
    /// Who messages are from.
    pub sender_id: Option<String>,
    /// Where the API is.
    pub base_url: String,
    /// How it is reached.
    pub connection: Connection,
}

pub(super) fn sns(row: &mut Table<'_>) -> Option<SnsSender> {
    let region = row.parsed("region", |text| {
        let fits = text.len() <= 32
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(text.to_owned())
        } else {
            Err("must be a region such as eu-central-1")
        }
    });
    let key_id = row.required("access_key_id_file").map(PathBuf::from);
    let secret = row.required("secret_access_key_file").map(PathBuf::from);
    let session_token_file = row.text("session_token_file").map(PathBuf::from);
    let sender_id = row.text("sender_id");
    let is_sender = |id: &String| {
        (1..=11).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric())
            && id.bytes().any(|b| b.is_ascii_alphabetic())
    };
    if sender_id.as_ref().is_some_and(|id| !is_sender(id)) {
        row.mistake(
            "sender_id",
            "must be 1 to 11 letters and digits, with a letter",
        );
    }
    let base_url = row.text("base_url");
    let connection = Connection::read(row);
    let region = region?;
    Some(SnsSender {
        base_url: base_url.unwrap_or_else(|| format!("https://sns.{region}.amazonaws.com")),
        region,
        access_key_id_file: key_id?,
        secret_access_key_file: secret?,
        session_token_file,
        sender_id,
        connection,
    })
}

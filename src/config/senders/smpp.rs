//! A sender of kind "smpp": a message centre, and who the messages are from.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use super::super::{Profile, Table};

/// What a login has room for (SMPP 3.4 §4.1.5).
const SYSTEM_ID_MAX: usize = 15;
const SYSTEM_TYPE_MAX: usize = 12;

/// A message centre.
#[derive(Clone, Debug)]
pub struct SmppSender {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Is the connection encrypted?
    pub tls: bool,
    /// More certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Who we are.
    pub system_id: String,
    /// The file of the password.
    pub password_file: PathBuf,
    /// What kind of client we are; empty: none.
    pub system_type: String,
    /// Who the messages are from.
    pub from: String,
    /// Of one hand-over.
    pub timeout: Duration,
    /// Messages that wait for their answers at a time.
    pub window: u32,
    /// So much silence, and we ask whether anybody is there.
    pub enquire_every: Duration,
}

pub(super) fn smpp(row: &mut Table<'_>, profile: Profile) -> Option<SmppSender> {
    let host = row.required("host");
    let tls = row.word("tls", &[("implicit", true), ("none", false)], true);
    if profile == Profile::Production
        && !tls
        && !host.as_deref().is_some_and(super::smtp::is_loopback)
    {
        row.mistake(
            "tls",
            "must be implicit in production, unless the host is on loopback",
        );
    }
    let (system_id, password_file, from) = (
        row.required("system_id"),
        row.required("password_file"),
        row.required("from"),
    );
    let system_type = row.text("system_type").unwrap_or_default();
    let of_login = [
        ("system_id", system_id.as_deref(), SYSTEM_ID_MAX),
        ("system_type", Some(&*system_type), SYSTEM_TYPE_MAX),
    ];
    for (key, text, max) in of_login {
        if text.is_some_and(|text| {
            text.len() > max || !text.bytes().all(|byte| byte.is_ascii_graphic())
        }) {
            row.mistake(
                key,
                format!("must be at most {max} visible ASCII characters"),
            );
        }
    }
    if from.as_deref().is_some_and(|from| !is_source(from)) {
        row.mistake(
            "from",
            "must be a number such as +31612345678, a short code of 3 to 8 digits, or a name of at most 11 characters",
        );
    }
    Some(SmppSender {
        port: row.small("port", if tls { 3550 } else { 2775 }, &(1..=65_535)),
        tls,
        ca_file: row.text("ca_file").map(PathBuf::from),
        system_type,
        timeout: row.millis("timeout_ms", 10_000, &(100..=60_000)),
        window: row.small("window", 10, &(1..=1000)),
        enquire_every: row.seconds("enquire_link_s", 30, &(1..=600)),
        host: host?,
        system_id: system_id?,
        password_file: password_file?.into(),
        from: from?,
    })
}

/// A number with its plus, a short code, or a name.
fn is_source(text: &str) -> bool {
    let is_number = |digits: &str, lengths: RangeInclusive<usize>| {
        lengths.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_name = text
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && text.bytes().any(|b| !b.is_ascii_digit());
    match text.strip_prefix('+') {
        Some(number) => is_number(number, 1..=15),
        None => is_number(text, 3..=8) || ((1..=11).contains(&text.len()) && is_name),
    }
}

//! A sender of kind "smtp": a mail server, and who signs the mails.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use super::super::{Profile, Table};

/// How a mail connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// Not at all.
    None,
    /// By STARTTLS, or nothing is sent.
    Starttls,
    /// From the first byte on.
    Implicit,
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who the mail is from.
    pub from: String,
    /// How the connection is encrypted.
    pub tls: SmtpTls,
    /// The user name, if it wants one.
    pub username: Option<String>,
    /// The file of the password.
    pub password_file: Option<PathBuf>,
    /// More certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Of one hand-over.
    pub timeout: Duration,
    /// Connections at a time.
    pub pool_max: u32,
    /// What we call ourselves.
    pub hello_name: Option<String>,
    /// Who signs, if anybody.
    pub dkim: Option<DkimSettings>,
}

/// Who signs the mails.
#[derive(Clone, Debug)]
pub struct DkimSettings {
    /// The domain that answers for them.
    pub domain: String,
    /// Selectors, each with the file of its private key.
    pub keys: Vec<(String, PathBuf)>,
}

pub(super) fn smtp(row: &mut Table<'_>, profile: Profile) -> Option<SmtpSettings> {
    let host = row.required("host");
    let tls = row.word(
        "tls",
        &[
            ("starttls", SmtpTls::Starttls),
            ("implicit", SmtpTls::Implicit),
            ("none", SmtpTls::None),
        ],
        SmtpTls::Starttls,
    );
    let port = match tls {
        SmtpTls::None => 25,
        SmtpTls::Starttls => 587,
        SmtpTls::Implicit => 465,
    };
    let from = row.required("from");
    let (username, password_file) = (
        row.text("username"),
        row.text("password_file").map(PathBuf::from),
    );
    if username.is_some() != password_file.is_some() {
        row.mistake("username", "and password_file come together");
    }
    if profile == Profile::Production
        && tls == SmtpTls::None
        && !host.as_deref().is_some_and(is_loopback)
    {
        row.mistake(
            "tls",
            "must be starttls or implicit in production, unless the host is on loopback",
        );
    }
    Some(SmtpSettings {
        port: row.small("port", port, &(1..=65_535)),
        tls,
        username,
        password_file,
        ca_file: row.text("ca_file").map(PathBuf::from),
        timeout: row.millis("timeout_ms", 10_000, &(100..=60_000)),
        pool_max: row.small("pool_max", 16, &(1..=1000)),
        hello_name: row.text("hello_name"),
        dkim: dkim(row),
        host: host?,
        from: from?,
    })
}

fn dkim(row: &mut Table<'_>) -> Option<DkimSettings> {
    let domain = row.text("dkim_domain");
    let rows = row.tables("dkim_keys");
    if domain.is_some() == rows.is_empty() {
        row.mistake("dkim_domain", "and dkim_keys come together");
    }
    let keys = rows.into_iter().filter_map(|mut key| {
        let (selector, file) = (key.required("selector"), key.required("file"));
        key.finish();
        Some((selector?, PathBuf::from(file?)))
    });
    let keys = keys.collect();
    Some(DkimSettings {
        domain: domain?,
        keys,
    })
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

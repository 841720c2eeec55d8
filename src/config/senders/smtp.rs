//! `kind = "smtp"`: e-mail through a mail server, and the DKIM keys that sign it.

use super::{super::Table, ConfiguredSender, Section, is_loopback};
use crate::{
    format::secret::SecretText,
    sender::smtp::{DkimKey, DkimSettings, SmtpSettings, SmtpTls},
};

pub(super) fn read(section: &mut Section<'_>) -> ConfiguredSender {
    let row = &mut section.row;
    let host = row.required("host");
    let tls = tls(row, host.as_deref());
    let port = match tls {
        SmtpTls::None => 25,
        SmtpTls::StartTls => 587,
        SmtpTls::Implicit => 465,
    };
    let from = row.required("from");
    let credentials = credentials(row);
    let port = row.small("port", port, &(1..=65_535));
    let ca_file = row.file("ca_file");
    let timeout = row.millis("timeout_ms", 10_000, &(100..=60_000));
    let pool_max = row.small("pool_max", 16, &(1..=1000));
    let hello_name = row.text("hello_name");
    let dkim = dkim(row);
    ConfiguredSender::silent(SmtpSettings {
        host: host.unwrap_or_default(),
        port,
        from: from.unwrap_or_default(),
        tls,
        credentials,
        ca_file,
        timeout,
        pool_max,
        hello_name,
        dkim,
    })
}

fn tls(row: &mut Table<'_>, host: Option<&str>) -> SmtpTls {
    let kinds = [
        ("starttls", SmtpTls::StartTls),
        ("implicit", SmtpTls::Implicit),
        ("none", SmtpTls::None),
    ];
    let tls = row.word("tls", &kinds, SmtpTls::StartTls);
    if row.is_production() && tls == SmtpTls::None && !host.is_some_and(is_loopback) {
        row.mistake(
            "tls",
            "is none; production needs starttls or implicit, unless the host is on loopback",
        );
    }
    tls
}

/// Reads user name and password: both or neither.
fn credentials(row: &mut Table<'_>) -> Option<(String, SecretText)> {
    let username = row.text("username");
    let has_file = row.has("password_file");
    let password = row.secret("password_file");
    match (&username, has_file) {
        (Some(_), false) => row.mistake("password_file", "is required with username"),
        (None, true) => row.mistake("username", "is required with password_file"),
        (Some(_), true) | (None, false) => {}
    }
    username.zip(password)
}

fn dkim(row: &mut Table<'_>) -> Option<DkimSettings> {
    let domain = row.text("dkim_domain");
    let tables = row.tables("dkim_keys");
    match (&domain, tables.is_empty()) {
        (Some(_), true) => row.mistake("dkim_keys", "is required with dkim_domain"),
        (None, false) => row.mistake("dkim_domain", "is required with dkim_keys"),
        (Some(_), false) | (None, true) => {}
    }
    let is_absent = domain.is_none() && tables.is_empty();
    let keys = tables.into_iter().map(dkim_key).collect();
    (!is_absent).then(|| DkimSettings {
        domain: domain.unwrap_or_default(),
        keys,
    })
}

fn dkim_key(mut table: Table<'_>) -> DkimKey {
    let (selector, pem) = (table.required("selector"), table.required_document("file"));
    table.finish();
    DkimKey {
        selector: selector.unwrap_or_default(),
        pem: pem.unwrap_or_default(),
    }
}

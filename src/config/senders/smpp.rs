//! `kind = "smpp"`: SMS through a message centre (SMSC).

use super::{super::Table, ConfiguredSender, Section, is_loopback};
use crate::sender::smpp::{SYSTEM_ID_CHARS_MAX, SYSTEM_TYPE_CHARS_MAX, SmppSettings, check_from};

pub(super) fn read(section: &mut Section<'_>) -> Option<ConfiguredSender> {
    let name = section.name.clone();
    let row = &mut section.row;
    let host = row.required("host");
    let tls = tls(row, host.as_deref());
    let system_id = row.parsed("system_id", |text| visible(text, SYSTEM_ID_CHARS_MAX));
    let password = row.required_secret("password_file");
    let system_type = row.parsed_if_any("system_type", |text| visible(text, SYSTEM_TYPE_CHARS_MAX));
    let from = row.parsed("from", |text| check_from(text).map(|()| text.to_owned()));
    let port = row.small("port", if tls { 3550 } else { 2775 }, &(1..=65_535));
    let ca_file = row.file("ca_file");
    let timeout = row.millis("timeout_ms", 10_000, &(100..=60_000));
    let window = row.small("window", 10, &(1..=1000));
    let enquire_every = row.seconds("enquire_link_s", 30, &(1..=600));
    Some(ConfiguredSender::silent(SmppSettings {
        name,
        host: host?,
        port,
        tls,
        ca_file,
        system_id: system_id?,
        password: password?,
        system_type: system_type.unwrap_or_default(),
        from: from?,
        timeout,
        window,
        enquire_every,
    }))
}

fn tls(row: &mut Table<'_>, host: Option<&str>) -> bool {
    let tls = row.word("tls", &[("implicit", true), ("none", false)], true);
    if row.is_production() && !tls && !host.is_some_and(is_loopback) {
        row.mistake(
            "tls",
            "is none; production needs implicit, unless the host is on loopback",
        );
    }
    tls
}

fn visible(text: &str, max: usize) -> Result<String, String> {
    if text.len() <= max && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be at most {max} visible ASCII characters"))
    }
}

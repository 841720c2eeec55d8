//! `kind = "smpp"`: SMS through a message centre (SMSC).

use super::{super::Table, ConfiguredSender, Section, is_loopback};
use crate::sender::smpp::{
    AddressType, DefaultAlphabet, ReceiptIds, ReceiptParts, SYSTEM_ID_CHARS_MAX,
    SYSTEM_TYPE_CHARS_MAX, SmppSettings, Validity, check_from,
};

const ALPHABETS: [(&str, DefaultAlphabet); 3] = [
    ("gsm", DefaultAlphabet::Gsm),
    ("latin1", DefaultAlphabet::Latin1),
    ("ascii", DefaultAlphabet::Ascii),
];

const VALIDITIES: [(&str, Validity); 3] = [
    ("relative", Validity::Relative),
    ("absolute", Validity::Absolute),
    ("none", Validity::None),
];

const RECEIPTS: [(&str, ReceiptParts); 4] = [
    ("last_part", ReceiptParts::Last),
    ("first_part", ReceiptParts::First),
    ("every_part", ReceiptParts::Every),
    ("none", ReceiptParts::None),
];

const RECEIPT_IDS: [(&str, ReceiptIds); 3] = [
    ("same", ReceiptIds::Same),
    ("hex_to_decimal", ReceiptIds::HexToDecimal),
    ("decimal_to_hex", ReceiptIds::DecimalToHex),
];

/// The highest type of number and numbering plan that SMPP 3.4 names (§5.2.5, §5.2.6).
const TON_MAX: u8 = 6;
const NPI_MAX: u8 = 18;

pub(super) fn read(section: &mut Section<'_>) -> ConfiguredSender {
    let name = section.name.clone();
    let row = &mut section.row;
    let host = row.required("host");
    let tls = tls(row, host.as_deref());
    let system_id = row.parsed("system_id", |text| visible(text, SYSTEM_ID_CHARS_MAX));
    let password = row.required_secret("password_file");
    let system_type = row.parsed_if_any("system_type", |text| visible(text, SYSTEM_TYPE_CHARS_MAX));
    let from = row.parsed("from", |text| check_from(text).map(|()| text.to_owned()));
    let from_type = address_type(row, "source_addr_ton", "source_addr_npi");
    let to_type = address_type(row, "dest_addr_ton", "dest_addr_npi");
    let alphabet = row.word("default_alphabet", &ALPHABETS, DefaultAlphabet::default());
    let data_coding = row.small("data_coding", 0, &(0..=255));
    let validity = row.word("validity", &VALIDITIES, Validity::default());
    let receipts = row.word("receipts", &RECEIPTS, ReceiptParts::default());
    let receipt_ids = row.word("receipt_ids", &RECEIPT_IDS, ReceiptIds::default());
    let port = row.small("port", if tls { 3550 } else { 2775 }, &(1..=65_535));
    let ca_file = row.file("ca_file");
    let timeout = row.millis("timeout_ms", 10_000, &(100..=60_000));
    let window = row.small("window", 10, &(1..=1000));
    let enquire_every = row.seconds("enquire_link_s", 30, &(1..=600));
    ConfiguredSender::silent(SmppSettings {
        name,
        host: host.unwrap_or_default(),
        port,
        tls,
        ca_file,
        system_id: system_id.unwrap_or_default(),
        password: password.unwrap_or_default(),
        system_type: system_type.unwrap_or_default(),
        from: from.unwrap_or_default(),
        from_type,
        to_type,
        alphabet,
        data_coding,
        validity,
        receipts,
        receipt_ids,
        timeout,
        window,
        enquire_every,
    })
}

fn address_type(row: &mut Table<'_>, ton: &'static str, npi: &'static str) -> AddressType {
    AddressType {
        ton: row.small_if_any(ton, &(0..=TON_MAX)),
        npi: row.small_if_any(npi, &(0..=NPI_MAX)),
    }
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

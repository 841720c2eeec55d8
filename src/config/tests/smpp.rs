//! Settings of message centres, correct and wrong.

use super::{PRODUCTION, keys_of, sender, with};
use crate::sender::smpp::{
    AddressType, DefaultAlphabet, ReceiptIds, ReceiptParts, SmppSettings, Validity,
};

const CENTER: &str = "[senders.p]\nkind = \"smpp\"\nhost = \"smsc.example\"\nsystem_id = \"bank\"\npassword_file = \"/k/p\"\n\
                      from = \"Bank\"\n";

#[test]
fn a_message_centre_is_read_and_carries_sms_alone() {
    let route = |channel: &str| format!("{CENTER}[routes.{channel}]\nsenders = [\"p\"]\n");
    let settings = with(&route("sms"), &[]).unwrap();
    let center: &SmppSettings = sender(&settings, "p");
    assert_eq!(
        (
            center.tls,
            center.port,
            center.window,
            center.enquire_every.as_secs()
        ),
        (true, 3550, 10, 30)
    );
    assert_eq!(
        with(settings.effective(), &[]).unwrap().effective(),
        settings.effective()
    );
    assert_eq!(
        keys_of(with(&route("voice"), &[])),
        ["routes.voice.senders"]
    );
    let plain = with(&format!("{CENTER}tls = \"none\"\n"), &[]).unwrap();
    let center: &SmppSettings = sender(&plain, "p");
    assert_eq!((center.tls, center.port), (false, 2775));
}

#[test]
fn all_mistakes_about_a_message_centre_are_told_together() {
    let wrong = "[senders.p]\nkind = \"smpp\"\nsystem_id = \"0123456789abcdef\"\nsystem_type = \"0123456789abc\"\nfrom = \"12\"\n\
                 tls = \"starttls\"\nwindow = 0\nenquire_link_s = 0\ntimeout_ms = 99\ncolor = \"red\"\n";
    let keys = [
        "color",
        "enquire_link_s",
        "from",
        "host",
        "password_file",
        "system_id",
        "system_type",
        "timeout_ms",
        "tls",
        "window",
    ];
    let mut told = keys_of(with(wrong, &[]));
    told.sort();
    assert_eq!(told, keys.map(|key| format!("senders.p.{key}")));
    let from = |from: &str| with(&CENTER.replace("\"Bank\"", &format!("\"{from}\"")), &[]);
    for right in ["+31612345678", "12345", "Bank", "Example Bk1"] {
        assert!(from(right).is_ok(), "{right}");
    }
    for wrong in [
        "+",
        "+12a",
        "+1234567890123456",
        "12",
        "123456789",
        "Example Bank",
        "Bänk",
    ] {
        assert_eq!(keys_of(from(wrong)), ["senders.p.from"], "{wrong}");
    }
}

#[test]
fn in_production_a_message_centre_is_spoken_to_in_the_clear_on_loopback_alone() {
    let file = |host: &str| {
        format!(
            "{PRODUCTION}{}tls = \"none\"\n",
            CENTER.replace("smsc.example", host)
        )
    };
    assert_eq!(keys_of(with(&file("smsc.example"), &[])), ["senders.p.tls"]);
    assert_eq!(keys_of(with(&file("127.0.0.1"), &[])), Vec::<String>::new());
}

#[test]
fn send_20_what_a_message_centre_demands_is_read_and_checked() {
    let usual = with(CENTER, &[]).unwrap();
    let center: &SmppSettings = sender(&usual, "p");
    assert_eq!(center.from_type, AddressType::default());
    assert_eq!(center.receipt_ids, ReceiptIds::Same);
    let demands = "source_addr_ton = 0\nsource_addr_npi = 1\ndest_addr_ton = 6\ndest_addr_npi = 18\n\
                   default_alphabet = \"ascii\"\ndata_coding = 1\nvalidity = \"none\"\n\
                   receipts = \"every_part\"\nreceipt_ids = \"hex_to_decimal\"\n";
    let settings = with(&format!("{CENTER}{demands}"), &[]).unwrap();
    let center: &SmppSettings = sender(&settings, "p");
    let typed = |ton, npi| AddressType {
        ton: Some(ton),
        npi: Some(npi),
    };
    assert_eq!(
        (center.from_type, center.to_type),
        (typed(0, 1), typed(6, 18))
    );
    assert_eq!(
        (center.alphabet, center.data_coding, center.validity),
        (DefaultAlphabet::Ascii, 1, Validity::None)
    );
    assert_eq!(
        (center.receipts, center.receipt_ids),
        (ReceiptParts::Every, ReceiptIds::HexToDecimal)
    );
    assert_eq!(
        with(settings.effective(), &[]).unwrap().effective(),
        settings.effective()
    );
    let wrong = "source_addr_ton = 7\nsource_addr_npi = 19\ndest_addr_ton = -1\ndest_addr_npi = \"x\"\n\
                 default_alphabet = \"utf8\"\ndata_coding = 256\nvalidity = \"yes\"\n\
                 receipts = \"all\"\nreceipt_ids = \"hex\"\n";
    let mut told = keys_of(with(&format!("{CENTER}{wrong}"), &[]));
    told.sort();
    let keys = [
        "data_coding",
        "default_alphabet",
        "dest_addr_npi",
        "dest_addr_ton",
        "receipt_ids",
        "receipts",
        "source_addr_npi",
        "source_addr_ton",
        "validity",
    ];
    assert_eq!(told, keys.map(|key| format!("senders.p.{key}")));
}

#[test]
fn send_20_a_password_longer_than_the_standard_permits_is_a_warning() {
    // The password file of these tests is longer than 8 characters.
    let warnings = with(CENTER, &[]).unwrap().warnings();
    let warned: Vec<_> = warnings
        .iter()
        .map(|warning| warning.key.as_str())
        .collect();
    assert_eq!(warned, ["senders.p.password_file"]);
    assert!(warnings[0].what.contains('8'), "{}", warnings[0].what);
}

//! Receipts as message centres send them.

use proptest::prelude::*;
use rusmpp::{pdus::DeliverSm, types::OctetString, values::EsmClass};

use super::{super::ids::ReceiptIds, alphabet::tests::pack, *};
use crate::domain::delivery::reason::Reason;

const FINAL_RECEIPT: u8 = 0b0000_0100;

/// A final receipt with this text.
pub(in super::super) fn receipt(text: &str) -> DeliverSm {
    let text = OctetString::from_vec(text.into()).unwrap();
    DeliverSm::builder()
        .esm_class(EsmClass::from(FINAL_RECEIPT))
        .short_message(text)
        .build()
}

/// The body of a `deliver_sm`.
fn body(class: u8, text: &[u8], fields: &[u8]) -> Vec<u8> {
    let addresses = b"\0\x01\x0131612345678\0\x01\x011316\0";
    let length = u8::try_from(text.len()).unwrap();
    [addresses, &[class][..], &[0; 8], &[length], text, fields].concat()
}

fn field(tag: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    [&tag.to_be_bytes(), &length.to_be_bytes(), value].concat()
}

fn of_text(text: &str) -> Said {
    of_deliver_sm(&body(FINAL_RECEIPT, text.as_bytes(), &[]))
}

fn said(text: &str) -> Option<(String, Receipt)> {
    match of_text(text) {
        Said::Receipt(found) => Some((found.in_text.unwrap(), found.receipt)),
        _ => None,
    }
}

fn undelivered(reason: &str) -> Receipt {
    Receipt::Undelivered {
        reason: Reason::from_word(reason),
    }
}

#[test]
fn send_20_every_word_for_a_state_is_read() {
    let kinds: [(&[&str], Receipt); 7] = [
        (
            &[
                "DELIVRD",
                "DELIVERED",
                "delivered",
                "Delivrd",
                " DELIVRD ",
                "DELIVERD",
                "2",
            ],
            Receipt::Delivered,
        ),
        (
            &[
                "ENROUTE",
                "EN ROUTE",
                "EN_ROUTE",
                "ACCEPTD",
                "ACCEPTED",
                "accepted",
                "SCHEDULED",
                "BUFFERED",
                "1",
                "6",
            ],
            Receipt::Sent,
        ),
        (
            &[
                "UNDELIV",
                "UNDELIVERED",
                "UNDELIVERABLE",
                "undeliverable",
                "FAILED",
                "Failed",
                "NOT DELIVERED",
                "5",
            ],
            undelivered("undeliv"),
        ),
        (&["REJECTD", "REJECTED", "8"], undelivered("rejectd")),
        (&["EXPIRED", "expired", "3"], undelivered("expired")),
        (&["DELETED", "CANCELLED", "4"], undelivered("deleted")),
        (&["SKIPPED", "9"], undelivered("skipped")),
    ];
    for (words, expected) in kinds {
        for word in words {
            let text = format!("id:7 sub:001 stat:{word} err:000 text:x");
            assert_eq!(
                said(&text),
                Some(("7".to_owned(), expected.clone())),
                "{word}"
            );
        }
    }
    for word in ["UNKNOWN", "unknown", "7"] {
        assert_eq!(of_text(&format!("id:7 stat:{word} err:000")), Said::Nothing);
    }
    let unknown = Said::Unreadable(UnreadableReceipt::UnknownState);
    for word in ["", "FOO", "DELIVERY SOON", "UNDELIVRDX", "0", "99"] {
        assert_eq!(
            of_text(&format!("id:7 stat:{word} err:000")),
            unknown,
            "{word}"
        );
    }
}

#[test]
fn a_receipt_in_text_is_read() {
    let text = "id:0a1B-7 sub:001 dlvrd:001 submit date:2511252000 done date:2511252001 stat:DELIVRD err:000 text:Your code";
    assert_eq!(said(text), Some(("0a1B-7".to_owned(), Receipt::Delivered)));
    for (state, expected) in [
        ("STAT:undeliv ERR:034", Some(undelivered("034"))),
        ("stat:REJECTD err:8", Some(undelivered("8"))),
        ("stat:DELETED", Some(undelivered("deleted"))),
        ("stat: err:000", None),
        ("err:000 text:stat:DELIVRD", None),
        (
            "stat:EXPIRED text: stat:DELIVRD",
            Some(undelivered("expired")),
        ),
    ] {
        let found = said(&format!("id:7 {state}")).map(|(_, receipt)| receipt);
        assert_eq!(found, expected, "{state}");
    }
    let nameless = Said::Unreadable(UnreadableReceipt::NoReference);
    assert_eq!(of_text("stat:DELIVRD err:000"), nameless);
    assert_eq!(of_text("id: stat:DELIVRD"), nameless);
    for class in [0, 0x10, 0x18, 0x40] {
        let by_hand = of_deliver_sm(&body(class, b"id:7 stat:DELIVRD", &[]));
        assert_eq!(by_hand, Said::Other, "somebody wrote it by hand");
    }
    for class in [0x04, 0x08, 0x20, 0x24, 0x05, 0x44, 0x84] {
        let read = of_deliver_sm(&body(class, b"id:7 stat:DELIVRD", &[]));
        assert!(matches!(read, Said::Receipt(_)), "{class:#x}");
    }
}

#[test]
fn send_20_the_fields_of_a_receipt_come_before_its_text() {
    let fields = |state: u8| [field(0x1e, b"2\0"), field(0x0427, &[state])].concat();
    let found = |said| match said {
        Said::Receipt(found) => found,
        other => panic!("{other:?}"),
    };
    let both = found(of_deliver_sm(&body(
        FINAL_RECEIPT,
        b"id:1 stat:DELIVRD err:000",
        &fields(5),
    )));
    assert_eq!(both.in_field.as_deref(), Some("2"));
    assert_eq!(both.in_text.as_deref(), Some("1"));
    assert_eq!(both.receipt, undelivered("undeliv"));
    let unknown = body(FINAL_RECEIPT, b"id:1 stat:DELIVRD", &fields(7));
    assert_eq!(
        found(of_deliver_sm(&unknown)).receipt,
        Receipt::Delivered,
        "a state that says nothing leaves it to the text"
    );
    let alone = [fields(5), field(0x0423, &[3, 0, 34])].concat();
    let bare = found(of_deliver_sm(&body(0, b"", &alone)));
    assert_eq!((bare.in_text, bare.receipt), (None, undelivered("34")));
    let payload = field(0x0424, b"id:7 stat:DELIVRD err:000");
    let in_payload = found(of_deliver_sm(&body(FINAL_RECEIPT, b"", &payload)));
    assert_eq!(in_payload.in_text.as_deref(), Some("7"));
    let addresses = b"\0\x01\x011316\0\x01\x01316\0\x04\0\0";
    let data_sm = found(of_data_sm(&[addresses.as_slice(), &fields(2)].concat()));
    assert_eq!(data_sm.receipt, Receipt::Delivered);
    let cut = Said::Unreadable(UnreadableReceipt::Malformed);
    assert_eq!(of_data_sm(&addresses[..9]), cut);
    assert_eq!(of_deliver_sm(b"AAAA"), cut);
}

/// The command of a row of `smpp_spellings.json`.
fn of_row(row: &serde_json::Value) -> Said {
    let octets = |text: &serde_json::Value| hex::decode(text.as_str().unwrap_or("")).unwrap();
    let text = row["text"].as_str().unwrap_or("");
    let wide = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect();
    let coded = match row["alphabet"].as_str() {
        None => text.as_bytes().to_vec(),
        Some("ucs2") => wide(u16::to_be_bytes),
        Some("ucs2_le") => wide(u16::to_le_bytes),
        Some("packed") => pack(text),
        Some(other) => panic!("{other}"),
    };
    let text = [octets(&row["header"]), coded, octets(&row["behind"])].concat();
    let class = row["class"].as_u64().unwrap_or(FINAL_RECEIPT.into());
    let class = u8::try_from(class).unwrap();
    let fields: Vec<u8> = row["fields"]
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(tag, value)| field(u16::from_str_radix(tag, 16).unwrap(), &octets(value)))
        .collect();
    if row["command"] == "data_sm" {
        let begin = [b"\0\x01\x011316\0\x01\x01316\0".as_slice(), &[class, 0, 0]].concat();
        return of_data_sm(&[begin, fields].concat());
    }
    of_deliver_sm(&body(class, &text, &fields))
}

/// What the delivery with this answer becomes, as the row says it.
fn judged(row: &serde_json::Value, said: &Said) -> (String, Option<String>) {
    let word = |word: &str| (word.to_owned(), None);
    let found = match said {
        Said::Receipt(found) => found,
        Said::Nothing => return word("nothing"),
        Said::Other => return word("other"),
        Said::Unreadable(why) => return word(why.as_str()),
    };
    let ids = match row["receipt_ids"].as_str() {
        None => ReceiptIds::Same,
        Some("hex_to_decimal") => ReceiptIds::HexToDecimal,
        Some("decimal_to_hex") => ReceiptIds::DecimalToHex,
        Some(other) => panic!("{other}"),
    };
    let sent = ids.accepted(row["answered"].as_str().unwrap());
    let kept: Vec<_> = sent.reference.into_iter().chain(sent.aliases).collect();
    if !ids.named(found).iter().any(|name| kept.contains(name)) {
        return word("another message");
    }
    match &found.receipt {
        Receipt::Sent => word("SENT"),
        Receipt::Delivered => word("DELIVERED"),
        Receipt::Undelivered { reason } => {
            ("UNDELIVERED".to_owned(), Some(reason.as_str().to_owned()))
        }
    }
}

#[test]
fn send_20_receipts_of_many_message_centres_say_what_their_rows_say() {
    let text = include_str!("../../../../tests/vectors/smpp_spellings.json");
    let rows: serde_json::Value = serde_json::from_str(text).unwrap();
    let rows = rows["rows"].as_array().unwrap();
    assert!(rows.len() > 80, "the rows were read");
    let wrong: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            let judged = judged(row, &of_row(row));
            let says = row["says"].as_str().unwrap().to_owned();
            let expected = (says, row["reason"].as_str().map(str::to_owned));
            (judged != expected).then(|| format!("{row}\n  {judged:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

proptest! {
    #[test]
    fn no_receipt_is_too_strange_to_be_looked_at(text in prop::collection::vec(any::<u8>(), 0..255), class: u8, fields in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = of_deliver_sm(&body(class, &text, &fields));
    }

    #[test]
    fn what_a_receipt_says_is_what_it_was_given(id in "[!-9;-~]{1,64}", error in 0_u16..1000, delivered: bool) {
        let state = if delivered { "DELIVRD" } else { "UNDELIV" };
        let (reference, receipt) = said(&format!("id:{id} sub:001 stat:{state} err:{error:03} text:")).unwrap();
        prop_assert_eq!(reference, id);
        let reason = if error == 0 { "undeliv".to_owned() } else { format!("{error:03}") };
        prop_assert_eq!(receipt, if delivered { Receipt::Delivered } else { undelivered(&reason) });
    }
}

//! Message centres: their receipts in the spellings that exist, and what they demand of messages.

use countersign::pb::v1::{self, Channel, DeliveryStatus, Verification};
use serde_json::{Value, json};

use crate::harness::{
    Harness, Setup,
    centre::{BIND_TRANSCEIVER, Centre, DATA_SM, DELIVER_SM, Pdu, SUBMIT_SM},
    http::get,
    login, recipient, unique,
};

const NUMBER: &str = "+31612345678";

/// The service with one message centre.
async fn service(centre: &Centre, name: &str, more: &str) -> Harness {
    let setup = Setup::default();
    let secret = setup.dir.path().join("secret");
    std::fs::write(&secret, "secret08secret16\n").unwrap();
    let section = centre.section(name, secret.to_str().unwrap());
    setup
        .file(&format!(
            "{section}{more}\n[routes.sms]\nsenders = [\"{name}\"]\n"
        ))
        .start()
        .await
}

/// A verification whose message the message centre has accepted.
async fn sent(service: &Harness) -> Verification {
    let start = v1::StartVerificationRequest {
        recipients: vec![recipient(Channel::Sms, NUMBER)],
        ..login(&unique("s"))
    };
    let v = service.start(start).await.unwrap();
    until(service, &v, DeliveryStatus::Sent).await
}

async fn until(service: &Harness, v: &Verification, status: DeliveryStatus) -> Verification {
    let is_there = |v: &Verification| v.deliveries[0].status() == status;
    service.until(&v.verification_id, is_there).await
}

/// The body of a `deliver_sm` with this class, text and optional fields.
fn deliver(class: u8, text: &[u8], fields: &[u8]) -> Vec<u8> {
    let addresses = b"\0\x01\x0131612345678\0\x01\x011316\0";
    let length = u8::try_from(text.len()).unwrap();
    [addresses, &[class][..], &[0; 8], &[length], text, fields].concat()
}

fn receipt(text: &[u8]) -> Vec<u8> {
    Pdu::new(DELIVER_SM, 7, &deliver(4, text, &[])).octets()
}

fn field(tag: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    [&tag.to_be_bytes(), &length.to_be_bytes(), value].concat()
}

/// A receipt of message 7 in text, as SMPP 3.4 has it.
fn words(id: &str, state: &str) -> String {
    format!(
        "id:{id} sub:001 dlvrd:001 submit date:2401010000 done date:2401010001 stat:{state} err:000 text:"
    )
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// Cases of the same kinds as those of `cases/smpp_receipts.json`.
fn more_cases() -> Vec<(Value, Vec<u8>)> {
    let case = |answered: &str, right: &str| json!({"answered": answered, "right": right});
    let delivered = words("7", "DELIVRD");
    let mut cases = Vec::new();
    for (answered, named, settings) in [
        ("500", "1F4", json!({"receipt_ids": "decimal_to_hex"})),
        (
            "0001f4",
            "0000500",
            json!({"receipt_ids": "hex_to_decimal"}),
        ),
        ("0D3F-77aa", "d3f-77AA", json!({})),
        ("Msg-17x", "MSG-17X", json!({})),
    ] {
        let mut case = case(answered, "DELIVERED");
        case["settings"] = settings;
        cases.push((case, receipt(words(named, "DELIVRD").as_bytes())));
    }
    for (state, right) in [
        ("delivered", "DELIVERED"),
        ("UNDELIVERABLE", "UNDELIVERED"),
        ("Rejected", "UNDELIVERED"),
        ("EXPIRED ", "UNDELIVERED"),
        ("5", "UNDELIVERED"),
    ] {
        cases.push((case("7", right), receipt(words("7", state).as_bytes())));
    }
    let header = [5, 0, 3, 9, 1, 1];
    let in_field = [field(0x1e, b"7\0"), field(0x0427, &[2])].concat();
    let payload = field(0x0424, delivered.as_bytes());
    let pdu = |body: &[u8]| Pdu::new(DELIVER_SM, 7, body).octets();
    let data_sm = [
        b"\0\x01\x011316\0\x01\x01316\0\x04\0\0".as_slice(),
        &field(0x0424, delivered.as_bytes()),
    ];
    let mut zero_then_fields = deliver(4, b"", &[]);
    zero_then_fields.push(0);
    zero_then_fields.extend(&in_field);
    for octets in [
        receipt(b"stat:DELIVRD err:000 id:7"),
        receipt(b"ID:7 STAT:DELIVRD"),
        receipt(&wide(&delivered)),
        pdu(&deliver(4, b"", &payload)),
        pdu(&deliver(
            0x44,
            &[&header, delivered.as_bytes()].concat(),
            &[],
        )),
        pdu(&deliver(
            0x44,
            &[&header, wide(&delivered).as_slice()].concat(),
            &[],
        )),
        pdu(&deliver(0x08, delivered.as_bytes(), &[])),
        pdu(&deliver(0x20, delivered.as_bytes(), &[])),
        pdu(&deliver(
            0,
            b"",
            &[in_field.as_slice(), &[0x14, 0x01]].concat(),
        )),
        pdu(&zero_then_fields),
        Pdu::new(DATA_SM, 7, &data_sm.concat()).octets(),
    ] {
        cases.push((case("7", "DELIVERED"), octets));
    }
    cases
}

#[tokio::test]
async fn send_20_every_receipt_moves_its_delivery() {
    let text = include_str!("../../vectors/smpp_receipts.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    let rows = vectors["cases"].as_array().unwrap().iter().map(|row| {
        let octets = match row["pdu"].as_str() {
            Some(pdu) => hex::decode(pdu).unwrap(),
            None => receipt(row["text"].as_str().unwrap().as_bytes()),
        };
        (row.clone(), octets)
    });
    let cases: Vec<_> = rows.chain(more_cases()).collect();
    assert!(cases.len() > 30);
    for (row, octets) in cases {
        let answer = match row["answer_pdu"].as_str() {
            Some(pdu) => hex::decode(pdu).unwrap().split_off(16),
            None => [row["answered"].as_str().unwrap().as_bytes(), b"\0"].concat(),
        };
        let centre = Centre::start(&[&answer]).await;
        let more: String = row["settings"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        let service = service(&centre, "centre", &more).await;
        let v = sent(&service).await;
        let command = u32::from_be_bytes(*octets[4..].first_chunk().unwrap());
        centre.send(octets);
        let answers = centre.answered(command, 1).await;
        assert_eq!(answers[0].status, 0, "{row}");
        let right = match row["right"].as_str() {
            Some("DELIVERED") => DeliveryStatus::Delivered,
            Some("UNDELIVERED") => DeliveryStatus::Undelivered,
            other => panic!("{other:?}"),
        };
        until(&service, &v, right).await;
        service.stop().await;
    }
}

#[tokio::test]
async fn send_20_a_receipt_that_cannot_be_used_is_accepted_and_counted() {
    let centre = Centre::start(&[b"7\0"]).await;
    let service = service(&centre, "odd_centre", "").await;
    let v = sent(&service).await;
    for (octets, _) in [
        (receipt(b"id:7 stat:GONE err:000"), "unknown_state"),
        (receipt(b"stat:DELIVRD err:000"), "no_reference"),
        (receipt(b"\x00\x01"), "no_reference"),
        (Pdu::new(DELIVER_SM, 7, b"AAAA").octets(), "malformed"),
        // None of these is a receipt that cannot be used.
        (receipt(b"id:7 stat:UNKNOWN err:000"), ""),
        (
            Pdu::new(DELIVER_SM, 7, &deliver(0, b"id:7 stat:DELIVRD", &[])).octets(),
            "",
        ),
        (
            Pdu::new(
                DELIVER_SM,
                7,
                &deliver(0, words("7", "UNDELIV").as_bytes(), &[]),
            )
            .octets(),
            "not_marked",
        ),
        (receipt(words("7", "DELIVRD").as_bytes()), ""),
    ] {
        centre.send(octets);
    }
    let answers = centre.answered(DELIVER_SM, 8).await;
    assert!(answers.iter().all(|answer| answer.status == 0));
    until(&service, &v, DeliveryStatus::Delivered).await;
    let page = get(service.reach.admin, "/metrics").await;
    let counted: Vec<_> = page
        .lines()
        .filter(|line| {
            line.starts_with("countersign_unreadable_receipts_total") && line.contains("odd_centre")
        })
        .map(|line| {
            let cause = line.split("cause=\"").nth(1).unwrap().split('"').next();
            (cause.unwrap(), line.rsplit(' ').next().unwrap())
        })
        .collect();
    let mut counted = counted;
    counted.sort_unstable();
    assert_eq!(
        counted,
        [
            ("malformed", "1"),
            ("no_reference", "2"),
            ("not_marked", "1"),
            ("unknown_state", "1")
        ]
    );
}

#[tokio::test]
async fn send_20_a_session_is_opened_at_the_start_and_takes_what_waits() {
    let centre = Centre::start(&[b"7\0"]).await;
    // A receipt of a message of yesterday, which waited for a session.
    centre.send(receipt(words("6", "DELIVRD").as_bytes()));
    let service = service(&centre, "centre", "").await;
    let binds = centre.wait_for(BIND_TRANSCEIVER, 1).await;
    let login = b"bank\0secret08secret16\0\0\x34\0\0\0";
    assert_eq!(binds[0].body, login, "and with a password of 16 characters");
    assert_eq!(centre.answered(DELIVER_SM, 1).await[0].status, 0);
    assert!(centre.heard(SUBMIT_SM).is_empty(), "nothing was sent");
    drop(service);
}

/// The fields of a `submit_sm` up to its text.
struct Submitted {
    source: (u8, u8, String),
    destination: (u8, u8, String),
    class: u8,
    validity: String,
    registered: u8,
    coding: u8,
}

fn submitted(pdu: &Pdu) -> Submitted {
    let mut rest = pdu.body.as_slice();
    let text = |rest: &mut &[u8]| {
        let end = rest.iter().position(|octet| *octet == 0).unwrap();
        let text = String::from_utf8(rest[..end].to_vec()).unwrap();
        *rest = &rest[end + 1..];
        text
    };
    let octet = |rest: &mut &[u8]| {
        let octet = rest[0];
        *rest = &rest[1..];
        octet
    };
    text(&mut rest);
    let source = (octet(&mut rest), octet(&mut rest), text(&mut rest));
    let destination = (octet(&mut rest), octet(&mut rest), text(&mut rest));
    let class = octet(&mut rest);
    octet(&mut rest);
    octet(&mut rest);
    text(&mut rest);
    let validity = text(&mut rest);
    let registered = octet(&mut rest);
    octet(&mut rest);
    Submitted {
        source,
        destination,
        class,
        validity,
        registered,
        coding: octet(&mut rest),
    }
}

#[tokio::test]
async fn send_20_what_a_message_centre_demands_of_a_message_can_be_set() {
    let centre = Centre::start(&[b"7\0"]).await;
    let more = "source_addr_ton = 0\nsource_addr_npi = 1\ndest_addr_ton = 2\ndest_addr_npi = 8\n\
                default_alphabet = \"latin1\"\ndata_coding = 3\nvalidity = \"absolute\"\nreceipts = \"none\"\n";
    let demanding = service(&centre, "centre", more).await;
    sent(&demanding).await;
    let told = submitted(&centre.wait_for(SUBMIT_SM, 1).await[0]);
    assert_eq!(told.source, (0, 1, "Bank".to_owned()));
    assert_eq!(told.destination, (2, 8, NUMBER[1..].to_owned()));
    assert_eq!((told.class, told.registered, told.coding), (0, 0, 3));
    // The code lives for five minutes from 2027-01-15T08:00:00Z.
    assert_eq!(told.validity, "270115080500000+");
    demanding.stop().await;

    let plain = service(&centre, "centre", "validity = \"none\"\n").await;
    sent(&plain).await;
    let told = submitted(&centre.wait_for(SUBMIT_SM, 2).await[1]);
    assert_eq!((told.validity.as_str(), told.registered), ("", 1));
    assert_eq!((told.source.0, told.source.1, told.coding), (5, 0, 0));
    plain.stop().await;
}

#[tokio::test]
async fn send_20_the_receipt_of_any_part_stands_for_a_long_message() {
    for (receipts, registered, named) in [
        ("last_part", [0, 1], "72"),
        // Some report on the first part only, whichever was asked for.
        ("last_part", [0, 1], "71"),
        ("first_part", [1, 0], "71"),
        ("every_part", [1, 1], "71"),
    ] {
        let centre = Centre::start(&[b"71\0", b"72\0"]).await;
        let more = format!(
            "receipts = \"{receipts}\"\n[messages]\nbrand = \"{}\"\nsms_ucs2 = true\nsms_segments_max = 3\n",
            "Ż".repeat(40)
        );
        let service = service(&centre, "centre", &more).await;
        let v = sent(&service).await;
        let parts = centre.wait_for(SUBMIT_SM, 2).await;
        let told: Vec<_> = parts.iter().map(submitted).collect();
        let both = told.iter().map(|part| part.registered).collect::<Vec<_>>();
        assert_eq!(both, registered, "{receipts}");
        assert!(
            told.iter()
                .all(|part| part.class == 0x40 && part.coding == 8)
        );
        centre.send(receipt(words(named, "DELIVRD").as_bytes()));
        until(&service, &v, DeliveryStatus::Delivered).await;
        service.stop().await;
    }
}

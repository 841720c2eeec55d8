//! Keyed names, marks and codes are those of version 0.1: with another name a record would be lost,
//! and with another code a customer's message would be worthless.

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::Value;

use super::{fixtures::CALLER, world::World};
use crate::domain::{
    code::{CodeFields, CodeLength, derive, derive_link, fingerprint, link::LinkToken},
    crypto::keyring::{Keyring, Kid, Mark, SECRET_BYTES, Secret},
    decide::Start,
    delivery::receipt::ReceiptToken,
    ids::{ActionName, AttemptId, DeliveryId, SubjectId, SubjectKey, TenantId, VerificationId},
    verification::binding::Binding,
};

const FILE: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/derived.json"
));

static STORED: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(FILE).unwrap());

/// The keyring of the file of vectors.
static RING: LazyLock<Keyring> = LazyLock::new(|| {
    let secret = |value: &Value| Secret::new(array::<SECRET_BYTES>(value));
    let ring = STORED["keys"]["ring"].as_object().unwrap();
    let ring: Vec<_> = ring
        .iter()
        .map(|(kid, value)| (Kid::parse(kid).unwrap(), secret(value)))
        .collect();
    Keyring::new(&secret(&STORED["keys"]["names"]), &ring).unwrap()
});

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field} of {case}"))
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    hex::decode(value.as_str().unwrap())
        .unwrap()
        .try_into()
        .unwrap()
}

fn id(case: &Value) -> VerificationId {
    VerificationId {
        subject: SubjectKey(array(&case["key"])),
        random: array(&case["random"]),
    }
}

/// Derives the values of all cases of one kind again, and compares them with the file.
fn hold(kind: &str, derive: impl Fn(&Value) -> Vec<(&'static str, String)>) {
    let stored = STORED[kind].as_array().unwrap();
    assert!(stored.len() > 1, "{kind} were read");
    let mut now = stored.clone();
    for case in &mut now {
        for (field, value) in derive(&case.clone()) {
            case[field] = Value::String(value);
        }
    }
    assert!(
        now == *stored,
        "{kind} are others; now they are:\n{}",
        serde_json::to_string_pretty(&now).unwrap()
    );
}

#[test]
fn golden_records_are_found_under_the_names_of_version_0_1() {
    hold("subject_keys", |case| {
        let (tenant, subject) = (text(case, "tenant"), text(case, "subject"));
        let key = RING.subject_key(
            &TenantId::parse(tenant).unwrap(),
            &SubjectId::parse(subject).unwrap(),
        );
        vec![("is", key.to_string())]
    });
    hold("side_keys", |case| {
        let fields: Vec<_> = case["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| field.as_str().unwrap().as_bytes())
            .collect();
        vec![(
            "is",
            hex::encode(RING.side_hash(text(case, "label"), &fields)),
        )]
    });
}

#[test]
fn golden_marks_are_those_of_version_0_1() {
    hold("marks", |case| {
        let fields = case["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| hex::decode(field.as_str().unwrap()).unwrap());
        let fields: Vec<_> = fields.collect();
        let fields: Vec<_> = fields.iter().map(Vec::as_slice).collect();
        vec![("is", hex::encode(RING.mark(text(case, "label"), &fields)))]
    });
}

#[test]
fn golden_ids_and_tokens_are_spelled_as_by_version_0_1() {
    hold("ids", |case| {
        assert_eq!(
            VerificationId::parse(text(case, "verification")),
            Ok(id(case))
        );
        vec![
            ("verification", id(case).to_string()),
            ("delivery", DeliveryId(array(&case["random"])).to_string()),
        ]
    });
    hold("receipt_tokens", |case| {
        let (key, delivery) = (
            SubjectKey(array(&case["key"])),
            DeliveryId(array(&case["delivery"])),
        );
        assert_eq!(
            ReceiptToken::open(&RING, text(case, "sender"), text(case, "is")),
            Some((key, delivery))
        );
        vec![(
            "is",
            ReceiptToken::new(&RING, text(case, "sender"), &key, &delivery)
                .as_str()
                .to_owned(),
        )]
    });
}

#[test]
fn golden_a_code_and_a_link_that_were_sent_by_version_0_1_are_right() {
    hold("codes", |case| {
        let binding: BTreeMap<String, String> =
            serde_json::from_value(case["binding"].clone()).unwrap();
        let length = u8::try_from(case["digits"].as_u64().unwrap()).unwrap();
        let fields = CodeFields {
            tenant: &TenantId::parse(text(case, "tenant")).unwrap(),
            subject: &SubjectId::parse(text(case, "subject")).unwrap(),
            action: &ActionName::parse(text(case, "action")).unwrap(),
            verification: &id(case),
            nonce: &array(&case["nonce"]),
            binding: &Binding::parse(binding).unwrap().digest(),
            length: CodeLength::new(length).unwrap(),
        };
        let kid = Kid::parse(text(case, "kid")).unwrap();
        let link = LinkToken {
            verification: id(case),
            secret: derive_link(&RING, &kid, &fields).unwrap(),
        };
        let code = derive(&RING, &kid, &fields).unwrap();
        vec![("code", code.expose().to_owned()), ("link", link.expose())]
    });
}

#[test]
fn golden_a_repeated_answer_is_known_by_the_fingerprint_of_version_0_1() {
    hold("fingerprints", |case| {
        let (kid, attempt) = (
            Kid::parse(text(case, "kid")).unwrap(),
            AttemptId::parse(text(case, "attempt")).unwrap(),
        );
        let mark = fingerprint(
            &RING,
            &kid,
            &id(case),
            &attempt,
            text(case, "answer"),
            text(case, "entry_mode"),
        );
        vec![("is", hex::encode(mark.unwrap()))]
    });
}

/// A mark of the file, by the name of its purpose.
fn mark(of: &str) -> Mark {
    let marks = STORED["marks"].as_array().unwrap();
    array(&marks.iter().find(|case| case["of"] == of).unwrap()["is"])
}

#[test]
fn golden_decisions_mark_recipients_and_attempts_as_version_0_1_did() {
    let (codes, prints) = (&STORED["codes"][0], &STORED["fingerprints"][0]);
    let mut world = World::under(&RING);
    let command = Start {
        id: id(codes),
        nonce: array(&codes["nonce"]),
        subject: SubjectId::parse(text(codes, "subject")).unwrap(),
        binding: Binding::default(),
        ..world.a_start()
    };
    assert_eq!(CALLER.as_str(), "portal", "the caller of the file");
    world.start(command).unwrap();
    assert_eq!(
        world.record.as_ref().unwrap().reached.as_slice()[0].mark,
        mark("a recipient, as it is limited")
    );
    world
        .check_as(id(codes), text(prints, "attempt"), text(prints, "answer"))
        .unwrap();
    let answer = world.find(id(codes)).answers[0];
    assert_eq!(
        (answer.id, answer.fingerprint),
        (mark("an attempt of a caller"), array(&prints["is"]))
    );
    assert_eq!(
        world.code(id(codes)),
        text(codes, "code"),
        "by the key that was current at the start"
    );
}

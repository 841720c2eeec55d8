//! Opens what earlier versions sealed, and compares the content.

mod plain;

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::*;
use crate::{
    domain::{
        audit::event::Event,
        crypto::{
            keyring::{Kid, Secret},
            seal::SealError,
        },
        delivery::breaker::{Breaker, Refused, RefusedDelivery},
        ids::DeliveryId,
        record::{
            key::{RecordKey, RecordKind},
            side::{Side, SideRecord},
        },
        time::Timestamp,
    },
    ports::system::Entropy,
};

/// Made once with version 0.1; never regenerate it. The README beside it says how it was made.
const FILE: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/sealed.json"
));

/// What later versions added to the stored form, in the same way: each sample was made once, with the version that
/// added it.
const LATER: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/sealed_later.json"
));

/// All samples, by kind and name.
fn samples() -> Value {
    let mut all: Value = serde_json::from_str(FILE).unwrap_or_default();
    let later: Value = serde_json::from_str(LATER).unwrap_or_default();
    for (kind, samples) in later.as_object().into_iter().flatten() {
        let own = all[kind].as_object_mut().unwrap();
        own.extend(samples.as_object().unwrap().clone());
    }
    all
}

/// The key that seals all samples except the last of each kind.
const OLD: (&str, [u8; 32]) = ("2026a", [0x2a; 32]);
/// The key that replaced it.
const NEW: (&str, [u8; 32]) = ("2026b", [0x2b; 32]);
const NAMES: [u8; 32] = [0x1a; 32];

/// An entropy source that always returns the same byte.
struct Fixed(u8);

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

/// A vault whose current key is the first of the ring, and whose nonces consist of this byte.
fn vault(ring: &[(&str, [u8; 32])], nonce: u8) -> Vault {
    let ring: Vec<_> = ring
        .iter()
        .map(|(kid, secret)| (Kid::parse(kid).unwrap(), Secret::new(*secret)))
        .collect();
    Vault::new(
        Arc::new(Keyring::new(&Secret::new(NAMES), &ring).unwrap()),
        Arc::new(Fixed(nonce)),
    )
}

/// The vault of a later version: another key is current, and the old one is still in the ring.
fn later() -> Vault {
    vault(&[NEW, OLD], 0)
}

/// The key under which all samples are stored.
const KEY: SubjectKey = SubjectKey([0x5c; 16]);

/// The stored sample of this kind and name.
fn stored(kind: &str, name: &str) -> Map<String, Value> {
    samples()[kind][name]
        .as_object()
        .cloned()
        .unwrap_or_default()
}

fn bytes(sample: &Map<String, Value>, field: &str) -> Vec<u8> {
    hex::decode(
        sample
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default(),
    )
    .unwrap()
}

/// Opens the seal without decoding the content.
fn plain_of(context: SealContext<'_>, sealed: &[u8]) -> (u64, Vec<u8>) {
    seal::open(&later().keyring, context, sealed).unwrap()
}

fn blob(sealed: &[u8]) -> Blob {
    // The nonce follows format, key id with its length, and version.
    Blob {
        token: sealed[15..27].try_into().unwrap(),
        bytes: sealed.into(),
    }
}

/// The key of a side record, with the hash of all samples.
fn side_key(record: &SideRecord) -> RecordKey {
    RecordKey {
        kind: RecordKind::Side(record.side.kind()),
        hash: KEY.0,
    }
}

/// The file as this program would make it: shown when a test fails.
fn whole_file() -> String {
    let mut kinds = Map::new();
    let mut put = |kind: &str, name: &str, context: SealContext<'_>, sealed: &[u8]| {
        let (version, plain) = plain_of(context, sealed);
        let sample = json!({ "version": version, "plain": hex::encode(plain), "sealed": hex::encode(sealed) });
        kinds
            .entry(kind)
            .or_insert_with(|| json!({}))
            .as_object_mut()
            .unwrap()
            .insert(name.to_owned(), sample);
    };
    for (at, (name, record)) in (1..).zip(plain::records()) {
        let sealed = vault(&[OLD], at).close(&KEY, &record);
        put("records", name, SealContext::Record(&KEY), &sealed.bytes);
    }
    for (at, (name, record)) in (0x41..).zip(plain::sides()) {
        let sealed = vault(&[OLD], at).close_side(&side_key(&record), &record);
        put("sides", name, SealContext::Side(&KEY.0), &sealed.bytes);
    }
    for (at, (name, salt, event, _)) in (0x81..).zip(plain::events()) {
        let sealed = vault(&[OLD], at).close_event(&KEY, salt.as_ref(), &event);
        put(
            "events",
            name,
            SealContext::Event(&KEY, &salt.unwrap_or_default()),
            &sealed,
        );
    }
    serde_json::to_string_pretty(&kinds).unwrap()
}

/// Fails; prints the names of the wrong samples and the file as this program would make it.
fn tell(wrong: &[&str]) {
    let mut text = String::new();
    if !wrong.is_empty() {
        let _ = writeln!(
            text,
            "{wrong:?} are not what was stored; this program would store:\n{}",
            whole_file()
        );
    }
    assert!(wrong.is_empty(), "{text}");
}

/// The samples for which `is_right` returns false.
fn wrong<'a>(
    kind: &str,
    names: impl Iterator<Item = &'a str>,
    is_right: impl Fn(&str, &[u8]) -> bool,
) -> Vec<&'a str> {
    let names: Vec<_> = names.collect();
    let file = samples();
    let known = file[kind].as_object().into_iter().flat_map(Map::keys);
    for name in known {
        assert!(
            names.contains(&name.as_str()),
            "{kind} {name} is in the file, and nothing is expected of it"
        );
    }
    names
        .into_iter()
        .filter(|name| {
            !stored(kind, name).contains_key("sealed")
                || !is_right(name, &bytes(&stored(kind, name), "sealed"))
        })
        .collect()
}

#[test]
fn golden_every_stored_record_opens_with_each_of_its_fields() {
    let all = plain::records();
    let expected = |name: &str| {
        all.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, record)| record.clone())
    };
    tell(&wrong(
        "records",
        all.iter().map(|(name, _)| *name),
        |name, sealed| later().open(&KEY, &blob(sealed)).ok() == expected(name),
    ));
}

#[test]
fn golden_every_stored_side_record_opens_with_each_of_its_fields() {
    let all = plain::sides();
    let expected = |name: &str| {
        all.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, record)| record.clone())
    };
    tell(&wrong(
        "sides",
        all.iter().map(|(name, _)| *name),
        |name, sealed| {
            let record = expected(name).unwrap();
            later().open_side(&side_key(&record), &blob(sealed)) == Ok(record)
        },
    ));
}

#[test]
fn golden_every_stored_event_opens_with_each_of_its_fields() {
    let all = plain::events();
    let find = |name: &str| all.iter().find(|(known, ..)| *known == name).unwrap();
    tell(&wrong(
        "events",
        all.iter().map(|(name, ..)| *name),
        |name, sealed| {
            let (_, salt, _, line) = find(name);
            later()
                .open_event(&KEY, salt.as_ref(), &sealed.to_vec())
                .as_ref()
                == Ok(line)
        },
    ));
}

/// An event as this version writes it: with its tenant, and for refusals that were counted. In hex.
const EVENT_2: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/event_2.hex"
));

#[test]
fn golden_an_event_of_this_version_is_stored_as_it_was_fixed_and_opens_with_each_of_its_fields() {
    let (salt, event, line) = plain::counted();
    let sealed = vault(&[OLD], 0xc1).close_event(&KEY, Some(&salt), &event);
    assert_eq!(hex::encode(&sealed), EVENT_2.trim());
    assert_eq!(later().open_event(&KEY, Some(&salt), &sealed), Ok(line));
}

#[test]
fn golden_the_seal_and_the_form_under_it_are_read_apart() {
    let kinds: [(&str, SealContext<'_>); 2] = [
        ("records", SealContext::Record(&KEY)),
        ("sides", SealContext::Side(&KEY.0)),
    ];
    let file = samples();
    for (kind, context) in kinds {
        for (name, sample) in file[kind].as_object().unwrap() {
            let sample = sample.as_object().unwrap();
            let (version, plain) = plain_of(context, &bytes(sample, "sealed"));
            assert_eq!(
                (Some(version), plain),
                (sample["version"].as_u64(), bytes(sample, "plain")),
                "{kind} {name}"
            );
        }
    }
}

#[test]
fn golden_every_sample_is_sealed_under_the_key_of_its_time() {
    let file = samples();
    let only_new = vault(&[NEW], 0);
    for (name, sample) in file["records"].as_object().unwrap() {
        let sealed = bytes(sample.as_object().unwrap(), "sealed");
        assert_eq!(&sealed[..7], b"\x01\x052026a", "{name}");
        assert_eq!(
            only_new.open(&KEY, &blob(&sealed)),
            Err(VaultError::Seal(SealError::Broken)),
            "{name}"
        );
    }
}

#[test]
fn seal_06_a_record_that_is_written_again_is_sealed_under_the_new_key() {
    let sealed = bytes(&stored("records", "pending"), "sealed");
    let record = later().open(&KEY, &blob(&sealed)).unwrap();
    let again = later().close(&KEY, &record);
    assert_eq!(&again.bytes[..7], b"\x01\x052026b");
    assert_eq!(
        vault(&[NEW], 0).open(&KEY, &again),
        Ok(record.clone()),
        "the old key is needed for it no longer"
    );
    assert_eq!(
        record.verifications[0].kid.as_str(),
        "2026a",
        "but for its code, which the customer has"
    );
}

/// The later form of breakers, with what was refused together with a recipient.
fn refusing_breakers() -> [(&'static str, Breaker); 2] {
    let refused = Refused::from_stored(vec![RefusedDelivery {
        delivery: DeliveryId([0x82; 16]),
        area: [0x83; 16],
    }]);
    [
        (
            "breaker_closed_refused",
            Breaker::Closed {
                failed: vec![DeliveryId([0x81; 16])],
                refused: refused.clone(),
            },
        ),
        (
            "breaker_half_open_refused",
            Breaker::HalfOpen {
                until: Timestamp::from_micros(9),
                times: 4,
                by_refusals: false,
                refused,
            },
        ),
    ]
}

#[test]
fn golden_a_breaker_is_stored_with_the_messages_that_it_refused() {
    let file: Value = serde_json::from_str(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/refusals.json"
    )))
    .unwrap();
    let later = later();
    for (name, breaker) in refusing_breakers() {
        let record = SideRecord {
            version: 1,
            until: Timestamp::from_micros(9),
            side: Side::Breaker(breaker),
        };
        let sealed = later.close_side(&side_key(&record), &record);
        let (_, plain) = plain_of(SealContext::Side(&KEY.0), &sealed.bytes);
        assert_eq!(
            Some(hex::encode(plain).as_str()),
            file[name].as_str(),
            "{name}"
        );
        assert_eq!(later.open_side(&side_key(&record), &sealed), Ok(record));
    }
}

//! The draws from quotas as the server sees them: which buckets, and how many keys.

use std::collections::BTreeSet;

use countersign::pb::v1::{Channel, StartVerificationRequest};

use super::bed::on;
use crate::{
    harness::{Harness, anonymous, recipient, unique},
    rig::{Client, Options, RedisServer, Reply},
};

/// One draw of a script: the key of the owner, and the slot with the numbers of the rate and the amount.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    owner: String,
    bucket: Vec<u8>,
}

/// Every quota is on, and too small for a slice, so that each message draws from the store.
async fn counted(server: &RedisServer) -> Harness {
    let mut setup = on(&server.url())
        .quotas()
        .with("WORKER__POLL_MS", "60000")
        .file("[spend]\nhour = 10\nday = 20\n[spend.costs]\nsms = 0.1\n");
    for name in ["TENANT", "CALLER", "NEW_SUBJECTS", "COUNTRY"] {
        setup = setup.with(&format!("QUOTAS__{name}__COUNT"), "60");
    }
    setup.start().await
}

fn by_everything(subject: &str) -> StartVerificationRequest {
    StartVerificationRequest {
        recipients: vec![recipient(Channel::Sms, "+31612345678")],
        contact: Some(countersign::pb::v1::Contact {
            contact_id: "call-1".to_owned(),
            ..Default::default()
        }),
        source_ip: "192.0.2.1".to_owned(),
        quota_keys: vec!["device-1".to_owned()],
        request_id: unique("start"),
        ..anonymous(subject)
    }
}

/// What a start draws, by the server's monitor.
async fn draws_of(
    service: &Harness,
    server: &RedisServer,
    request: StartVerificationRequest,
) -> Vec<Seen> {
    let mut monitor: Client = server.client().unwrap();
    monitor.call(&["MONITOR"]).unwrap().ok();
    service.start(request).await.unwrap();
    server.cmd(&["ECHO", "the end"]).ok();
    let mut lines = Vec::new();
    while !lines
        .last()
        .is_some_and(|line: &String| line.contains("the end"))
    {
        lines.push(monitor.receive().unwrap().text());
    }
    let draws: Vec<_> = lines
        .iter()
        .filter(|line| line.to_lowercase().contains("\"evalsha\"") && line.contains("}:b:"))
        .collect();
    assert_eq!(draws.len(), 1, "all quotas by one call: {lines:#?}");
    let (_, call) = draws[0].split_once("] ").unwrap();
    let words: Vec<_> = call
        .trim_matches('"')
        .split("\" \"")
        .map(str::to_owned)
        .collect();
    let keys: usize = words[2].parse().unwrap();
    let (keys, arguments) = words[3..].split_at(keys);
    let seen = |draw: Vec<u8>| {
        let owner = u16::from_be_bytes([draw[0], draw[1]]);
        Seen {
            owner: keys[usize::from(owner) - 1].clone(),
            bucket: draw[4..].to_vec(),
        }
    };
    let arguments = arguments[2..].iter().map(|word| unescaped(word));
    arguments.map(seen).collect()
}

/// The bytes of a word as the monitor shows them.
fn unescaped(word: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), word.bytes());
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next().unwrap() {
            b'x' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'a' => 7,
            b'b' => 8,
            itself => itself,
        });
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn send_14_a_decoy_draws_exactly_what_an_anonymous_start_of_a_known_customer_draws() {
    let server = RedisServer::start(&Options::default());
    let service = counted(&server).await;
    let first = draws_of(&service, &server, by_everything("known")).await;
    let known = draws_of(&service, &server, by_everything("known")).await;
    let decoy = StartVerificationRequest {
        decoy: true,
        ..by_everything("nobody")
    };
    let decoy_first = draws_of(&service, &server, decoy.clone()).await;
    let again = StartVerificationRequest {
        request_id: unique("start"),
        ..decoy
    };
    let decoy_again = draws_of(&service, &server, again).await;
    assert!(first.len() > known.len(), "the first one is of a stranger");
    // What is drawn of whom, without the name of the subject, which is another one.
    let owners: BTreeSet<_> = known.iter().map(|seen| &seen.owner).collect();
    let anonymised = |draws: &[Seen]| {
        let drawn = draws.iter().map(|seen| Seen {
            owner: if owners.contains(&seen.owner) && is_shared(&seen.owner, &decoy_again) {
                seen.owner.clone()
            } else {
                "the subject".to_owned()
            },
            ..seen.clone()
        });
        drawn.collect::<Vec<_>>()
    };
    assert_eq!(anonymised(&decoy_again), anonymised(&known));
    assert_eq!(
        owners.len() - 1,
        owners
            .iter()
            .filter(|owner| is_shared(owner, &decoy_again))
            .count(),
        "all but the subject"
    );
    // The first one makes a record, so it draws that too, and nothing else.
    let new = |draws: &[Seen], than: &[Seen]| {
        let than: BTreeSet<_> = anonymised(than).into_iter().collect();
        let more: Vec<_> = anonymised(draws)
            .into_iter()
            .filter(|seen| !than.contains(seen))
            .collect();
        more
    };
    let record = new(&decoy_first, &known);
    assert_eq!(record.len(), 2, "new_subjects, for strangers and for all");
    assert_eq!(record[0].owner, record[1].owner);
    assert!(new(&first, &known).iter().any(|seen| record.contains(seen)));
}

fn is_shared(owner: &str, draws: &[Seen]) -> bool {
    draws.iter().any(|seen| seen.owner == owner)
}

#[tokio::test(flavor = "multi_thread")]
async fn send_14_the_buckets_of_one_owner_are_one_key() {
    let server = RedisServer::start(&Options::default());
    let service = counted(&server).await;
    let drawn = draws_of(&service, &server, by_everything("s")).await;
    let keys = server.cmd(&["KEYS", "*{q*"]).ok();
    let keys: Vec<_> = keys.list().iter().map(Reply::text).collect();
    // The recipient, the subject, the contact, a key, the block, the network, the country, the caller, the tenant.
    assert_eq!(keys.len(), 9, "{keys:?}");
    assert_eq!(drawn.len(), 26, "{drawn:#?}");
}

//! A file written by version 0.1 can be read: each record with its due time, and each event.

use std::{path::Path, time::Duration};

use serde_json::Value;

use super::*;
use crate::domain::ids::SubjectKey;
use crate::store::contract::bed::{Counter, ManualClock};

/// Made once with version 0.1; never regenerate it. The README beside it says how it was made.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/data");

fn json(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(Path::new(FOLDER).join(name)).unwrap()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn key(value: &Value) -> RecordKey {
    SubjectKey(bytes(value).try_into().unwrap()).into()
}

/// Opens the file, with the generation file beside it.
fn opened(folder: &Path) -> (Durable, Arc<ManualClock>) {
    let store = json("store.json");
    let mut file = vec![0; usize::try_from(store["bytes"].as_u64().unwrap()).unwrap()];
    for (at, part) in store["pages"].as_object().unwrap() {
        let (at, part) = (at.parse::<usize>().unwrap(), bytes(part));
        file[at..at + part.len()].copy_from_slice(&part);
    }
    let path = folder.join("countersign.redb");
    if !path.exists() {
        std::fs::write(&path, file).unwrap();
        std::fs::copy(
            Path::new(FOLDER).join("generation"),
            folder.join("generation"),
        )
        .unwrap();
    }
    let clock = ManualClock::start();
    (
        Durable::open(&path, folder, clock.clone(), &Counter::default()).unwrap(),
        clock,
    )
}

async fn holds_all(store: &Durable, clock: &ManualClock) {
    let rows = json("rows.json");
    let generation = std::fs::read_to_string(Path::new(FOLDER).join("generation")).unwrap();
    assert_eq!(
        hex::encode(store.generation.0),
        generation.trim(),
        "it is no restored copy"
    );
    let records = rows["records"].as_array().unwrap();
    assert!(records.len() > 4, "subjects, and side records");
    for row in records {
        let blob = store
            .load(&key(&row["key"]))
            .await
            .unwrap()
            .blob
            .expect("it is there");
        assert_eq!(
            (blob.token.to_vec(), blob.bytes.to_vec()),
            (bytes(&row["token"]), bytes(&row["sealed"]))
        );
    }
    let events: Vec<_> = store.events(0, 0, usize::MAX).await.unwrap();
    let told = |event: &StoredEvent| {
        (
            event.cursor,
            event.at.as_micros(),
            event.key,
            event.sealed.clone(),
        )
    };
    let stored = rows["events"].as_array().unwrap().iter().map(|row| {
        (
            row["cursor"].as_u64().unwrap(),
            row["at"].as_u64().unwrap(),
            key(&row["key"]),
            bytes(&row["sealed"]),
        )
    });
    assert_eq!(
        events.iter().map(told).collect::<Vec<_>>(),
        stored.collect::<Vec<_>>()
    );
    let due: Vec<_> = rows["due"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row[0].as_u64().unwrap(), key(&row[1])))
        .collect();
    let mut before: Vec<RecordKey> = Vec::new();
    for (at, key) in due {
        let found = store.due(100).await.unwrap();
        if clock.now() < Timestamp::from_micros(at) {
            assert_eq!(
                (found.keys, found.next),
                (before.clone(), Some(Timestamp::from_micros(at)))
            );
            clock.advance(Duration::from_micros(at - clock.now().as_micros()));
        }
        before.push(key);
    }
    assert_eq!(
        store.due(100).await.unwrap(),
        Due {
            keys: before,
            next: None
        }
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn golden_the_file_of_version_0_1_is_read_and_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let (store, clock) = opened(folder.path());
        holds_all(&store, &clock).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn golden_cursors_go_on_where_version_0_1_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = opened(folder.path());
    let last = store
        .events(0, 0, usize::MAX)
        .await
        .unwrap()
        .last()
        .unwrap()
        .cursor;
    let keep = Retention {
        since: Timestamp::from_micros(u64::MAX),
        entries_max: 0,
    };
    let trimmed = store.trim_events(keep).await.unwrap();
    assert_eq!(trimmed.old, last, "cursors count from one");
    let load = store.load(&SubjectKey([1; 16]).into()).await.unwrap();
    let write = crate::ports::store::Write::Delete;
    let (durability, events) = (crate::domain::decide::Durability::Plain, vec![vec![1]]);
    let commit = Commit {
        key: SubjectKey([1; 16]).into(),
        expect: None,
        generation: load.generation,
        write,
        events,
        durability,
    };
    assert_eq!(store.commit(commit).await.unwrap(), Committed::Done);
    assert_eq!(store.events(0, last, 10).await.unwrap()[0].cursor, last + 1);
}

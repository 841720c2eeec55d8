//! Files as version 0.1 wrote them, and their migration.

use std::{fs, path::Path, sync::Arc, time::Duration};

use redb::{Database, ReadableDatabase};

use super::{super::tables::*, *};
use crate::{
    domain::time::{Generation, Timestamp},
    ports::store::{Blob, Store, StoredEvent},
    store::{
        contract::bed::{Counter, ManualClock, key, token},
        embedded::durable::{Durable, setup::GENERATION_FILE},
        open_error::OpenCause,
    },
};

/// The number of records in such a file.
pub(in crate::store::embedded::durable) const RECORDS_OF_FORMAT_1: u8 = 9;

const GENERATION: Generation = Generation([0x6e; 16]);

/// The due time of record `n`: every second record is due, at microsecond `n`.
fn due_at(n: u8) -> Option<u64> {
    n.is_multiple_of(2).then_some(n.into())
}

fn bytes(n: u8) -> Vec<u8> {
    vec![n; 700 * usize::from(n)]
}

/// Fills an empty database as version 0.1 did, with its generation file beside it.
pub(in crate::store::embedded::durable) fn write_format_1(db: &Database, data_dir: &Path) {
    let write = db.begin_write().unwrap();
    for n in 1..=RECORDS_OF_FORMAT_1 {
        let key = [n; 16];
        let row = (&token(n), due_at(n), &*bytes(n));
        write
            .open_table(RECORDS_1)
            .unwrap()
            .insert(&key, row)
            .unwrap();
        if let Some(at) = due_at(n) {
            write
                .open_table(DUE_1)
                .unwrap()
                .insert((at, &key), ())
                .unwrap();
        }
        let event = (u64::from(n), &key, &[n, 1][..]);
        let mut events = write.open_table(EVENTS_1).unwrap();
        events.insert(u64::from(n), event).unwrap();
    }
    let mut numbers = write.open_table(NUMBERS).unwrap();
    numbers.insert(FORMAT_KEY, FORMAT_1).unwrap();
    numbers
        .insert(LAST_CURSOR_KEY, u64::from(RECORDS_OF_FORMAT_1))
        .unwrap();
    drop(numbers);
    let mut ids = write.open_table(IDS).unwrap();
    ids.insert(GENERATION_KEY, &GENERATION.0).unwrap();
    drop(ids);
    write.commit().unwrap();
    fs::write(data_dir.join(GENERATION_FILE), hex::encode(GENERATION.0)).unwrap();
}

/// The format number of a database. Fails unless the database has exactly the tables of that format.
pub(in crate::store::embedded::durable) fn format(read: &redb::ReadTransaction) -> u64 {
    let format = read.open_table(NUMBERS).unwrap().get(FORMAT_KEY).unwrap();
    let format = format.unwrap().value();
    let names = read
        .list_tables()
        .unwrap()
        .map(|table| redb::TableHandle::name(&table).to_owned());
    let old: Vec<String> = names
        .filter(|name| ["records.v1", "due.v1", "events.v1"].contains(&name.as_str()))
        .collect();
    assert_eq!(old.len(), if format == FORMAT_1 { 3 } else { 0 }, "{old:?}");
    format
}

/// Checks that everything that was in the file is still there.
pub(in crate::store::embedded::durable) async fn holds_all(store: &Durable) {
    assert_eq!(store.generation, GENERATION, "it is no restored copy");
    for n in 1..=RECORDS_OF_FORMAT_1 {
        let blob = Blob {
            token: token(n),
            bytes: bytes(n).into(),
        };
        assert_eq!(store.load(&key(n)).await.unwrap().blob, Some(blob));
    }
    let due: Vec<_> = (1..=RECORDS_OF_FORMAT_1)
        .filter(|n| due_at(*n).is_some())
        .map(key)
        .collect();
    assert_eq!(store.due(100).await.unwrap().keys, due);
    let event = |n: u8| StoredEvent {
        cursor: n.into(),
        key: key(n),
        at: Timestamp::from_micros(n.into()),
        sealed: vec![n, 1],
    };
    let events: Vec<_> = (1..=RECORDS_OF_FORMAT_1).map(event).collect();
    assert_eq!(store.events(0, 0, 100).await.unwrap(), events);
}

fn file_of_version_0_1(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("store.redb");
    write_format_1(&Database::create(&path).unwrap(), folder);
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_version_0_1_is_migrated_once_and_cursors_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_of_version_0_1(folder.path());
    let clock = ManualClock::start();
    for _ in 0..2 {
        let store = Durable::open(&path, folder.path(), clock.clone(), &Counter::default());
        let store = Arc::new(store.unwrap());
        holds_all(&store).await;
        assert_eq!(format(&store.db.begin_read().unwrap()), FORMAT);
    }
    let store = Durable::open(&path, folder.path(), clock.clone(), &Counter::default()).unwrap();
    store.append(&key(1), vec![7]).await.unwrap();
    clock.advance(Duration::from_secs(1));
    drop(store);
    let store = Durable::open(&path, folder.path(), clock, &Counter::default()).unwrap();
    let last = u64::from(RECORDS_OF_FORMAT_1);
    assert_eq!(store.events(0, last, 9).await.unwrap()[0].cursor, last + 1);
}

#[tokio::test]
async fn whoever_only_reads_a_file_leaves_its_format_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_of_version_0_1(folder.path());
    let refused = Durable::inspect(&path, ManualClock::start()).err().unwrap();
    assert!(matches!(refused, OpenCause::Older { found: 1, known: 2 }));
    assert_eq!(
        format(&Database::open(&path).unwrap().begin_read().unwrap()),
        FORMAT_1
    );
    assert!(Durable::inspect(&folder.path().join("absent"), ManualClock::start()).is_err());
}

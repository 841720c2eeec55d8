//! Tests of what only a store in a file can do: survive its process.

use std::{fs, path::PathBuf};

use redb::TableDefinition;
use tempfile::TempDir;

use super::{setup::GENERATION_FILE, tables::*, *};
use crate::{
    domain::decide::Durability,
    ports::store::Write,
    store::contract::bed::{Counter, ManualClock, key, token},
};

struct Place {
    folder: TempDir,
    entropy: Counter,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            entropy: Counter::default(),
        }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("db/store.redb")
    }

    fn generation_file(&self) -> PathBuf {
        self.folder.path().join("data").join(GENERATION_FILE)
    }

    fn open(&self) -> Result<Durable, OpenCause> {
        Durable::open(
            &self.database(),
            &self.folder.path().join("data"),
            ManualClock::start(),
            &self.entropy,
        )
    }

    /// Changes the file as another program would.
    fn tamper(&self, write: impl FnOnce(&redb::WriteTransaction)) {
        fs::create_dir_all(self.database().parent().unwrap()).unwrap();
        let db = Database::create(self.database()).unwrap();
        let transaction = db.begin_write().unwrap();
        write(&transaction);
        transaction.commit().unwrap();
    }
}

async fn put(store: &Durable, expect: Option<u8>, n: u8) -> Result<Committed, StoreError> {
    let blob = Blob {
        token: token(n),
        bytes: vec![n].into(),
    };
    let commit = Commit {
        key: key(1),
        expect: expect.map(token),
        generation: store.generation,
        write: Write::Put {
            blob,
            wake_at: Some(store.clock.now()),
            keep_until: None,
        },
        events: vec![vec![n]],
        durability: Durability::Durable,
    };
    store.commit(commit).await
}

#[tokio::test]
async fn store_20_a_reopened_store_knows_everything() {
    let place = Place::new();
    let store = place.open().unwrap();
    assert_eq!(put(&store, None, 1).await.unwrap(), Committed::Done);
    store.append(&key(2), vec![2]).await.unwrap();
    let generation = store.generation;
    drop(store);

    let store = place.open().unwrap();
    assert_eq!(store.generation, generation);
    assert_eq!(
        store.load(&key(1)).await.unwrap().blob.unwrap().token,
        token(1)
    );
    assert_eq!(store.due(10).await.unwrap().keys, [key(1)]);
    let events = store.events(0, 0, 10).await.unwrap();
    assert_eq!(
        events.len(),
        2,
        "what was queued is written before the store closes"
    );
    let keep = Retention {
        since: Timestamp::from_micros(u64::MAX),
        entries_max: 0,
    };
    assert_eq!(store.trim_events(keep).await.unwrap().old, 2);
    drop(store);

    let store = place.open().unwrap();
    assert_eq!(put(&store, Some(1), 2).await.unwrap(), Committed::Done);
    assert!(
        store.events(0, events[1].cursor, 10).await.unwrap().len() == 1,
        "no cursor comes again"
    );
}

#[tokio::test]
async fn a_database_without_its_generation_file_is_a_restored_copy() {
    let place = Place::new();
    let first = place.open().unwrap().generation;
    assert_eq!(
        fs::read_to_string(place.generation_file()).unwrap().trim(),
        hex::encode(first.0)
    );
    for change in [
        None,
        Some("00112233445566778899aabbccddeeff"),
        Some("no hex"),
    ] {
        let before = place.open().unwrap().generation;
        match change {
            None => fs::remove_file(place.generation_file()).unwrap(),
            Some(text) => fs::write(place.generation_file(), text).unwrap(),
        }
        let store = place.open().unwrap();
        assert_ne!(store.generation, before, "{change:?}");
        let committed = put(
            &Durable {
                generation: before,
                ..store
            },
            None,
            9,
        )
        .await
        .unwrap();
        assert_eq!(
            committed,
            Committed::Conflict,
            "{change:?}: what was loaded before is refused"
        );
    }
    let last = place.open().unwrap().generation;
    assert_eq!(place.open().unwrap().generation, last, "and then it stays");
}

#[test]
fn a_second_opening_is_refused() {
    let place = Place::new();
    let first = place.open().unwrap();
    let refused = place.open().map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenCause::InUse), "{refused}");
    drop(first);
    place.open().unwrap();
}

#[test]
fn a_format_of_the_future_is_refused_by_name() {
    let place = Place::new();
    place.open().unwrap();
    place.tamper(|write| {
        write
            .open_table(NUMBERS)
            .unwrap()
            .insert(FORMAT_KEY, FORMAT + 1)
            .unwrap();
    });
    let refused = place.open().map(|_| ()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "it is in format 3, and this program reads format 2"
    );
}

#[test]
fn a_database_of_another_program_is_refused() {
    let place = Place::new();
    place.tamper(|write| {
        write
            .open_table(TableDefinition::<u64, u64>::new("theirs"))
            .unwrap();
    });
    assert!(matches!(place.open(), Err(OpenCause::Foreign)));
    fs::write(place.database(), "not a database").unwrap();
    assert!(matches!(place.open(), Err(OpenCause::NotADatabase)));
}

#[test]
fn a_first_start_that_was_killed_is_begun_again() {
    let place = Place::new();
    fs::create_dir_all(place.database().parent().unwrap()).unwrap();
    fs::write(place.database().with_added_extension("new"), [0; 8192]).unwrap();
    place.open().unwrap();
    place.open().unwrap();
    assert_eq!(
        fs::read_dir(place.database().parent().unwrap())
            .unwrap()
            .count(),
        1,
        "no draft is left"
    );
}

#[tokio::test]
async fn a_database_that_lost_its_data_is_refused_until_somebody_says_so() {
    let place = Place::new();
    let store = place.open().unwrap();
    let first = store.generation;
    assert_eq!(put(&store, None, 1).await.unwrap(), Committed::Done);
    drop(store);
    fs::remove_file(place.database()).unwrap();
    for _ in 0..2 {
        let refused = place.open().err().unwrap();
        assert!(matches!(refused, OpenCause::Lost { .. }), "{refused}");
    }
    fs::remove_file(place.generation_file()).unwrap();
    assert_ne!(place.open().unwrap().generation, first);
}

#[tokio::test]
async fn whoever_only_reads_a_file_changes_not_one_byte_of_it() {
    let place = Place::new();
    let store = place.open().unwrap();
    assert_eq!(put(&store, None, 1).await.unwrap(), Committed::Done);
    let killed = place.folder.path().join("killed.redb");
    // The file as it is while the process runs is the file that a kill leaves.
    fs::copy(place.database(), &killed).unwrap();
    drop(store);
    for path in [place.database(), killed] {
        let before = fs::read(&path).unwrap();
        let read = Durable::inspect(&path, ManualClock::start()).unwrap();
        assert!(read.load(&key(1)).await.unwrap().blob.is_some());
        assert!(put(&read, Some(1), 2).await.is_err());
        drop(read);
        assert!(fs::read(&path).unwrap() == before, "{}", path.display());
    }
    let left = fs::read_dir(place.folder.path()).unwrap().count();
    assert_eq!(left, 3, "no copy is left");
}

#[tokio::test]
async fn store_23_a_database_that_vanished_gives_no_verdicts() {
    let place = Place::new();
    let store = place.open().unwrap();
    assert_eq!(put(&store, None, 1).await.unwrap(), Committed::Done);
    store.ready().await.unwrap();
    let aside = place.database().with_extension("aside");
    fs::rename(place.database(), &aside).unwrap();
    let error = store.ready().await.unwrap_err().to_string();
    assert!(error.contains("vanished while it was open"), "{error}");
    assert!(put(&store, Some(1), 2).await.is_err());
    assert!(store.load(&key(1)).await.is_err());
    fs::rename(&aside, place.database()).unwrap();
    store.ready().await.unwrap();
    assert_eq!(put(&store, Some(1), 2).await.unwrap(), Committed::Done);
}

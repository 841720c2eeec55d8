//! A simulated disk that fails at any point and then loses writes that were not synced.

use std::{collections::BTreeMap, io, sync::Mutex};

use proptest::prelude::*;

use redb::ReadableDatabase as _;

use super::{
    super::shards::lock,
    migrate::{FORMAT_1, tests as old},
    tables::FORMAT,
    *,
};
use crate::{
    domain::decide::Durability,
    ports::store::Write,
    store::contract::bed::{Counter, ManualClock, key},
};

/// The unit that a disk writes completely or not at all.
const SECTOR: usize = 512;

/// How often each client changes its own record.
const COMMITS: u8 = 6;
const CLIENTS: u8 = 5;

/// About the number of writes and syncs on the disk until all clients are done.
const CHANGES: u32 = 150;

#[derive(Clone, Debug)]
enum Change {
    Length(usize),
    Sector { offset: usize, bytes: Vec<u8> },
}

fn change(image: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => image.resize(*length, 0),
        Change::Sector { offset, bytes } => {
            let end = offset + bytes.len();
            image.resize(image.len().max(end), 0);
            image[*offset..end].copy_from_slice(bytes);
        }
    }
}

#[derive(Debug, Default)]
struct Platter {
    /// The content that the process reads.
    seen: Vec<u8>,
    /// The content that a crash certainly keeps.
    synced: Vec<u8>,
    /// Writes that a crash may lose.
    unsynced: Vec<Change>,
    /// Writes and syncs left until the crash.
    left: Option<u32>,
}

#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Platter>>);

impl Disk {
    /// The content after the crash: everything synced, and those other writes for which `survives` returns true.
    fn after_crash(&self, mut survives: impl FnMut() -> bool) -> Self {
        let platter = lock(&self.0);
        let mut image = platter.synced.clone();
        platter
            .unsynced
            .iter()
            .filter(|_| survives())
            .for_each(|survivor| change(&mut image, survivor));
        Self(Arc::new(Mutex::new(Platter {
            seen: image.clone(),
            synced: image,
            ..Platter::default()
        })))
    }

    fn work(&self, work: impl FnOnce(&mut Platter)) -> io::Result<()> {
        let mut platter = lock(&self.0);
        match platter.left {
            Some(0) => return Err(io::Error::other("crashed")),
            Some(left) => platter.left = Some(left - 1),
            None => {}
        }
        work(&mut platter);
        Ok(())
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.0).seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = lock(&self.0);
        let from = usize::try_from(offset).unwrap();
        let bytes = platter
            .seen
            .get(from..from + out.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.work(|platter| {
            let length = Change::Length(usize::try_from(len).unwrap());
            change(&mut platter.seen, &length);
            platter.unsynced.push(length);
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.work(|platter| {
            platter.synced.clone_from(&platter.seen);
            platter.unsynced.clear();
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.work(|platter| {
            let mut offset = usize::try_from(offset).unwrap();
            let mut data = data;
            while !data.is_empty() {
                let (sector, rest) = data.split_at(data.len().min(SECTOR - offset % SECTOR));
                let sector = Change::Sector {
                    offset,
                    bytes: sector.to_vec(),
                };
                change(&mut platter.seen, &sector);
                platter.unsynced.push(sector);
                offset += data.len() - rest.len();
                data = rest;
            }
        })
    }
}

/// Opens the store on the disk, which fails after `crash_after` writes and syncs.
fn start(disk: &Disk, data_dir: &Path, crash_after: Option<u32>) -> Result<Durable, OpenCause> {
    let db = Database::builder()
        .create_with_backend(disk.clone())
        .unwrap();
    lock(&disk.0).left = crash_after;
    Durable::start(db, data_dir, ManualClock::start(), &Counter::default())
}

/// The n-th change of a client; all its parts contain the client and `n`.
fn nth(client: u8, n: u8, generation: Generation) -> Commit {
    let token = |n| {
        [[client, n].as_slice(), &[0; 10]]
            .concat()
            .try_into()
            .unwrap()
    };
    let size = 10 + 700 * usize::from(n);
    Commit {
        key: key(client),
        expect: (n > 1).then(|| token(n - 1)),
        generation,
        write: Write::Put {
            blob: Blob {
                token: token(n),
                bytes: vec![n; size].into(),
            },
            wake_at: Some(due_at(client, n)),
            keep_until: None,
        },
        events: vec![vec![client, n, 0], vec![client, n, 1]],
        durability: Durability::Plain,
    }
}

fn due_at(client: u8, n: u8) -> Timestamp {
    Timestamp::from_micros(u64::from(client) * 100 + u64::from(n))
}

/// Commits until a commit fails; returns how many were acknowledged.
async fn client(store: Arc<Durable>, client: u8) -> u8 {
    for n in 1..=COMMITS {
        let Ok(committed) = store.commit(nth(client, n, store.generation)).await else {
            assert!(
                store.load(&key(client)).await.is_err(),
                "nobody may load what is not known"
            );
            assert!(
                store
                    .commit(nth(client, n, store.generation))
                    .await
                    .is_err(),
                "it goes on failing"
            );
            return n - 1;
        };
        assert_eq!(committed, Committed::Done);
    }
    COMMITS
}

/// The number of changes found per client; each must be complete.
async fn found(store: &Durable) -> BTreeMap<u8, u8> {
    let due = store.due(usize::MAX).await.unwrap();
    let events = store.events(0, 0, usize::MAX).await.unwrap();
    let mut found = BTreeMap::new();
    for client in 1..=CLIENTS {
        let blob = store.load(&key(client)).await.unwrap().blob;
        let last = blob.as_ref().map_or(0, |blob| blob.token[1]);
        let whole = (last > 0).then(|| nth(client, last, store.generation).write);
        let stored = blob.map(|blob| Write::Put {
            blob,
            wake_at: Some(due_at(client, last)),
            keep_until: None,
        });
        assert_eq!(format!("{stored:?}"), format!("{whole:?}"), "the record");
        assert_eq!(
            due.keys.iter().filter(|due| **due == key(client)).count(),
            usize::from(last > 0),
            "its due entry"
        );
        let of_client = events
            .iter()
            .filter(|event| event.key == key(client))
            .map(|event| event.sealed.clone());
        let expected = (1..=last).flat_map(|n| [vec![client, n, 0], vec![client, n, 1]]);
        assert!(
            of_client.eq(expected),
            "the events of client {client} up to its change {last}"
        );
        found.insert(client, last);
    }
    assert_eq!(
        due.keys.len(),
        found.values().filter(|last| **last > 0).count()
    );
    found
}

/// Lets clients commit until the disk fails; returns how many changes of each were acknowledged.
async fn acknowledged(disk: &Disk, data_dir: &Path, crash_after: u32) -> BTreeMap<u8, u8> {
    let Ok(store) = start(disk, data_dir, Some(crash_after)) else {
        return BTreeMap::new();
    };
    let store = Arc::new(store);
    let mut clients = tokio::task::JoinSet::new();
    for n in 1..=CLIENTS {
        let store = Arc::clone(&store);
        clients.spawn(async move { (n, client(store, n).await) });
    }
    clients.join_all().await.into_iter().collect()
}

/// Decides which writes survive: on average `odds` of eight.
fn survive(seed: u64, odds: u64) -> impl FnMut() -> bool {
    let mut random = seed;
    move || {
        // Linear congruential generator (Knuth, MMIX); its high bits are random enough to pick sectors.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 32) % 8 < odds
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn store_20_no_acknowledged_commit_is_lost_at_any_crash_point(crash_after in 0..CHANGES, survivors: u64, odds in 0..=8_u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let acknowledged = runtime.block_on(acknowledged(&disk, folder.path(), crash_after));
        let disk = disk.after_crash(survive(survivors, odds));
        let store = start(&disk, folder.path(), None).unwrap();
        let found = runtime.block_on(found(&store));
        for (client, acknowledged) in acknowledged {
            let found = found[&client];
            prop_assert!(found == acknowledged || found == acknowledged + 1, "{} found, {} acknowledged", found, acknowledged);
        }
    }

    #[test]
    fn store_20_a_crash_during_a_migration_leaves_the_old_format_whole_or_the_new_one(crash_after in 0..CHANGES, survivors: u64, odds in 0..=8_u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        old::write_format_1(&Database::builder().create_with_backend(disk.clone()).unwrap(), folder.path());
        let migrated = start(&disk, folder.path(), Some(crash_after)).is_ok();
        let disk = disk.after_crash(survive(survivors, odds));
        let db = Database::builder()
            .create_with_backend(disk.clone())
            .unwrap();
        let format = old::format(&db.begin_read().unwrap());
        drop(db);
        prop_assert!(format == FORMAT || (format == FORMAT_1 && !migrated), "{}", format);
        runtime.block_on(old::holds_all(&start(&disk, folder.path(), None).unwrap()));
    }
}

//! A store with a manual clock, and short helpers for tests.

#[path = "../../../tests/rig/rig.rs"]
pub mod rig;

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tempfile::TempDir;

use rig::RedisServer;

use crate::{
    domain::{
        decide::Durability,
        limit::rate::Rate,
        record::key::{RECORD_KEY_BYTES, RecordKey},
        time::{Timestamp, micros},
    },
    ports::{
        store::{
            Blob, Commit, Committed, Due, Loaded, Retention, Store, StoredEvent, Token, Trimmed,
            Write, url::StoreUrl,
        },
        system::{Clock, Entropy},
    },
    store::{
        open_embedded,
        redis::{Certificates, FirstUse, Redis, RedisMachine, RedisSettings},
    },
};

/// 20 at once, then one every 15 s.
pub const RATE: Rate = Rate {
    interval: Duration::from_secs(15),
    burst: 19,
};

/// A clock that moves only when it is advanced.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Starts at a fixed time in 2023.
    pub fn start() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_700_000_000_000_000)))
    }

    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(micros(span), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }

    async fn sleep(&self, span: Duration) {
        self.advance(span);
    }
}

/// A counter in place of randomness: every fill differs from the one before.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        bytes.fill(0);
        bytes[..8].copy_from_slice(&n.to_be_bytes());
    }
}

/// A subject's record key for tests; different values of `n` are in different shards.
pub fn key(n: u8) -> RecordKey {
    key_of(b'r', n)
}

/// A record key of the kind with this letter.
pub fn key_of(letter: u8, n: u8) -> RecordKey {
    let mut bytes = [n; RECORD_KEY_BYTES];
    bytes[0] = letter;
    RecordKey::from_bytes(&bytes)
}

/// The compare token of blob `n`.
pub fn token(n: u8) -> Token {
    [n; 12]
}

/// The Redis server shared by all tests that do not stop or reconfigure it.
pub fn server() -> &'static RedisServer {
    static SERVER: LazyLock<RedisServer> =
        LazyLock::new(|| RedisServer::start(&rig::Options::default()));
    &SERVER
}

/// Settings for a store with one shard, so that all events have one order, as in the embedded engines.
pub fn redis_settings(url: &str) -> RedisSettings {
    let StoreUrl::Redis(url) = StoreUrl::parse(url).unwrap() else {
        panic!("{url} is no Redis")
    };
    RedisSettings {
        url,
        login: None,
        sentinel_login: None,
        certificates: Certificates::default(),
        prefix: "cs".to_owned(),
        shards: 1,
        connections: 2,
        durable_connections: 2,
        wait_replicas: 0,
        wait_aof: false,
        wait: Duration::from_millis(100),
        deadline: Duration::from_secs(10),
    }
}

/// A store on Redis that takes its time from a manual clock.
pub async fn open_redis(settings: RedisSettings, clock: &Arc<ManualClock>) -> Arc<Redis> {
    // The manual clock also replaces the servers' clock (`test_clock`). It is not the machine's time, but a clock-skew
    // complaint does not matter in a test.
    let entropy = Arc::new(crate::system::SystemEntropy::default());
    let machine = RedisMachine {
        clock: clock.clone(),
        entropy,
        test_clock: Some(clock.clone()),
    };
    Arc::new(
        Redis::open(settings, machine, FirstUse::SetUp)
            .await
            .unwrap(),
    )
}

/// A store with its clock.
pub struct Bed {
    pub store: Arc<dyn Store>,
    pub clock: Arc<ManualClock>,
    _folder: Option<TempDir>,
}

impl Bed {
    pub fn memory() -> Self {
        Self::embedded(None)
    }

    pub fn durable() -> Self {
        Self::embedded(Some(tempfile::tempdir().unwrap()))
    }

    /// On the shared server, under a prefix of its own.
    pub async fn redis() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let prefix = format!("bed{}", NEXT.fetch_add(1, Ordering::SeqCst));
        let clock = ManualClock::start();
        let settings = RedisSettings {
            prefix,
            ..redis_settings(&server().url())
        };
        Self {
            store: open_redis(settings, &clock).await,
            clock,
            _folder: None,
        }
    }

    /// In a file in this folder, or in memory.
    fn embedded(folder: Option<TempDir>) -> Self {
        let clock = ManualClock::start();
        let data_dir = folder
            .as_ref()
            .map(|folder| folder.path().to_path_buf())
            .unwrap_or_default();
        let path = folder
            .as_ref()
            .map(|folder| folder.path().join("store.redb"));
        let store = open_embedded(
            path.as_deref(),
            &data_dir,
            clock.clone(),
            &Counter::default(),
        )
        .unwrap();
        Self {
            store,
            clock,
            _folder: folder,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn load(&self, n: u8) -> Loaded {
        self.store.load(&key(n)).await.unwrap()
    }

    pub async fn due(&self, limit: usize) -> Due {
        self.store.due(limit).await.unwrap()
    }

    pub async fn events(&self) -> Vec<StoredEvent> {
        self.store.events(0, 0, usize::MAX).await.unwrap()
    }

    /// Deletes the events written before this time.
    pub async fn trim(&self, since: Timestamp) -> u64 {
        let keep = Retention {
            since,
            entries_max: u64::MAX,
        };
        let Trimmed { old, young, .. } = self.store.trim_events(keep).await.unwrap();
        assert_eq!(young, 0);
        old
    }

    /// The blob that `commit` writes as number `n`.
    pub fn blob(n: u8) -> Blob {
        Blob {
            token: token(n),
            bytes: vec![n; usize::from(n)].into(),
        }
    }

    /// A change in the current generation: puts blob `n`, due at microsecond `n`, with one event.
    pub async fn commit(&self, record: u8, expect: Option<u8>, n: u8) -> Commit {
        self.commit_of(key(record), expect, n).await
    }

    /// As [`Bed::commit`], for a record of any kind.
    pub async fn commit_of(&self, key: RecordKey, expect: Option<u8>, n: u8) -> Commit {
        Commit {
            key,
            expect: expect.map(token),
            generation: self.store.load(&key).await.unwrap().generation,
            write: Write::Put {
                blob: Self::blob(n),
                wake_at: Some(Timestamp::from_micros(u64::from(n))),
                keep_until: None,
            },
            events: vec![vec![n]],
            durability: Durability::Plain,
        }
    }

    pub async fn put(&self, record: u8, expect: Option<u8>, n: u8) -> Committed {
        self.store
            .commit(self.commit(record, expect, n).await)
            .await
            .unwrap()
    }

    /// Puts blob 1, due at this time.
    pub async fn put_due(
        &self,
        record: u8,
        expect: Option<u8>,
        wake_at: Option<Timestamp>,
    ) -> Committed {
        let write = Write::Put {
            blob: Self::blob(1),
            wake_at,
            keep_until: None,
        };
        self.store
            .commit(Commit {
                write,
                ..self.commit(record, expect, 1).await
            })
            .await
            .unwrap()
    }
}

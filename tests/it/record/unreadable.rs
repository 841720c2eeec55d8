//! Unreadable records block nothing, are reported, and stay unchanged (STORE-21).

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use countersign::{
    app::Machine,
    domain::{
        crypto::keyring::{Keyring, Kid, SECRET_BYTES, Secret},
        decide::Durability,
        ids::{SubjectKey, VerificationId},
        record::{key::RecordKey, subject::SubjectRecord},
        time::{Generation, Timestamp},
    },
    pb::v1::{self, CancelReason},
    ports::{
        store::{Blob, Commit, Committed, Store, Write, url::StoreUrl},
        system::Clock as _,
    },
    service::record::vault::Vault,
    store::{
        embedded::{durable::Durable, memory::Memory},
        redis::{Certificates, FirstUse, Redis, RedisMachine, RedisSettings},
    },
    system::SystemEntropy,
};
use tonic::Code;

use crate::harness::{
    Harness, PATIENCE, Setup, anonymous,
    binary::{Process, binary},
    check_request,
    http::get,
    login, recipient, server, shape, unique, with_key,
};

/// The log lines of the tasks on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin(&self) -> tracing::subscriber::DefaultGuard {
        let sink = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(move || sink.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The key of the n-th record; the keys are spread over all shards.
fn key(n: usize) -> SubjectKey {
    let mut hash = [0xa5; 16];
    hash[..2].copy_from_slice(&(n as u16).to_be_bytes());
    hash[2..10].copy_from_slice(&(n as u64).to_be_bytes());
    SubjectKey(hash)
}

async fn put(store: &dyn Store, key: RecordKey, blob: Blob, wake_at: Timestamp) {
    let loaded = store.load(&key).await.unwrap();
    let commit = Commit {
        key,
        expect: loaded.blob.map(|blob| blob.token),
        generation: loaded.generation,
        write: Write::Put {
            blob,
            wake_at: Some(wake_at),
            keep_until: None,
        },
        events: Vec::new(),
        durability: Durability::Plain,
    };
    assert_eq!(store.commit(commit).await.unwrap(), Committed::Done);
}

/// Fills a store with due records that cannot be opened: sealed with an unknown key, of an unknown format, foreign
/// data, or of a kind that a newer version added.
async fn fill(store: &dyn Store, count: usize, now: Timestamp) {
    let ring = [(
        Kid::parse("dropped").unwrap(),
        Secret::new([7; SECRET_BYTES]),
    )];
    let keyring = Keyring::new(&Secret::new([8; SECRET_BYTES]), &ring).unwrap();
    let vault = Vault::new(Arc::new(keyring), Arc::new(SystemEntropy::default()));
    let record = SubjectRecord::new([3; 16], Generation([4; 16]));
    for n in 0..count {
        let sealed = vault.close(&key(n), &record);
        let bytes = match n % 10 {
            0 => [&[9], &sealed.bytes[1..]].concat(),
            1 => vec![n as u8; 80],
            _ => sealed.bytes.to_vec(),
        };
        let blob = Blob {
            bytes: bytes.into(),
            ..sealed
        };
        let mut place = RecordKey::from(key(n)).to_bytes();
        if n % 10 == 2 {
            place[0] = b'~';
        }
        let due = Timestamp::from_micros(now.as_micros() - 1_000_000 - n as u64);
        put(store, RecordKey::from_bytes(&place), blob, due).await;
    }
}

/// A service on a store that was filled before its start.
async fn start(store: Arc<dyn Store>, setup: &Setup) -> Harness {
    let machine = Machine {
        clock: setup.clock.clone(),
        store: Some(store),
        ..Machine::default()
    };
    setup.start_on(machine).await
}

fn two_steps(subject: &str) -> v1::StartVerificationRequest {
    let recipients = [
        (v1::Channel::Email, "anna@example.org"),
        (v1::Channel::Sms, "+31612345678"),
    ];
    v1::StartVerificationRequest {
        recipients: recipients
            .map(|(channel, address)| recipient(channel, address))
            .to_vec(),
        ..login(subject)
    }
}

fn told(lines: &[String]) -> usize {
    let told = |line: &&String| line.contains("records cannot be opened");
    lines.iter().filter(told).count()
}

/// The scenario on each engine: other due records are processed, and the unreadable ones are reported once a minute.
async fn nothing_is_held_up(store: Arc<dyn Store>, setup: Setup, count: usize) {
    let log = Log::default();
    let _guard = log.begin();
    let setup = setup.with("ACTIONS__LOGIN__PLAN", "email 20s,sms");
    fill(&*store, count, setup.clock.now()).await;
    let service = start(store.clone(), &setup).await;
    let id = service.start(two_steps("s")).await.unwrap().verification_id;
    service
        .until(&id, |v| {
            v.deliveries[0].status() == v1::DeliveryStatus::Sent
        })
        .await;

    // The step is due, and from here on the clock stands still, so nothing waits for another sweep.
    service.pass(Duration::from_secs(20)).await;
    let sent = service.recorder.wait_for(2).await;
    assert_eq!(sent[1].recipient.channel().as_str(), "sms");

    // All of them have left the head of the index.
    let left = async {
        while !store.due(count).await.unwrap().keys.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, left).await.expect("they go");
    let page = get(service.reach.admin, "/readyz").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let degraded = format!("degraded: unreadable_records: {count} stored records cannot be opened");
    assert!(page.contains(&degraded), "{page}");
    assert!(page.contains("key id dropped ("), "{page}");
    assert_eq!(told(&log.lines()), 1, "{:#?}", log.lines());

    // A minute later all of them are due again, and then wait twice as long.
    service.pass(Duration::from_secs(61)).await;
    let again = async {
        while told(&log.lines()) < 2 || !store.due(count).await.unwrap().keys.is_empty() {
            service.pass(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again)
        .await
        .expect("they come and go");
    let next = store.due(0).await.unwrap().next.unwrap();
    assert!(
        next.since(service.clock.now()) > Duration::from_secs(60),
        "{next:?}"
    );
    assert_eq!(told(&log.lines()), 2);
    assert!(log.lines().len() < 60, "{:#?}", log.lines());
}

#[tokio::test]
async fn store_21_ten_thousand_unreadable_records_hold_nothing_up() {
    let setup = Setup::default();
    let store = Memory::new(setup.clock.clone(), &SystemEntropy::default());
    nothing_is_held_up(Arc::new(store), setup, 10_000).await;
}

#[tokio::test]
async fn store_21_unreadable_records_in_a_file_hold_nothing_up() {
    let setup = Setup::default();
    let dir = setup.dir.path().join("unreadable");
    let clock = setup.clock.clone();
    let store = Durable::open(&dir.join("db"), &dir, clock, &SystemEntropy::default());
    nothing_is_held_up(Arc::new(store.unwrap()), setup, 1000).await;
}

#[tokio::test]
async fn store_21_unreadable_records_on_redis_hold_nothing_up() {
    let setup = Setup::default();
    let StoreUrl::Redis(url) = StoreUrl::parse(&server().url()).unwrap() else {
        unreachable!("it is on Redis")
    };
    let settings = RedisSettings {
        url,
        login: None,
        sentinel_login: None,
        certificates: Certificates::default(),
        prefix: unique("unreadable"),
        shards: 8,
        connections: 2,
        durable_connections: 1,
        wait_replicas: 0,
        wait_aof: false,
        wait: Duration::from_millis(100),
        deadline: Duration::from_secs(10),
    };
    let machine = RedisMachine {
        clock: setup.clock.clone(),
        entropy: Arc::new(SystemEntropy::default()),
        test_clock: Some(setup.clock.clone()),
    };
    let store = Redis::open(settings, machine, FirstUse::SetUp)
        .await
        .unwrap();
    nothing_is_held_up(Arc::new(store), setup, 2000).await;
}

#[tokio::test]
async fn store_21_no_call_opens_or_overwrites_what_cannot_be_read() {
    let setup = Setup::default();
    let store: Arc<dyn Store> =
        Arc::new(Memory::new(setup.clock.clone(), &SystemEntropy::default()));
    let service = start(store.clone(), &setup).await;
    let (v, code) = service.start_and_read(login("s")).await;
    let id = service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == v1::DeliveryStatus::Sent
        })
        .await
        .verification_id;
    let key = RecordKey::from(VerificationId::parse(&id).unwrap().subject);
    let good = store.load(&key).await.unwrap().blob.unwrap();
    let mut bytes = good.bytes.to_vec();
    bytes[0] = 9;
    let foreign = Blob {
        token: [9; 12],
        bytes: bytes.into(),
    };
    put(&*store, key, foreign.clone(), service.clock.now()).await;

    let unreadable = (Code::FailedPrecondition, "RECORD_UNREADABLE".to_owned());
    assert_eq!(shape(service.get(&id).await), unreadable);
    assert_eq!(shape(service.try_check(&id, &code, "a").await), unreadable);
    assert_eq!(shape(service.start(login("s")).await), unreadable);
    assert_eq!(shape(service.start(anonymous("s")).await), unreadable);
    let resent = service.try_resend(&id, v1::Channel::Unspecified).await;
    assert_eq!(shape(resent), unreadable);
    let canceled = service.try_cancel(&id, CancelReason::NotMe).await;
    assert_eq!(shape(canceled), unreadable);
    service.pass(Duration::from_secs(3600)).await;
    service.start_and_read(login("t")).await;
    assert!(
        service
            .audit()
            .await
            .iter()
            .any(|line| line.what == "started")
    );
    assert_eq!(
        store.load(&key).await.unwrap().blob,
        Some(foreign),
        "it stays as it is"
    );

    // When it can be opened again, everything is there.
    put(&*store, key, good, service.clock.now()).await;
    assert_eq!(shape(service.get(&id).await).0, Code::Ok);
    let page = get(service.reach.admin, "/readyz").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
}

/// The result of `countersign keys usage`: whether it succeeds, its output, and its warnings.
fn usage(dir: &std::path::Path, arguments: &[&str]) -> (bool, String, String) {
    let said = binary()
        .env("COUNTERSIGN__DATA_DIR", dir.join("data"))
        .args(["keys", "usage"])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (said.status.success(), text(said.stdout), text(said.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn seal_06_a_key_in_use_is_counted_before_it_is_dropped_and_missed_after() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &[]);
    let started = process
        .client()
        .await
        .start_verification(with_key(&process.key, login("s")))
        .await
        .unwrap();
    let id = started.into_inner().verification.unwrap().verification_id;
    let (well, _, why) = usage(dir.path(), &[]);
    assert!(!well && why.contains("stop the service"), "{why}");
    assert!(why.contains("countersign_records_by_key"), "{why}");
    process.terminate();

    let (well, table, warnings) = usage(dir.path(), &[]);
    assert!(well && warnings.is_empty(), "{warnings}");
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..5], ["dev", "yes,", "current", "1", "0"], "{table}");

    let file = dir.path().join("rotated.toml");
    let ring = "[keys]\nring = [{ kid = \"next\", file = \"DIR/data/keys/next.key\" }]\n";
    std::fs::write(&file, ring.replace("DIR", dir.path().to_str().unwrap())).unwrap();
    let config = ["--config", file.to_str().unwrap()];
    let (well, json, warnings) = usage(dir.path(), &[&config[..], &["--json"]].concat());
    assert!(
        well && warnings.contains("dev: NOT in keys.ring"),
        "{warnings}"
    );
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let keys = json["keys"].as_array().unwrap();
    assert_eq!(
        (&keys[0]["kid"], &keys[0]["records"]["subject"]),
        (&"next".into(), &0.into())
    );
    assert_eq!(
        (&keys[1]["kid"], &keys[1]["in_ring"]),
        (&"dev".into(), &false.into())
    );

    let process = Process::start_with(dir.path(), &[], &config);
    let checked = process
        .client()
        .await
        .check_code(with_key(&process.key, check_request(&id, "123456", "a")))
        .await;
    let unreadable = (Code::FailedPrecondition, "RECORD_UNREADABLE".to_owned());
    assert_eq!(shape(checked), unreadable);
    let admin = process.admin.parse().unwrap();
    let page = get(admin, "/readyz").await;
    assert!(page.contains("1 stored records cannot be opened"), "{page}");
    assert!(page.contains("key id dev (1)"), "{page}");
    let metrics = async {
        while !get(admin, "/metrics")
            .await
            .contains("countersign_unreadable_records 1\n")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, metrics)
        .await
        .expect("the next sweep sets the gauge");
}

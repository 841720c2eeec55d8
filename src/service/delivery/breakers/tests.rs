//! Breakers of two processes on one store: one shared state, one probe, and what each process does
//! without the store.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use async_trait::async_trait;

use super::*;
use crate::{
    domain::{
        crypto::keyring::{Kid, SECRET_BYTES, Secret},
        ids::DeliveryId,
        recipient::Channel,
    },
    ports::store::{
        Commit, Committed, Draw, Drawn, Due, Loaded, News, Retention, Return, ScanCursor, ScanPage,
        SealedEvent, Store, StoreError, StoredEvent, Token, Trimmed,
    },
    service::record::vault::Vault,
    store::contract::bed::Bed,
    system::SystemEntropy,
};

const RULES: BreakerRules = BreakerRules {
    failures: 5,
    open: Duration::from_secs(10),
    open_max: Duration::from_secs(120),
    probe: Duration::from_secs(15),
};

/// A store that can be cut off, and that counts the calls.
struct Cut {
    inner: Arc<dyn Store>,
    off: AtomicBool,
    asked: AtomicU64,
}

impl Cut {
    fn ask(&self) -> Result<&Arc<dyn Store>, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.off.load(Ordering::Relaxed) {
            Err(StoreError::Unavailable("cut off".to_owned()))
        } else {
            Ok(&self.inner)
        }
    }
}

#[async_trait]
impl Store for Cut {
    async fn load(&self, key: &RecordKey) -> Result<Loaded, StoreError> {
        self.ask()?.load(key).await
    }
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.ask()?.commit(commit).await
    }
    async fn postpone(
        &self,
        key: &RecordKey,
        expect: Option<Token>,
        until: Timestamp,
    ) -> Result<Committed, StoreError> {
        self.ask()?.postpone(key, expect, until).await
    }
    async fn scan(&self, from: &ScanCursor, limit: usize) -> Result<ScanPage, StoreError> {
        self.ask()?.scan(from, limit).await
    }
    async fn due(&self, limit: usize) -> Result<Due, StoreError> {
        self.ask()?.due(limit).await
    }
    async fn draw(&self, draws: &[Draw]) -> Result<Drawn, StoreError> {
        self.ask()?.draw(draws).await
    }
    async fn give_back(&self, returns: &[Return]) -> Result<(), StoreError> {
        self.ask()?.give_back(returns).await
    }
    async fn watch(&self, key: &RecordKey) -> Result<News, StoreError> {
        self.ask()?.watch(key).await
    }
    async fn append(&self, key: &RecordKey, event: SealedEvent) -> Result<(), StoreError> {
        self.ask()?.append(key, event).await
    }
    async fn events(
        &self,
        shard: u16,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.ask()?.events(shard, after, limit).await
    }
    async fn cursor_before(&self, shard: u16, at: Timestamp) -> Result<u64, StoreError> {
        self.ask()?.cursor_before(shard, at).await
    }
    async fn trim_events(&self, keep: Retention) -> Result<Trimmed, StoreError> {
        self.ask()?.trim_events(keep).await
    }
}

struct Fleet {
    bed: Bed,
    cut: Arc<Cut>,
    /// The store of the first process can be cut off; the second always reaches it.
    processes: [Breakers; 2],
}

impl Fleet {
    fn new(bed: Bed) -> Self {
        let ring = [(Kid::parse("k1").unwrap(), Secret::new([2; SECRET_BYTES]))];
        let keyring = Arc::new(Keyring::new(&Secret::new([1; SECRET_BYTES]), &ring).unwrap());
        let vault = Vault::new(keyring.clone(), Arc::new(SystemEntropy::default()));
        let cut = Arc::new(Cut {
            inner: bed.store.clone(),
            off: AtomicBool::new(false),
            asked: AtomicU64::new(0),
        });
        let breakers = |store: Arc<dyn Store>| {
            let sides = Sides {
                store,
                clock: bed.clock.clone(),
                vault: vault.clone(),
                quarantine: Arc::default(),
                deadline: Duration::from_secs(10),
            };
            Breakers::new(sides, RULES, &keyring, &[name("a"), name("b")])
        };
        let processes = [breakers(cut.clone()), breakers(bed.store.clone())];
        Self {
            bed,
            cut,
            processes,
        }
    }

    fn pass(&self, process: usize, sender: &SenderName) -> Pass {
        let now = self.bed.now();
        self.processes[process].pass(sender, Now::new(now, now))
    }

    async fn fail(&self, process: usize, message: u8) {
        self.processes[process]
            .record_result(&name("a"), &usual(message), Sign::Fails, None)
            .await;
    }
}

fn name(text: &str) -> SenderName {
    SenderName::parse(text).unwrap()
}

fn usual(message: u8) -> Passed {
    Passed {
        delivery: DeliveryId([message; 16]),
        area: [message; 16],
        role: PassedAs::Usual,
        seen: Vec::new(),
    }
}

fn probe(message: u8) -> Passed {
    Passed {
        role: PassedAs::Probe,
        ..usual(message)
    }
}

async fn failures_everywhere_count_as_one_row(bed: Bed) {
    let fleet = Fleet::new(bed);
    for message in 0..5 {
        assert_eq!(fleet.pass(usize::from(message) % 2, &name("a")), Pass::Free);
        fleet.fail(usize::from(message) % 2, message).await;
    }
    assert!(
        matches!(fleet.pass(0, &name("a")), Pass::Shut { .. }),
        "the fifth was here"
    );
    assert_eq!(
        (fleet.pass(0, &name("b")), fleet.pass(1, &name("b"))),
        (Pass::Free, Pass::Free),
        "the other sender is well"
    );
    // The other process has not heard of it yet. Its next failure makes it read the record, and
    // does not count.
    fleet.fail(1, 9).await;
    assert_eq!(fleet.pass(1, &name("a")), fleet.pass(0, &name("a")));

    fleet.bed.clock.advance(Duration::from_secs(10));
    let a = name("a");
    let (one, other) = tokio::join!(fleet.processes[0].probe(&a), fleet.processes[1].probe(&a));
    assert!(one ^ other, "exactly one of them probes");
    let prober = usize::from(other);
    assert!(
        matches!(fleet.pass(1 - prober, &name("a")), Pass::Shut { .. }),
        "and the other heard so by losing"
    );
    fleet.processes[prober]
        .record_result(&name("a"), &probe(9), Sign::Fails, None)
        .await;
    fleet.bed.clock.advance(Duration::from_secs(10));
    assert!(
        matches!(fleet.pass(prober, &name("a")), Pass::Shut { .. }),
        "this time for twice as long"
    );
    fleet.bed.clock.advance(Duration::from_secs(10));
    assert!(fleet.processes[prober].probe(&name("a")).await);
    assert_eq!(fleet.processes[prober].complaints().len(), 1);
    fleet.processes[prober]
        .record_result(&name("a"), &probe(9), Sign::Works, None)
        .await;
    assert_eq!(
        (
            fleet.pass(prober, &name("a")),
            fleet.processes[prober].complaints()
        ),
        (Pass::Free, Vec::new())
    );
}

#[tokio::test]
async fn failures_everywhere_count_as_one_row_in_memory() {
    failures_everywhere_count_as_one_row(Bed::memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_everywhere_count_as_one_row_on_redis() {
    failures_everywhere_count_as_one_row(Bed::redis().await).await;
}

#[tokio::test]
async fn a_process_hears_of_what_the_others_see() {
    let fleet = Fleet::new(Bed::memory());
    let heard = async {
        for message in 0..5 {
            fleet.fail(1, message).await;
        }
        while fleet.pass(0, &name("a")) == Pass::Free {
            tokio::task::yield_now().await;
        }
        fleet.bed.clock.advance(Duration::from_secs(10));
        assert!(fleet.processes[1].probe(&name("a")).await);
        fleet.processes[1]
            .record_result(&name("a"), &probe(9), Sign::Works, None)
            .await;
        while fleet.pass(0, &name("a")) != Pass::Free {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = fleet.processes[0].follow() => panic!("it follows for ever"),
        () = heard => {}
        () = tokio::time::sleep(LOOK_EVERY) => panic!("it comes as news, not by a look"),
    }
}

#[tokio::test]
async fn a_well_sender_costs_no_trip_to_the_store() {
    let fleet = Fleet::new(Bed::memory());
    for message in 0..100 {
        assert_eq!(fleet.pass(0, &name("a")), Pass::Free);
        fleet.processes[0]
            .record_result(&name("a"), &usual(message), Sign::Works, None)
            .await;
    }
    assert_eq!(fleet.cut.asked.load(Ordering::Relaxed), 0);
    fleet.fail(0, 1).await;
    let recipient = Recipient::parse(Channel::Email, "anna@example.org").unwrap();
    let late = usual(4);
    let next = fleet.processes[0].passed(&name("a"), (usual(2).delivery, &recipient), false);
    fleet.processes[0]
        .record_result(&name("a"), &late, Sign::Works, None)
        .await;
    fleet.processes[0]
        .record_result(&name("a"), &next, Sign::Works, None)
        .await;
    let asked = fleet.cut.asked.load(Ordering::Relaxed);
    fleet.processes[0]
        .record_result(&name("a"), &usual(3), Sign::Works, None)
        .await;
    assert_eq!(
        (asked, fleet.cut.asked.load(Ordering::Relaxed)),
        (5, 5),
        "a failure, a look where version 0.1 put breakers, the success after it, and no more"
    );
    assert_eq!(
        fleet
            .bed
            .store
            .load(&fleet.processes[0].each[&name("a")].key)
            .await
            .unwrap()
            .blob,
        None,
        "nothing is left of it"
    );
}

#[tokio::test]
async fn without_the_store_each_process_goes_by_its_own() {
    let fleet = Fleet::new(Bed::memory());
    fleet.cut.off.store(true, Ordering::Relaxed);
    for message in 0..5 {
        fleet.fail(0, message).await;
    }
    assert!(
        matches!(fleet.pass(0, &name("a")), Pass::Shut { .. })
            && fleet.pass(1, &name("a")) == Pass::Free
    );
    fleet.bed.clock.advance(Duration::from_secs(10));
    assert!(fleet.processes[0].probe(&name("a")).await);
    fleet.processes[0]
        .record_result(&name("a"), &probe(9), Sign::Works, None)
        .await;
    assert_eq!(fleet.pass(0, &name("a")), Pass::Free);
    // Once the store is back, the process reads the shared state again.
    fleet.cut.off.store(false, Ordering::Relaxed);
    for message in 0..5 {
        fleet.fail(1, message).await;
    }
    fleet.fail(0, 9).await;
    assert!(matches!(fleet.pass(0, &name("a")), Pass::Shut { .. }));
}

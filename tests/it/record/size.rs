//! The memory that a live verification takes in Redis: its record and its due entry, without events.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use countersign::{
    domain::{
        code::{CodeLength, guess::Separators},
        crypto::keyring::{Keyring, Kid, SECRET_BYTES, Secret},
        decide::{Context, Durability, Next, Report, Start, Work, report, start},
        delivery::{
            HandOver, Lease,
            hands::{DueDelivery, FreeHands},
        },
        ids::{
            ActionName, CallerName, DeliveryId, Locale, SubjectId, SubjectKey, TenantId,
            VerificationId,
        },
        recipient::{Channel, Recipient, test_recipients::TestRecipients},
        record::subject::SubjectRecord,
        time::{Generation, Now, Timestamp},
        verification::{
            RequestMark, Status,
            binding::Binding,
            rules::{EntryMode, Limits, Origin, SubjectRules},
        },
    },
    ports::{
        store::{Commit, Committed, Store as _, Write, url::StoreUrl},
        system::{Clock as _, fresh},
    },
    service::record::vault::Vault,
    store::redis::{Certificates, FirstUse, Redis, RedisMachine, RedisSettings},
    system::{SystemClock, SystemEntropy},
};

use crate::{
    harness::scaled,
    rig::{Options, RedisServer},
};

/// Live verifications, each of its own subject.
const VERIFICATIONS: usize = scaled(50_000, 1_000_000);
/// The limit for each: 1.2 KiB of Redis memory.
const BYTES_MAX: usize = 1229;
/// How many are written at the same time.
const TASKS: usize = 64;
const SHARDS: u16 = 64;
/// Longer than it takes to fill the store.
const LIFETIME: Duration = Duration::from_secs(600);

/// One free hand, with this lease.
struct OneHand(Lease);

impl FreeHands for OneHand {
    fn reserve(&self, _due: &DueDelivery<'_>) -> Option<Lease> {
        Some(self.0)
    }
}

struct Filler {
    store: Redis,
    vault: Vault,
    keyring: Arc<Keyring>,
    entropy: Arc<SystemEntropy>,
    clock: Arc<SystemClock>,
    rules: SubjectRules,
    next: AtomicUsize,
}

impl Filler {
    async fn on(server: &RedisServer) -> Self {
        let StoreUrl::Redis(url) = StoreUrl::parse(&server.url()).unwrap() else {
            unreachable!("it is on Redis")
        };
        let settings = RedisSettings {
            url,
            login: None,
            sentinel_login: None,
            certificates: Certificates::default(),
            prefix: "cs".to_owned(),
            shards: SHARDS,
            connections: 2,
            durable_connections: 1,
            wait_replicas: 0,
            wait_aof: false,
            wait: Duration::from_millis(100),
            deadline: Duration::from_secs(10),
        };
        let (clock, entropy) = (
            Arc::new(SystemClock::new()),
            Arc::new(SystemEntropy::default()),
        );
        let machine = RedisMachine {
            clock: clock.clone(),
            entropy: entropy.clone(),
            test_clock: None,
        };
        let store = Redis::open(settings, machine, FirstUse::SetUp)
            .await
            .unwrap();
        let ring = [(Kid::parse("2026a").unwrap(), Secret::new([2; SECRET_BYTES]))];
        let keyring = Arc::new(Keyring::new(&Secret::new([1; SECRET_BYTES]), &ring).unwrap());
        let rules = SubjectRules {
            failure_limit: 25,
            closed_retention: Duration::from_secs(3600),
            event_retention: Duration::from_secs(7 * 86_400),
        };
        let vault = Vault::new(keyring.clone(), entropy.clone());
        Self {
            store,
            vault,
            keyring,
            entropy,
            clock,
            rules,
            next: AtomicUsize::new(0),
        }
    }

    fn key(&self, n: usize) -> SubjectKey {
        self.keyring
            .subject_key(&TenantId::parse("bank").unwrap(), &subject(n))
    }

    /// A typical verification of a bank's customer before the code is typed: bound to amount and payee, message handed
    /// over.
    fn record(&self, n: usize, generation: Generation, now: Timestamp) -> SubjectRecord {
        let tests = TestRecipients::default();
        let (keyring, rules) = (&self.keyring, &self.rules);
        let (now, until) = (Now::new(now, now), now.plus(Duration::from_secs(15)));
        let cx = Context {
            now,
            generation,
            forgot_at: None,
            keyring,
            rules,
            refused: None,
            tests: &tests,
        };
        let lease = Lease {
            token: self.fresh(),
            until,
        };
        let command = self.command(n);
        let work = Work {
            verification: command.id,
            delivery: command.delivery,
            token: lease.token,
        };
        let Next::Write(started, _) = start(None, &command, &OneHand(lease), &cx).next else {
            unreachable!("a start writes")
        };
        let sent = Report {
            work,
            sender: Some(crate::harness::sender_name("mail")),
            outcome: HandOver::Taken { reference: None },
        };
        let Next::Write(record, _) = report(Some(*started), &sent, &OneHand(lease), &cx).next
        else {
            unreachable!("a report writes")
        };
        *record
    }

    fn command(&self, n: usize) -> Start {
        let binding = [("amount", "EUR 1250.00"), ("payee", "NL91ABNA0417164300")];
        let binding = binding.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Start {
            network: None,
            quota_keys: Vec::new(),
            tenant: TenantId::parse("bank").unwrap(),
            caller: CallerName::parse("payments").unwrap(),
            subject: subject(n),
            action: ActionName::parse("payment").unwrap(),
            origin: Origin::Vouched,
            contact: None,
            locale: Some(Locale::parse("nl").unwrap()),
            recipients: vec![
                Recipient::parse(Channel::Email, &format!("customer.{n}@example.org")).unwrap(),
            ],
            passed_over: Vec::new(),
            preferred: None,
            binding: Binding::parse(binding.into()).unwrap(),
            browser: None,
            decoy: false,
            limits: Limits {
                code_length: CodeLength::new(6).unwrap(),
                code_lifetime: LIFETIME,
                attempts: 5,
                sends: 4,
                resend_cooldown: Duration::from_secs(30),
                separators: Separators {
                    space: true,
                    hyphen: true,
                },
                entry_modes: EntryMode::ALL.to_vec(),
                channels: Channel::ALL.to_vec(),
                plan: Vec::new(),
            },
            request: RequestMark {
                id: self.fresh(),
                body: self.fresh(),
            },
            id: VerificationId {
                subject: self.key(n),
                random: self.fresh(),
            },
            delivery: DeliveryId(self.fresh()),
            nonce: self.fresh(),
            event_salt: self.fresh(),
        }
    }

    fn fresh<const N: usize>(&self) -> [u8; N] {
        fresh(&*self.entropy)
    }

    /// Writes verifications one after the other until there are enough.
    async fn fill(&self, generation: Generation) {
        loop {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            if n >= VERIFICATIONS {
                return;
            }
            let (now, key) = (self.clock.now(), self.key(n));
            let record = self.record(n, generation, now).stamped(&[], now);
            let write = Write::Put {
                blob: self.vault.close(&key, &record),
                wake_at: record.wake_at(Now::new(now, now), &self.rules),
                keep_until: record.keep_until(&self.rules),
            };
            let commit = Commit {
                key: key.into(),
                expect: None,
                generation,
                write,
                events: Vec::new(),
                durability: Durability::Plain,
            };
            assert_eq!(self.store.commit(commit).await.unwrap(), Committed::Done);
        }
    }
}

/// A text as long as a UUID.
fn subject(n: usize) -> SubjectId {
    SubjectId::parse(&format!("4f9a1c2e-7d35-4b8a-9e60-{n:012}")).unwrap()
}

fn used(server: &RedisServer) -> usize {
    server.info("used_memory").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_verification_takes_at_most_1229_bytes_of_redis() {
    let server = RedisServer::start(&Options::default());
    let filler = Arc::new(Filler::on(&server).await);
    let generation = filler
        .store
        .load(&filler.key(0).into())
        .await
        .unwrap()
        .generation;
    let before = used(&server);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let filler = filler.clone();
        tasks.spawn(async move { filler.fill(generation).await });
    }
    tasks.join_all().await;
    let each = (used(&server) - before) / VERIFICATIONS;

    let ask = |arguments: &[&[u8]]| server.cmd(arguments).ok().int();
    let due: Vec<Vec<u8>> = (0..SHARDS)
        .map(|shard| format!("cs:v1:{{s{shard}}}:due").into_bytes())
        .collect();
    let entries: i64 = due.iter().map(|key| ask(&[b"ZCARD", key])).sum();
    assert_eq!(
        usize::try_from(entries).unwrap(),
        VERIFICATIONS,
        "each has its entry"
    );
    let index: i64 = due
        .iter()
        .map(|key| ask(&[b"MEMORY", b"USAGE", key, b"SAMPLES", b"0"]))
        .sum();
    let key = filler.key(VERIFICATIONS / 2);
    let shard = u16::from_be_bytes([key.0[0], key.0[1]]) % SHARDS;
    let name = [format!("cs:v1:{{s{shard}}}:r:").as_bytes(), &key.0].concat();
    let (record, sealed) = (ask(&[b"MEMORY", b"USAGE", &name]), ask(&[b"STRLEN", &name]));
    println!(
        "{VERIFICATIONS} live verifications: {each} bytes each; of these the record {record} ({sealed} of them sealed), \
         the due entry {}",
        usize::try_from(index).unwrap() / VERIFICATIONS
    );

    let blob = filler.store.load(&key.into()).await.unwrap().blob.unwrap();
    let v = filler
        .vault
        .open(&key, &blob)
        .unwrap()
        .verifications
        .remove(0);
    let now = filler.clock.now();
    assert_eq!(
        v.status(Now::new(now, now)),
        Status::Pending,
        "what was measured is live"
    );
    assert!(
        v.code(&filler.keyring, &TestRecipients::default())
            .is_some()
    );
    assert!(each <= BYTES_MAX, "{each} bytes");
}

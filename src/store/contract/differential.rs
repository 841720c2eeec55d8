//! Runs random command sequences on all engines: every engine must give the same answers.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use proptest::{collection::vec, prelude::*};
use redb::{Database, backends::InMemoryBackend};

use super::bed::{Counter, ManualClock, RATE, key_of, open_redis, redis_settings, server, token};
use crate::{
    domain::{
        decide::Durability,
        record::key::RecordKey,
        time::{Generation, Timestamp},
    },
    ports::{
        store::{
            Blob, Commit, Draw, Retention, Return, ScanCursor, Short, Store, StoredEvent, Write,
        },
        system::Clock,
    },
    store::embedded::{durable::Durable, memory::Memory},
};

const KEYS: u8 = 5;

/// Two subjects, a side record with the hash of one of them, and two kinds that this version does not know.
fn key(n: u8) -> RecordKey {
    let (letter, hash) = [(b'r', 1), (b'b', 1), (b'r', 2), (b'z', 2), (b'A', 3)][usize::from(n)];
    key_of(letter, hash)
}

#[derive(Clone, Debug)]
enum Command {
    Commit {
        key: u8,
        expect: Expect,
        put: Option<Wake>,
        events: u8,
    },
    Postpone {
        key: u8,
        expect: Expect,
        ms: u64,
    },
    Append {
        key: u8,
    },
    Due {
        limit: usize,
    },
    Draw {
        from: u8,
        count: u8,
        slot: u8,
        want: u32,
        least: u32,
        short: Short,
    },
    GiveBack {
        from: u8,
        count: u8,
        slot: u8,
        back: u32,
        reserve: u32,
    },
    Events {
        after: usize,
        limit: usize,
    },
    Since {
        ms: u64,
    },
    Trim {
        before_ms: u64,
        entries_max: u64,
    },
    Advance {
        ms: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum Expect {
    Current,
    Absent,
    Other,
    OtherGeneration,
}

/// When the record becomes due, in milliseconds from now; `None` for never.
type Wake = Option<u64>;

fn command() -> impl Strategy<Value = Command> {
    let expect = || {
        prop_oneof![
         6 => Just(Expect::Current),
         1 => Just(Expect::Absent),
         1 => Just(Expect::Other),
         1 => Just(Expect::OtherGeneration),
        ]
    };
    let put = prop::option::weighted(0.8, prop::option::weighted(0.8, 0..5000_u64));
    let short = prop_oneof![Just(Short::Refuse), Just(Short::Skip)];
    prop_oneof![
        8 => (0..KEYS, expect(), put, 0..3_u8).prop_map(|(key, expect, put, events)| Command::Commit { key, expect, put, events }),
        2 => (0..KEYS, expect(), 0..5000_u64).prop_map(|(key, expect, ms)| Command::Postpone { key, expect, ms }),
        1 => (0..KEYS).prop_map(|key| Command::Append { key }),
        2 => (0..4_usize).prop_map(|limit| Command::Due { limit }),
        4 => (0..3_u8, 0..4_u8, 0..3_u8, 0..9_u32, 0..5_u32, short)
            .prop_map(|(from, count, slot, want, least, short)| Command::Draw { from, count, slot, want, least, short }),
        2 => (0..3_u8, 0..4_u8, 0..3_u8, 0..9_u32, 0..9_u32)
            .prop_map(|(from, count, slot, back, reserve)| Command::GiveBack { from, count, slot, back, reserve }),
        1 => (0..10_usize, 0..5_usize).prop_map(|(after, limit)| Command::Events { after, limit }),
        1 => (0..5000_u64).prop_map(|ms| Command::Since { ms }),
        1 => (0..5000_u64, 0..9_u64).prop_map(|(before_ms, entries_max)| Command::Trim { before_ms, entries_max }),
        2 => (0..20_000_u64).prop_map(|ms| Command::Advance { ms }),
    ]
}

/// One engine with a clock, a source of tokens, and the cursors of all events so far. Cursors are compared by their
/// order, because each engine numbers them in its own way.
struct Engine {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    tokens: u8,
    cursors: Vec<u64>,
}

impl Engine {
    fn new(store: Arc<dyn Store>, clock: Arc<ManualClock>) -> Self {
        Self {
            store,
            clock,
            tokens: 0,
            cursors: Vec::new(),
        }
    }

    /// Reads the cursors of new entries.
    async fn learn(&mut self) {
        let last = self.cursors.last().copied().unwrap_or_default();
        let new = self.store.events(0, last, usize::MAX).await.unwrap();
        self.cursors.extend(new.iter().map(|event| event.cursor));
        self.cursors.dedup();
    }

    /// Events as text, numbered by the position of their entry among all entries so far.
    async fn events(&self, after: usize, limit: usize) -> String {
        let cursor = after
            .checked_sub(1)
            .map_or(0, |at| self.cursors.get(at).copied().unwrap_or(u64::MAX));
        let events = self.store.events(0, cursor, limit).await.unwrap();
        self.shown_events(&events)
    }

    fn shown_events(&self, events: &[StoredEvent]) -> String {
        let place = |event: &StoredEvent| {
            self.cursors
                .iter()
                .position(|cursor| *cursor == event.cursor)
        };
        shown(
            &events
                .iter()
                .map(|event| (place(event), event.key, event.at, &event.sealed))
                .collect::<Vec<_>>(),
        )
    }

    /// Runs one command; returns its result as text.
    async fn run(&mut self, command: &Command) -> String {
        let now = self.clock.now();
        match *command {
            Command::Commit {
                key: n,
                expect,
                put,
                events,
            } => {
                let commit = self.commit(n, expect, put, events).await;
                let committed = self.store.commit(commit).await;
                self.learn().await;
                shown(&committed)
            }
            Command::Postpone { key: n, expect, ms } => self.postpone(n, expect, ms).await,
            Command::Append { key: n } => {
                let appended = self.store.append(&key(n), vec![n]).await;
                // An appended event may be written later than the call returns; a commit after it waits for it.
                let behind = self.commit(0, Expect::OtherGeneration, None, 0).await;
                let committed = self.store.commit(behind).await;
                self.learn().await;
                shown(&(appended, committed))
            }
            Command::Due { limit } => shown(&self.store.due(limit).await),
            Command::Draw {
                from,
                count,
                slot,
                want,
                least,
                short,
            } => {
                let draw = |nth| Draw {
                    slot: slot_of(nth, slot),
                    want,
                    least,
                    short,
                    ..Draw::one(owner(nth), RATE)
                };
                let draws: Vec<_> = (from..from + count).map(draw).collect();
                shown(&self.store.draw(&draws).await)
            }
            Command::GiveBack {
                from,
                count,
                slot,
                back,
                reserve,
            } => {
                let back = |nth| Return {
                    owner: owner(nth),
                    slot: slot_of(nth, slot),
                    former: None,
                    rate: RATE,
                    count: back,
                    reserve,
                };
                let returns: Vec<_> = (from..from + count).map(back).collect();
                shown(&self.store.give_back(&returns).await)
            }
            Command::Events { after, limit } => self.events(after, limit).await,
            Command::Since { ms } => {
                let at = Timestamp::from_micros(now.as_micros().saturating_sub(ms * 1000));
                let cursor = self.store.cursor_before(0, at).await.unwrap();
                let events = self.store.events(0, cursor, usize::MAX).await.unwrap();
                shown(&self.shown_events(&events))
            }
            Command::Trim {
                before_ms,
                entries_max,
            } => {
                let since = now.as_micros().saturating_sub(before_ms * 1000);
                let keep = Retention {
                    since: Timestamp::from_micros(since),
                    entries_max,
                };
                shown(&self.store.trim_events(keep).await)
            }
            Command::Advance { ms } => shown(&self.clock.advance(Duration::from_millis(ms))),
        }
    }

    async fn commit(&mut self, n: u8, expect: Expect, put: Option<Wake>, events: u8) -> Commit {
        let loaded = self.store.load(&key(n)).await.unwrap();
        self.tokens += 1;
        let blob = Blob {
            token: token(self.tokens),
            bytes: vec![self.tokens].into(),
        };
        let write = match put {
            Some(wake) => Write::Put {
                blob,
                wake_at: wake.map(|ms| self.clock.now().plus(Duration::from_millis(ms))),
                keep_until: None,
            },
            None => Write::Delete,
        };
        let current = loaded.blob.map(|blob| blob.token);
        let (expect, generation) = match expect {
            Expect::Current => (current, loaded.generation),
            Expect::Absent => (None, loaded.generation),
            Expect::Other => (Some(token(0)), loaded.generation),
            Expect::OtherGeneration => (current, Generation([0; 16])),
        };
        let events = (0..events).map(|event| vec![self.tokens, event]).collect();
        Commit {
            key: key(n),
            expect,
            generation,
            write,
            events,
            durability: Durability::Plain,
        }
    }

    /// Everything that can be read from the store, as text.
    async fn all(&self, scanned: Option<usize>) -> String {
        let mut text = shown(&self.store.due(1000).await) + &self.events(0, 1000).await;
        for n in 0..KEYS {
            let loaded = self.store.load(&key(n)).await.unwrap();
            text += &shown(&(loaded.blob, loaded.now, loaded.forgot_at));
        }
        if let Some(page) = scanned {
            text += &self.scan(page).await;
        }
        text
    }
}

impl Engine {
    async fn postpone(&self, n: u8, expect: Expect, ms: u64) -> String {
        let current = self.store.load(&key(n)).await.unwrap().blob;
        let expect = match expect {
            Expect::Current | Expect::OtherGeneration => current.map(|blob| blob.token),
            Expect::Absent => None,
            Expect::Other => Some(token(u8::MAX)),
        };
        let until = self.clock.now().plus(Duration::from_millis(ms));
        shown(&self.store.postpone(&key(n), expect, until).await)
    }

    /// All records, scanned with this page size.
    async fn scan(&self, page: usize) -> String {
        let (mut from, mut scanned) = (ScanCursor::default(), Vec::new());
        loop {
            let page = self.store.scan(&from, page).await.unwrap();
            scanned.extend(page.records.into_iter().map(|seen| (seen.key, seen.head)));
            match page.next {
                Some(next) => from = next,
                None => break,
            }
        }
        scanned.sort_unstable();
        scanned.dedup();
        shown(&scanned)
    }
}

/// The owner of the nth bucket of a call. Two buckets have the same owner, so that several of its slots are drawn at
/// once, and sometimes one of them twice.
fn owner(nth: u8) -> [u8; 16] {
    [nth / 2; 16]
}

fn slot_of(nth: u8, slot: u8) -> u8 {
    slot * (nth % 2)
}

fn shown(answer: &impl Debug) -> String {
    format!("{answer:?}\n")
}

fn memory() -> Engine {
    let clock = ManualClock::start();
    Engine::new(
        Arc::new(Memory::new(clock.clone(), &Counter::default())),
        clock,
    )
}

fn durable() -> Engine {
    let clock = ManualClock::start();
    let db = Database::builder()
        .create_with_backend(InMemoryBackend::new())
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    Engine::new(
        Arc::new(Durable::start(db, folder.path(), clock.clone(), &Counter::default()).unwrap()),
        clock,
    )
}

/// Runs the same commands on two engines, and compares every result.
async fn compare(
    mut one: Engine,
    mut other: Engine,
    commands: &[Command],
    scanned: Option<usize>,
) -> Result<(), TestCaseError> {
    for command in commands {
        prop_assert_eq!(
            one.run(command).await,
            other.run(command).await,
            "{:?}",
            command
        );
    }
    prop_assert_eq!(one.all(scanned).await, other.all(scanned).await);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn store_02_both_embedded_engines_give_equal_answers(commands in vec(command(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(compare(memory(), durable(), &commands, Some(2)))?;
    }
}

/// The number of sequences on Redis; the same in a test campaign and in a normal run.
const REDIS_CASES: u32 = 10_000;

#[test]
fn store_02_redis_gives_the_answers_of_the_embedded_engine() {
    static CASE: AtomicU64 = AtomicU64::new(0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let clock = ManualClock::start();
    let redis = runtime.block_on(open_redis(redis_settings(&server().url()), &clock));
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(REDIS_CASES));
    let ran = runner.run(&vec(command(), 1..30), |commands| {
        runtime.block_on(async {
            let case = CASE.fetch_add(1, Ordering::Relaxed);
            let prefix = format!("case{case}");
            // A scan visits the keys of all cases, so only some cases scan.
            let scanned = case.is_multiple_of(500).then_some(5000);
            let (store, clock_of_memory) = (redis.under(&prefix).await, ManualClock::start());
            clock_of_memory.advance(clock.now().since(clock_of_memory.now()));
            let memory = Memory::new(clock_of_memory.clone(), &Counter::default());
            compare(
                Engine::new(Arc::new(memory), clock_of_memory),
                Engine::new(Arc::new(store), clock.clone()),
                &commands,
                scanned,
            )
            .await
        })
    });
    ran.unwrap();
}

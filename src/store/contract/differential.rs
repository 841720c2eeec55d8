//! Both engines give equal answers to the same commands, whatever the commands are.

use std::{fmt::Debug, sync::Arc, time::Duration};

use proptest::{collection::vec, prelude::*};
use redb::{Database, backends::InMemoryBackend};

use super::bed::{Counter, ManualClock, RATE, key, token};
use crate::{
    domain::{decide::Durability, generation::Generation},
    ports::{
        store::{Blob, Commit, Draw, News, Store, Write},
        system::Clock,
    },
    store::embedded::{durable::Durable, memory::Memory},
};

const KEYS: u8 = 3;

#[derive(Clone, Debug)]
enum Command {
    Commit { key: u8, expect: Expect, put: Option<Wake>, events: u8 },
    Append { key: u8 },
    Due { limit: usize },
    Draw { from: u8, count: u8, want: u32 },
    Events { after: u64, limit: usize },
    Trim { before_ms: u64 },
    Advance { ms: u64 },
}

#[derive(Clone, Copy, Debug)]
enum Expect {
    Current,
    Absent,
    Other,
    OtherGeneration,
}

/// When the record is due, if ever, in milliseconds from now.
type Wake = Option<u64>;

fn command() -> impl Strategy<Value = Command> {
    let expect = prop_oneof![
     6 => Just(Expect::Current),
     1 => Just(Expect::Absent),
     1 => Just(Expect::Other),
     1 => Just(Expect::OtherGeneration),
    ];
    let put = prop::option::weighted(0.8, prop::option::weighted(0.8, 0..5000_u64));
    prop_oneof![
        8 => (0..KEYS, expect, put, 0..3_u8).prop_map(|(key, expect, put, events)| Command::Commit { key, expect, put, events }),
        1 => (0..KEYS).prop_map(|key| Command::Append { key }),
        2 => (0..4_usize).prop_map(|limit| Command::Due { limit }),
        3 => (0..2_u8, 0..3_u8, 0..9_u32).prop_map(|(from, count, want)| Command::Draw { from, count, want }),
        1 => (0..10_u64, 0..5_usize).prop_map(|(after, limit)| Command::Events { after, limit }),
        1 => (0..5000_u64).prop_map(|before_ms| Command::Trim { before_ms }),
        2 => (0..20_000_u64).prop_map(|ms| Command::Advance { ms }),
    ]
}

/// One engine with a clock, a watcher of each record, and a source of fresh tokens.
struct Engine {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    news: Vec<News>,
    tokens: u8,
}

impl Engine {
    async fn new(store: Arc<dyn Store>, clock: Arc<ManualClock>) -> Self {
        let mut news = Vec::new();
        for n in 0..KEYS {
            news.push(store.watch(&key(n)).await.unwrap());
        }
        Self { store, clock, news, tokens: 0 }
    }

    /// What one command answers, as text.
    async fn run(&mut self, command: &Command) -> String {
        let now = self.clock.now();
        match *command {
            Command::Commit { key: n, expect, put, events } => {
                let commit = self.commit(n, expect, put, events).await;
                shown(&self.store.commit(commit).await)
            }
            Command::Append { key: n } => {
                let appended = self.store.append(&key(n), vec![n]).await;
                // An event without a change is written at some time; a commit behind it comes after that time.
                let behind = self.commit(0, Expect::OtherGeneration, None, 0).await;
                shown(&(appended, self.store.commit(behind).await))
            }
            Command::Due { limit } => shown(&self.store.due(limit).await),
            Command::Draw { from, count, want } => {
                let draw = |bucket| Draw { bucket: [bucket; 16], rate: RATE, want };
                let draws: Vec<_> = (from..from + count).map(draw).collect();
                shown(&self.store.draw(&draws).await)
            }
            Command::Events { after, limit } => shown(&self.store.events(0, after, limit).await),
            Command::Trim { before_ms } => {
                let end = now.as_micros().saturating_sub(before_ms * 1000);
                shown(&self.store.trim_events(crate::domain::time::Timestamp::from_micros(end)).await)
            }
            Command::Advance { ms } => shown(&self.clock.advance(Duration::from_millis(ms))),
        }
    }

    async fn commit(&mut self, n: u8, expect: Expect, put: Option<Wake>, events: u8) -> Commit {
        let loaded = self.store.load(&key(n)).await.unwrap();
        self.tokens += 1;
        let blob = Blob { token: token(self.tokens), bytes: vec![self.tokens].into() };
        let write = match put {
            Some(wake) => {
                Write::Put { blob, wake_at: wake.map(|ms| self.clock.now().plus(Duration::from_millis(ms))), keep_until: None }
            }
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
        Commit { key: key(n), expect, generation, write, events, durability: Durability::Plain }
    }

    /// All that can be known about the store.
    async fn all(&self) -> String {
        let mut text = shown(&(self.store.due(usize::MAX).await, self.store.events(0, 0, usize::MAX).await));
        for n in 0..KEYS {
            text += &shown(&(self.store.load(&key(n)).await, *self.news[usize::from(n)].borrow()));
        }
        text
    }
}

fn shown(answer: &impl Debug) -> String {
    format!("{answer:?}\n")
}

async fn both() -> (Engine, Engine) {
    let clock = ManualClock::start();
    let memory = Engine::new(Arc::new(Memory::new(clock.clone(), &Counter::default())), clock).await;
    let clock = ManualClock::start();
    let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let durable = Durable::start(db, folder.path(), clock.clone(), &Counter::default()).unwrap();
    (memory, Engine::new(Arc::new(durable), clock).await)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn store_02_both_engines_give_equal_answers(commands in vec(command(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut memory, mut durable) = both().await;
            for command in &commands {
                prop_assert_eq!(memory.run(command).await, durable.run(command).await, "{:?}", command);
            }
            prop_assert_eq!(memory.all().await, durable.all().await);
            Ok(())
        })?;
    }
}

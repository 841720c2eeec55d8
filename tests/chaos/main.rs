//! A campaign: puts load on two processes while faults are injected, and counts violations.
//!
//! `tests/campaign --seed N --minutes M`. Two thirds of the time run on a master with two replicas and three sentinels,
//! one third on a single server with a proxy before each process. The seed determines every choice, but not the timing.
//! Ends with a table, and with an error if there was a violation.

#[path = "../it/harness/binary.rs"]
mod binary;
mod case;
mod dice;
mod faults;
mod fleet;
mod ledger;
mod load;
mod post;
#[path = "../rig/rig.rs"]
mod rig;
#[path = "../it/harness/sink.rs"]
mod sink;
mod world;

use std::{
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use case::LIFETIME;
use dice::Dice;
use faults::Bed;
use fleet::Fleet;
use ledger::{Ledger, Wrong};
use post::Post;
use rig::{Options, Proxy, RedisServer, Replicated};
use sink::Sink;
use world::World;

const CUSTOMERS: u64 = 14;
const ATTACKERS: u64 = 4;
const GHOSTS: u64 = 2;
/// Used codes that are tried once more at the end.
const HAUNTED_AT_THE_END: usize = 2000;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut seed, mut minutes) = (1, 1.0_f64);
    while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
        match (name.as_str(), value.parse::<f64>(), value.parse::<u64>()) {
            ("--seed", _, Ok(number)) => seed = number,
            ("--minutes", Ok(number), _) if number > 0.0 => minutes = number,
            _ => {
                eprintln!("usage: tests/campaign --seed N --minutes M");
                return ExitCode::from(2);
            }
        }
    }
    case::prove();
    println!("seed {seed}, {minutes} minutes");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime is made");
    runtime.block_on(campaign(seed, Duration::from_secs_f64(60.0 * minutes)))
}

async fn campaign(seed: u64, span: Duration) -> ExitCode {
    let ledger = Arc::new(Ledger::default());
    let sink = Sink::start().await;
    let post = Arc::new(Post::default());
    let sorting = tokio::spawn(post.clone().sort(sink.clone()));
    let bed = on_thread(|| Bed::Sentinels(Replicated::with_sentinels(2))).await;
    phase(
        "sentinels",
        bed,
        span * 2 / 3,
        Dice::new(seed, 1),
        (&sink, &post, &ledger),
    )
    .await;
    let single = || {
        let server = RedisServer::start(&Options::default().appendonly());
        let proxies = [Proxy::start(server.addr()), Proxy::start(server.addr())];
        Bed::Single(Box::new(server), proxies)
    };
    let bed = on_thread(single).await;
    phase(
        "proxies",
        bed,
        span / 3,
        Dice::new(seed, 2),
        (&sink, &post, &ledger),
    )
    .await;
    sorting.abort();
    report(&ledger, &post)
}

async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it is made")
}

/// Runs load and faults on one set of servers, then checks what is left.
async fn phase(
    name: &str,
    bed: Bed,
    span: Duration,
    mut dice: Dice,
    shared: (&Arc<Sink>, &Arc<Post>, &Arc<Ledger>),
) {
    let (sink, post, ledger) = shared;
    // A new phase has a new store.
    ledger.disrupt(false);
    let settings = settings(&bed, sink);
    let fleet = on_thread(move || Fleet::start(settings)).await;
    let world = Arc::new(World::new(name, fleet, post.clone(), ledger.clone()));
    ledger.disrupt(false);
    let mut load = tokio::task::JoinSet::new();
    let mut number = 0;
    let mut own = |dice: &mut Dice| {
        number += 1;
        Dice::new(dice.below(1 << 40) as u64, number)
    };
    for _ in 0..CUSTOMERS {
        load.spawn(load::customers(world.clone(), own(&mut dice)));
    }
    for _ in 0..ATTACKERS {
        load.spawn(load::attackers(world.clone(), own(&mut dice)));
    }
    for _ in 0..GHOSTS {
        load.spawn(load::ghosts(world.clone(), own(&mut dice)));
    }
    let bed = Arc::new(bed);
    faults::rain(
        world.clone(),
        bed.clone(),
        own(&mut dice),
        Instant::now() + span,
    )
    .await;
    world.ended.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.expect("the load itself does not fail");
    }
    let spent = world.done.lock().expect("nobody panics").clone();
    for case in spent.into_iter().rev().take(HAUNTED_AT_THE_END) {
        load::haunt(&world, &mut dice, case).await;
    }
    world.judge_starts(&mut dice).await;
    drop(bed);
}

/// The settings with which the processes are started.
fn settings(bed: &Bed, sink: &Sink) -> [Vec<(String, String)>; 2] {
    let lifetime = LIFETIME.as_secs().to_string();
    let limit = load::FAILURE_LIMIT.to_string();
    let own = [
        ("STORE__DEADLINE_MS", "1000"),
        ("ACTIONS__LOGIN__CODE_LIFETIME_S", &lifetime),
        ("ACTIONS__LOGIN__RESEND_COOLDOWN_S", "0"),
        ("SUBJECT__FAILURE_LIMIT", &limit),
        ("SHIELD__CALLS_PER_S", "1000000"),
        ("SHIELD__BURST", "1000000"),
        // High enough never to refuse, but still drawn: one attacker's subject has many addresses here.
        ("GUESSES__ALARM_FAILURES_PER_H", "1000000000"),
        ("QUOTAS__TENANT__COUNT", "1000000"),
        ("QUOTAS__CALLER__COUNT", "1000000"),
        ("QUOTAS__NEW_SUBJECTS__COUNT", "1000000"),
        ("QUOTAS__SUBJECT__COUNT", "1000000"),
        ("QUOTAS__SUBJECT_RECIPIENTS__COUNT", "1000000"),
    ];
    let mut all = binary::mail_settings(sink);
    all.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    [0, 1].map(|at| {
        let url = match bed {
            Bed::Sentinels(bed) => bed.url(),
            Bed::Single(_, proxies) => proxies[at].url(),
        };
        all.iter()
            .cloned()
            .chain([("STORE__URL".to_owned(), url)])
            .collect()
    })
}

fn report(ledger: &Ledger, post: &Post) -> ExitCode {
    let duplicates = post.judge_duplicates(ledger) as u64;
    if duplicates > ledger.faults() {
        ledger.wrong(
            Wrong::TooManyDuplicates,
            &format!("{duplicates} duplicates of {} faults", ledger.faults()),
        );
    }
    println!("\n| what happened | |\n|---|---|");
    for (what, count) in ledger.counts() {
        println!("| {what} | {count} |");
    }
    println!(
        "| mails | {} |\n| duplicates | {duplicates} |\n| faults | {} |",
        post.mails(),
        ledger.faults()
    );
    let recoveries = ledger.recoveries();
    let at = |percent: usize| {
        recoveries
            .get(recoveries.len() * percent / 100)
            .or(recoveries.last())
            .copied()
            .unwrap_or_default()
    };
    println!(
        "| recovery after a fault, p50, p99, longest | {:?}, {:?}, {:?} |",
        at(50),
        at(99),
        at(100)
    );
    println!("\n| what must not happen | |\n|---|---|");
    let mut all_well = true;
    for (wrong, name) in Wrong::ALL {
        let count = ledger.violations(wrong);
        all_well &= count == 0;
        println!("| {name} | {count} |");
    }
    if all_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

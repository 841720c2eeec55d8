//! Load on the real server over gRPC: start and check, with a sender that passes the code to the client.
//!
//! `cargo bench --bench load -- [--store embedded|redis] [--instances 1|2] [--connections N] [SECONDS [CLIENTS]]`. On
//! Redis it starts its own `redis-server`, and in the same run, in turns, measures the *bare limit*: a gRPC echo that
//! does one `EVALSHA` for each call. `--live N` compares the latency on a store with N live verifications with that on
//! one with 1,000. `--failover` has half of the messages refused, and measures the time until the next sender is asked.
//!
//! Instances run on runtimes of their own, whose threads are named, so that their CPU time can be told from that of the
//! clients. Compare figures of the same run only: on a small machine the clients use as much CPU time as the server.

#[path = "load/bare.rs"]
mod bare;
#[path = "load/bed.rs"]
mod bed;
#[path = "load/drive.rs"]
mod drive;
#[path = "load/failover.rs"]
mod failover;
#[path = "load/live.rs"]
mod live;
#[path = "load/meter.rs"]
mod meter;
#[path = "load/post.rs"]
mod post;
#[path = "../tests/rig/rig.rs"]
mod rig;

use std::{
    alloc::System,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use countersign::app::Reach;
use tokio::runtime::Runtime;
use zeroizing_alloc::ZeroAlloc;

use self::{
    bare::Bare,
    bed::{Instance, redis, runtime, settings},
    drive::{Caller, Took, drive},
    meter::{Commands, cpu_of_process, cpu_of_threads, percentile},
    post::Post,
    rig::RedisServer,
};

/// Wipes memory when it is freed, as the binary does, so that the figures include the cost, those of the bare limit
/// too.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// The length of the turns of the service and the bare limit; other load on the machine then affects both.
const TURN: Duration = Duration::from_secs(2);
/// Calls made one after the other to count their trips to the store.
const COUNTED: u16 = 200;

fn main() -> anyhow::Result<()> {
    let plan = Plan::read(std::env::args().skip(1))?;
    let dir = tempfile::tempdir()?;
    let load = runtime("client")?;
    match plan.live {
        Some(live) => live::run(&load, dir.path(), live, &plan),
        None if plan.failover => failover::run(&load, dir.path(), &plan),
        None if plan.on_redis => on_redis(&plan, dir.path(), &load),
        None => embedded(&plan, dir.path(), &load),
    }
}

/// The measurement that the arguments ask for.
struct Plan {
    on_redis: bool,
    instances: usize,
    connections: u8,
    live: Option<u64>,
    failover: bool,
    span: Duration,
    clients: usize,
}

impl Plan {
    fn read(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut plan = Self {
            on_redis: false,
            instances: 1,
            connections: 2,
            live: None,
            failover: false,
            span: Duration::from_secs(10),
            clients: 32,
        };
        let mut numbers = Vec::new();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .with_context(|| format!("{argument} has a value"))
            };
            match argument.as_str() {
                // Cargo passes this to every bench.
                "--bench" => {}
                "--store" => plan.on_redis = value()? == "redis",
                "--instances" => plan.instances = value()?.parse()?,
                "--connections" => plan.connections = value()?.parse()?,
                "--failover" => plan.failover = true,
                "--live" => plan.live = Some(value()?.parse()?),
                number => numbers.push(
                    number
                        .parse::<u32>()
                        .with_context(|| format!("{number} is no number"))?,
                ),
            }
        }
        if let Some(seconds) = numbers.first() {
            plan.span = Duration::from_secs((*seconds).into());
        }
        if let Some(clients) = numbers.get(1) {
            plan.clients = usize::try_from(*clients)?;
        }
        Ok(plan)
    }

    fn turns(&self) -> u64 {
        (self.span.as_secs() / TURN.as_secs()).max(1)
    }
}

fn embedded(plan: &Plan, dir: &std::path::Path, load: &Runtime) -> anyhow::Result<()> {
    let post = Arc::new(Post::default());
    let instance = Instance::start(
        "server1",
        settings(dir, "embedded:", plan.connections)?,
        &post,
    )?;
    let reaches = [instance.reach.clone()];
    load.block_on(drive(&reaches, &post, plan.clients, Duration::from_secs(1)))?; // warm
    let cpu_before = cpu_of_threads("server")?;
    let begun = Instant::now();
    let mut took = load.block_on(drive(&reaches, &post, plan.clients, plan.span))?;
    let (elapsed, cpu) = (
        begun.elapsed(),
        cpu_of_threads("server")?.saturating_sub(cpu_before),
    );
    report(&mut took, elapsed, cpu, plan.clients);
    instance.stop()
}

/// Measures the service and the bare limit, in turns.
#[expect(clippy::too_many_lines, reason = "one measurement, step by step")]
fn on_redis(plan: &Plan, dir: &std::path::Path, load: &Runtime) -> anyhow::Result<()> {
    let server = redis();
    let redis_id = server.info("process_id").context("it has one")?;
    let post = Arc::new(Post::default());
    let settings = settings(dir, &server.url(), plan.connections)?;
    let names = (1..=plan.instances).map(|number| format!("server{number}"));
    let instances: Vec<_> = names
        .map(|name| Instance::start(&name, settings.clone(), &post))
        .collect::<anyhow::Result<_>>()?;
    let reaches: Vec<Reach> = instances
        .iter()
        .map(|instance| instance.reach.clone())
        .collect();
    let bare = Bare::start(&server.url(), runtime("bare")?)?;
    load.block_on(drive(&reaches, &post, plan.clients, TURN))?; // warm
    load.block_on(bare::drive(bare.at, plan.clients, TURN))?;
    let (mut took, mut elapsed, mut cpu, mut redis_cpu) = (
        Took::default(),
        Duration::ZERO,
        Duration::ZERO,
        Duration::ZERO,
    );
    let (mut commands, mut ratios) = (Commands::default(), Vec::new());
    let (mut bare_pairs, mut bare_cpu, mut bare_redis_cpu) = (0, Duration::ZERO, Duration::ZERO);
    for _ in 0..plan.turns() {
        let before = (cpu_of_threads("bare")?, cpu_of_process(&redis_id)?);
        let bare_now = load.block_on(bare::drive(bare.at, plan.clients, TURN))?;
        bare_pairs += bare_now;
        bare_cpu += cpu_of_threads("bare")?.saturating_sub(before.0);
        bare_redis_cpu += cpu_of_process(&redis_id)?.saturating_sub(before.1);
        let before = (
            cpu_of_threads("server")?,
            cpu_of_process(&redis_id)?,
            Commands::of(&server),
        );
        let begun = Instant::now();
        let took_now = load.block_on(drive(&reaches, &post, plan.clients, TURN))?;
        elapsed += begun.elapsed();
        cpu += cpu_of_threads("server")?.saturating_sub(before.0);
        redis_cpu += cpu_of_process(&redis_id)?.saturating_sub(before.1);
        commands.add(&Commands::of(&server).since(&before.2));
        ratios.push(took_now.checks.len() as f64 / bare_now as f64);
        took.add(took_now);
    }
    let pairs = took.checks.len() as f64;
    report(&mut took, elapsed, cpu, plan.clients);
    println!(
        "  Redis CPU a pair     {:>10.1} us",
        redis_cpu.as_secs_f64() * 1e6 / pairs
    );
    println!(
        "  store trips a pair   {:>10.2} loads, {:.2} draws, {:.2} commits",
        commands.loads() / pairs,
        commands.draws() / pairs,
        commands.commits() / pairs
    );
    println!(
        "  looks at due shards  {:>10.0} a second",
        commands.looks() / elapsed.as_secs_f64()
    );
    commands.print(pairs);
    let bare_pairs = bare_pairs as f64;
    println!(
        "bare limit: an echo with one EVALSHA a call, two calls a pair, in turns with the above"
    );
    println!(
        "  pairs/s              {:>10.0}",
        bare_pairs / (TURN.as_secs_f64() * plan.turns() as f64)
    );
    println!(
        "  server CPU a pair    {:>10.1} us",
        bare_cpu.as_secs_f64() * 1e6 / bare_pairs
    );
    println!(
        "  Redis CPU a pair     {:>10.1} us",
        bare_redis_cpu.as_secs_f64() * 1e6 / bare_pairs
    );
    ratios.sort_by(f64::total_cmp);
    let (least, middle, most) = (
        ratios[0],
        ratios[ratios.len() / 2],
        ratios[ratios.len() - 1],
    );
    println!("service / bare limit   {middle:>10.3} in the middle, {least:.3} to {most:.3}");
    load.block_on(count_trips(&server, &reaches, &post))?;
    instances.into_iter().try_for_each(Instance::stop)
}

/// Counts trips to the store, call by call, without any other load.
async fn count_trips(server: &RedisServer, reaches: &[Reach], post: &Post) -> anyhow::Result<()> {
    let mut caller = Caller::connect(reaches, 0).await?;
    let mut started = Vec::new();
    let before = Commands::of(server);
    for _ in 0..COUNTED {
        let (id, told) = caller.start(post).await?;
        started.push((id, told.await?));
    }
    // The report of the last delivery comes after its message.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let between = Commands::of(server);
    for (id, code) in started {
        caller.check(id, code).await?;
    }
    let after = Commands::of(server);
    println!("store trips, of {COUNTED} each");
    for (name, commands) in [
        ("start and delivery", between.since(&before)),
        ("check", after.since(&between)),
    ] {
        let each = [commands.loads(), commands.draws(), commands.commits()]
            .map(|count| count / f64::from(COUNTED));
        println!(
            "  {name:<20} {:>10.2} loads, {:.2} draws, {:.2} commits",
            each[0], each[1], each[2]
        );
    }
    Ok(())
}

fn report(took: &mut Took, elapsed: Duration, cpu: Duration, clients: usize) {
    let pairs = took.checks.len();
    println!(
        "{clients} clients, {:.1} s, {pairs} pairs of start and check",
        elapsed.as_secs_f64()
    );
    println!(
        "  pairs/s              {:>10.0}",
        pairs as f64 / elapsed.as_secs_f64()
    );
    for (name, times) in [("start", &mut took.starts), ("check", &mut took.checks)] {
        println!(
            "  {name} p50, p99      {:>10.2} {:>10.2} ms",
            percentile(times, 50),
            percentile(times, 99)
        );
    }
    let calls = 2 * pairs;
    println!(
        "  server CPU a call    {:>10.1} us (the delivery of each start included)",
        cpu.as_secs_f64() * 1e6 / calls as f64
    );
    println!(
        "  server CPU a pair    {:>10.1} us",
        cpu.as_secs_f64() * 1e6 / pairs as f64
    );
}

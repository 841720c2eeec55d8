//! Load on the real server over gRPC: start and check, on the embedded in-memory store, with a sender that keeps the code.
//!
//! `cargo bench --bench load [-- SECONDS [CLIENTS]]`. The server runs on a runtime of its own, whose threads are
//! named, so that its CPU time is told apart from the clients'. Read the figures beside each other: on a small
//! machine the clients take as much CPU as the server.

use std::{
    alloc::System,
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_trait::async_trait;
use countersign::{
    app::{App, Machine, Reach},
    config,
    pb::v1::{self, Verdict, verification_service_client::VerificationServiceClient},
    ports::sender::{Message, SendError, Sender, Sent},
};
use tokio::sync::oneshot;
use tonic::{Request, transport::Channel};
use zeroizing_alloc::ZeroAlloc;

/// Names the next subject.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Wipes what is freed, as the binary does: its cost belongs to the figures.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// Linux reports CPU time in ticks of 10 ms.
const TICK: Duration = Duration::from_millis(10);

/// Gives each code to the client that waits for it.
#[derive(Default)]
struct Post(Mutex<HashMap<String, oneshot::Sender<String>>>);

#[async_trait]
impl Sender for Post {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let address = message.recipient.expose().to_owned();
        let waiting = self.0.lock().expect("no client panics").remove(&address);
        if let Some(waiting) = waiting {
            let _ = waiting.send(message.code.expose().to_owned());
        }
        Ok(Sent::default())
    }
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let seconds: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10);
    let clients: usize = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(32);
    let runtime = |name: &str| tokio::runtime::Builder::new_multi_thread().thread_name(name).enable_all().build();
    let (server, load) = (runtime("server")?, runtime("client")?);
    let post = Arc::new(Post::default());
    let dir = std::env::temp_dir().join(format!("countersign-load-{}", std::process::id()));
    let app = server.block_on(App::build(settings(&dir)?, machine(&post)))?;
    let reach = app.reach()?;
    let serving = server.spawn(app.serve());
    load.block_on(drive(&reach, &post, clients, Duration::from_secs(1)))?; // warm
    let cpu_before = cpu_of("server")?;
    let begun = Instant::now();
    let took = load.block_on(drive(&reach, &post, clients, Duration::from_secs(seconds)))?;
    let (elapsed, cpu) = (begun.elapsed(), cpu_of("server")?.saturating_sub(cpu_before));
    report(&took, elapsed, cpu, clients);
    reach.shutdown.cancel();
    server.block_on(serving)??;
    let _ = std::fs::remove_dir_all(dir);
    Ok(())
}

fn settings(dir: &std::path::Path) -> anyhow::Result<config::Settings> {
    let dir = dir.display().to_string();
    let own = [
        ("DATA_DIR", dir.as_str()),
        ("STORE__URL", "embedded:"),
        ("GRPC__LISTEN", "127.0.0.1:0"),
        ("HTTP__LISTEN", "127.0.0.1:0"),
        ("ADMIN__LISTEN", "127.0.0.1:0"),
        ("SHIELD__CALLS_PER_S", "1000000"),
        ("SHIELD__BURST", "1000000"),
        ("WORKER__CONCURRENCY", "256"),
    ];
    let env = own.iter().map(|(key, value)| (format!("COUNTERSIGN__{key}"), (*value).to_owned()));
    config::load(None, env).map_err(|mistakes| anyhow::anyhow!("{mistakes}"))
}

fn machine(post: &Arc<Post>) -> Machine {
    let senders = BTreeMap::from([("outbox".to_owned(), post.clone() as Arc<dyn Sender>)]);
    Machine { senders, ..Machine::default() }
}

/// How long each start and each check took.
#[derive(Default)]
struct Took {
    starts: Vec<Duration>,
    checks: Vec<Duration>,
}

async fn drive(reach: &Reach, post: &Arc<Post>, clients: usize, span: Duration) -> anyhow::Result<Took> {
    let end = Instant::now() + span;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let (reach, post) = (reach.clone(), post.clone());
        tasks.spawn(async move { one_client(&reach, &post, end).await });
    }
    let mut all = Took::default();
    while let Some(took) = tasks.join_next().await {
        let took = took??;
        all.starts.extend(took.starts);
        all.checks.extend(took.checks);
    }
    Ok(all)
}

async fn one_client(reach: &Reach, post: &Post, end: Instant) -> anyhow::Result<Took> {
    let mut stub = VerificationServiceClient::connect(format!("http://{}", reach.grpc)).await?;
    let bearer = format!("Bearer {}", reach.development_key.clone().unwrap_or_default());
    let mut took = Took::default();
    while Instant::now() < end {
        // A new subject each time: a repeat would get the first answer and no message.
        let name = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        let (tell, told) = oneshot::channel();
        let address = format!("c{name}@example.org");
        post.0.lock().expect("no client panics").insert(address.clone(), tell);
        let begun = Instant::now();
        let v = start(&mut stub, &bearer, &name, address).await?;
        took.starts.push(begun.elapsed());
        let code = tokio::time::timeout(Duration::from_secs(10), told).await.context("no message came")??;
        let begun = Instant::now();
        check(&mut stub, &bearer, v, code).await?;
        took.checks.push(begun.elapsed());
    }
    Ok(took)
}

type Stub = VerificationServiceClient<Channel>;

fn with_key<T>(bearer: &str, message: T) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", bearer.parse()?);
    Ok(request)
}

async fn start(stub: &mut Stub, bearer: &str, name: &str, address: String) -> anyhow::Result<String> {
    let request = v1::StartVerificationRequest {
        subject: format!("s{name}"),
        action: "login".to_owned(),
        request_id: "r".to_owned(),
        prior_acr: "password".to_owned(),
        recipients: vec![v1::Recipient { channel: v1::Channel::Email.into(), address, registered_at: None }],
        ..Default::default()
    };
    let answer = stub.start_verification(with_key(bearer, request)?).await?.into_inner();
    Ok(answer.verification.unwrap_or_default().verification_id)
}

async fn check(stub: &mut Stub, bearer: &str, verification_id: String, code: String) -> anyhow::Result<()> {
    let request = v1::CheckCodeRequest {
        verification_id,
        code,
        entry_mode: v1::EntryMode::Portal.into(),
        attempt_id: "a".to_owned(),
        ..Default::default()
    };
    let answer = stub.check_code(with_key(bearer, request)?).await?.into_inner();
    anyhow::ensure!(answer.verdict() == Verdict::Approved, "the right code is approved");
    Ok(())
}

/// CPU time of the threads of that name (see proc(5), /proc/PID/task/TID/stat).
fn cpu_of(name: &str) -> anyhow::Result<Duration> {
    let mut ticks = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        let Some((head, tail)) = stat.rsplit_once(") ") else { continue };
        if head.ends_with(&format!("({name}")) {
            let fields: Vec<&str> = tail.split(' ').collect();
            ticks += fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
        }
    }
    Ok(TICK * ticks)
}

fn report(took: &Took, elapsed: Duration, cpu: Duration, clients: usize) {
    let pairs = took.checks.len();
    println!("{clients} clients, {:.1} s, {pairs} pairs of start and check", elapsed.as_secs_f64());
    println!("  pairs/s              {:>10.0}", pairs as f64 / elapsed.as_secs_f64());
    for (name, mut times) in [("start", took.starts.clone()), ("check", took.checks.clone())] {
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default().as_secs_f64() * 1e3;
        println!("  {name} p50, p99      {:>10.2} {:>10.2} ms", at(50), at(99));
    }
    let calls = 2 * pairs;
    println!("  server CPU a call    {:>10.1} us (the delivery of each start included)", cpu.as_secs_f64() * 1e6 / calls as f64);
    println!("  server CPU a pair    {:>10.1} us", cpu.as_secs_f64() * 1e6 / pairs as f64);
}

//! Time from a sender's refusal to the next sender (SEND-17); the worker's poll is set to a minute so that it cannot
//! help.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use countersign::{
    domain::delivery::reason::Reason,
    ports::sender::{Message, SendError, Sender, Sent},
};
use tokio::runtime::Runtime;

use super::{
    Plan,
    bed::{Instance, redis, settings_with},
    drive::drive,
    meter::percentile,
    post::Post,
};

/// The limit of SEND-17 for 99 of 100 messages.
const P99_MAX: Duration = Duration::from_millis(100);

/// The first sender of the route. It refuses only every second message, so that its breaker stays closed.
#[derive(Default)]
struct Refusing {
    post: Arc<Post>,
    seen: AtomicU64,
    /// When each message was refused, by its address.
    refused: Mutex<HashMap<String, Instant>>,
}

#[async_trait]
impl Sender for Refusing {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        if self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return self.post.send(message).await;
        }
        let address = message.recipient.expose().to_owned();
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.insert(address, Instant::now());
        Err(SendError::failing(Duration::from_secs(5), Reason::Busy))
    }
}

/// The second sender of the route, which accepts everything.
struct Standby {
    first: Arc<Refusing>,
    waited: Mutex<Vec<Duration>>,
}

#[async_trait]
impl Sender for Standby {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let refused_at = self
            .first
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(message.recipient.expose());
        if let Some(refused_at) = refused_at {
            let mut waited = self.waited.lock().unwrap_or_else(PoisonError::into_inner);
            waited.push(refused_at.elapsed());
        }
        self.first.post.send(message).await
    }
}

/// Runs the load, and fails if the next sender is asked too late.
pub fn run(load: &Runtime, dir: &Path, plan: &Plan) -> anyhow::Result<()> {
    let server = plan.on_redis.then(redis);
    let url = server
        .as_ref()
        .map_or_else(|| "embedded:".to_owned(), |server| server.url());
    let settings = settings_with(
        dir,
        &url,
        plan.connections,
        &[
            ("WORKER__POLL_MS", "60000"),
            ("BREAKER__FAILURES", "50"),
            ("SENDERS__FIRST__KIND", "outbox"),
            ("SENDERS__STANDBY__KIND", "outbox"),
            ("ROUTES__EMAIL__SENDERS", "first,standby"),
        ],
    )?;
    let post = Arc::new(Post::default());
    let first = Arc::new(Refusing {
        post: post.clone(),
        ..Refusing::default()
    });
    let standby = Arc::new(Standby {
        first: first.clone(),
        waited: Mutex::default(),
    });
    let senders: BTreeMap<String, Arc<dyn Sender>> = BTreeMap::from([
        ("first".to_owned(), first as Arc<dyn Sender>),
        ("standby".to_owned(), standby.clone() as Arc<dyn Sender>),
    ]);
    let instance = Instance::start_with("server", settings, senders)?;
    let reaches = [instance.reach.clone()];
    let took = load.block_on(drive(&reaches, &post, plan.clients, plan.span))?;
    instance.stop()?;
    let mut waited = standby
        .waited
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    anyhow::ensure!(!waited.is_empty(), "no message was refused");
    println!(
        "{} clients, {} starts, {} refused by the first sender; from the refusal until the second sender is asked:",
        plan.clients,
        took.starts.len(),
        waited.len()
    );
    let p99 = percentile(&mut waited, 99);
    println!(
        "  p50, p99, longest    {:.2} {p99:.2} {:.2} ms",
        percentile(&mut waited, 50),
        percentile(&mut waited, 100)
    );
    anyhow::ensure!(
        p99 <= P99_MAX.as_secs_f64() * 1e3,
        "p99 is above {} ms",
        P99_MAX.as_millis()
    );
    Ok(())
}

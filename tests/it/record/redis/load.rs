//! A load of clients that start, guess wrong, and then send the right code twice at once, while faults are injected.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use countersign::pb::v1::{DeliveryStatus, Verdict};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::bed::{guess, may_be_mended, mend};
use crate::harness::{Harness, PATIENCE, login, reason, unique, wrong};

/// The pause between two rounds of a client, so that the servers get CPU time too.
const BREATH: Duration = Duration::from_millis(5);
/// A message that has not arrived by then waits for a lease to end.
const MESSAGE_SOON: Duration = Duration::from_millis(500);

/// A running load of clients.
pub struct Load {
    services: Arc<Vec<Arc<Harness>>>,
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
    clients: JoinSet<()>,
}

/// The observations of the clients.
#[derive(Default)]
pub struct Seen {
    /// The ids of starts that were answered.
    pub started: Vec<String>,
    /// The right codes that were sent.
    pub given: BTreeMap<String, String>,
    /// The number of approvals of each verification.
    pub approvals: BTreeMap<String, usize>,
    /// Refusals of repeated calls.
    pub refusals: BTreeMap<(i32, String), usize>,
    /// The number of calls that had to be repeated.
    pub mended: usize,
    /// The longest time until a repeated call succeeded.
    pub longest: Duration,
}

impl Load {
    /// Starts clients on these services in turn.
    pub fn begin(services: Vec<Arc<Harness>>, clients: usize) -> Self {
        let (services, seen, stop) = (Arc::new(services), Arc::default(), CancellationToken::new());
        let mut load = Self {
            services,
            seen,
            stop,
            clients: JoinSet::new(),
        };
        for client in 0..clients {
            let client = Client {
                service: load.services[client % load.services.len()].clone(),
                services: load.services.clone(),
                seen: load.seen.clone(),
            };
            let stop = load.stop.clone();
            load.clients.spawn(async move {
                while !stop.is_cancelled() {
                    client.round().await;
                    tokio::time::sleep(BREATH).await;
                }
            });
        }
        load
    }

    /// The number of approvals so far.
    pub fn approved(&self) -> usize {
        self.seen.lock().unwrap().approvals.len()
    }

    /// Waits for this many more approvals.
    pub async fn goes_on(&self, more: usize) {
        let wanted = self.approved() + more;
        super::bed::eventually("the load to go on", async || self.approved() >= wanted).await;
    }

    /// Stops the load, and checks that nothing was approved twice and no used code is accepted now.
    pub async fn end(mut self) -> Seen {
        self.stop.cancel();
        while let Some(client) = tokio::time::timeout(2 * PATIENCE, self.clients.join_next())
            .await
            .expect("clients end")
        {
            client.unwrap();
        }
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        for (id, code) in seen
            .given
            .iter()
            .filter(|(id, _)| seen.approvals.contains_key(*id))
            .take(50)
        {
            let again = guess(&self.services[0], id, code).await;
            assert_ne!(again, Ok(Verdict::Approved), "{id} is approved again");
        }
        let doubles: Vec<_> = seen
            .approvals
            .iter()
            .filter(|(_, count)| **count > 1)
            .collect();
        assert!(doubles.is_empty(), "approved twice: {doubles:?}");
        seen
    }
}

struct Client {
    service: Arc<Harness>,
    services: Arc<Vec<Arc<Harness>>>,
    seen: Arc<Mutex<Seen>>,
}

impl Client {
    async fn round(&self) {
        let request = login(&unique("load"));
        let Some(v) = self.call(|| self.service.start(request.clone())).await else {
            return;
        };
        let id = v.verification_id;
        self.seen.lock().unwrap().started.push(id.clone());
        let Some(code) = self.code(&id).await else {
            return;
        };
        self.seen
            .lock()
            .unwrap()
            .given
            .insert(id.clone(), code.clone());
        let attempt = unique("a");
        let wrong = wrong(&code);
        if let Some(answer) = self
            .call(|| self.service.try_check(&id, &wrong, &attempt))
            .await
        {
            assert_eq!(
                (answer.verdict(), answer.attempts_left),
                (Verdict::Wrong, 4)
            );
        }
        tokio::join!(self.give(&id, &code), self.give(&id, &code));
    }

    async fn give(&self, id: &str, code: &str) {
        let attempt = unique("a");
        let answer = self
            .call(|| self.service.try_check(id, code, &attempt))
            .await;
        match answer.map(|answer| answer.verdict()) {
            Some(Verdict::Approved) => {
                *self
                    .seen
                    .lock()
                    .unwrap()
                    .approvals
                    .entry(id.to_owned())
                    .or_default() += 1;
            }
            None | Some(Verdict::Closed) => {}
            Some(other) => panic!("a right code is {other:?}"),
        }
    }

    /// The message, from whichever process handed it over.
    async fn code(&self, id: &str) -> Option<String> {
        let begun = Instant::now();
        while begun.elapsed() < MESSAGE_SOON {
            if let Some(code) = self
                .services
                .iter()
                .find_map(|service| service.recorder.find_code(id))
            {
                return Some(code);
            }
            tokio::time::sleep(BREATH).await;
        }
        None
    }

    async fn call<T, F: Future<Output = Result<T, Status>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Option<T> {
        let begun = Instant::now();
        let first = call().await;
        let answer = match first {
            Err(status) if may_be_mended(&status) => {
                let answer = mend(call).await;
                let mut seen = self.seen.lock().unwrap();
                seen.mended += 1;
                seen.longest = seen.longest.max(begun.elapsed());
                answer
            }
            answer => answer,
        };
        let count = |status: Status| {
            let mut seen = self.seen.lock().unwrap();
            *seen
                .refusals
                .entry((status.code() as i32, reason(&status)))
                .or_default() += 1;
        };
        answer.map_err(count).ok()
    }
}

impl Seen {
    /// All refusals except those because of another generation.
    pub fn strange(&self) -> Vec<&(i32, String)> {
        self.refusals
            .keys()
            .filter(|(code, reason)| {
                (*code, reason.as_str()) != (Code::FailedPrecondition as i32, "START_AGAIN")
            })
            .collect()
    }
}

/// Checks that each answered start got its message, at the latest after the end of leases, or was ended by a change of
/// generation, of which its caller is told.
pub async fn none_is_lost(services: &[Arc<Harness>], started: &[String]) {
    let is_sent = |id: &str| {
        services
            .iter()
            .any(|service| service.recorder.find_code(id).is_some())
    };
    for id in started.iter().filter(|id| !is_sent(id)).collect::<Vec<_>>() {
        super::bed::eventually("the message of a start", async || {
            if is_sent(id) {
                return true;
            }
            services.iter().for_each(|service| service.advance(5));
            let v = mend(|| services[0].get(id))
                .await
                .expect("a start is never forgotten");
            v.deliveries[0].status() == DeliveryStatus::Failed
                || v.status() != countersign::pb::v1::VerificationStatus::Pending
        })
        .await;
    }
}

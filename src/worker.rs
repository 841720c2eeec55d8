//! Drives what is due: takes jobs from this process, sweeps the due index, and drains at the end.

mod usage;

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{record::key::RecordKey, time::Timestamp},
    ports::sender::receipts::{About, ProviderReceipt, ReceiptQueue},
    service::{
        Service,
        delivery::{
            hands::{Hands, Job, Jobs},
            receipt::Noted,
        },
        limit::DrainQueue,
    },
};

/// Records of one sweep.
const SWEEP_MAX: usize = 256;
/// Records that are visited at the same time because something is due. Apart from the hands: a full sender stops no visit.
const VISITS_MAX: usize = 64;
/// Between two looks at what may be dropped.
const TRIM_EVERY: Duration = Duration::from_secs(3600);
/// The shortest pause between two sweeps.
const BREATH: Duration = Duration::from_millis(5);
/// As many receipts are noted at once; most of those that take long only wait for a report.
const NOTES_MAX: usize = 128;
/// A receipt is tried so often.
const NOTE_TRIES: usize = 5;
/// After a failure of the store.
const PAUSE: Duration = Duration::from_millis(100);

/// The worker of one process.
pub struct Worker {
    /// The use cases.
    pub service: Arc<Service>,
    /// The hands of this process.
    pub hands: Hands,
    /// What the hands were given.
    pub jobs: Jobs,
    /// What providers say over the connections of their senders.
    pub receipts: ReceiptQueue,
    /// Approvals that are to be taken back from the counts of the pumping guard.
    pub approvals: DrainQueue,
    /// The longest pause between two sweeps.
    pub poll: Duration,
}

impl Worker {
    /// Works until `shutdown`, then finishes what is in hand, and what calls left behind.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let service = &self.service;
        let visits = Arc::new(Semaphore::new(VISITS_MAX));
        let mut upkeep = JoinSet::new();
        upkeep.spawn(until(
            &shutdown,
            sweep(service.clone(), visits.clone(), self.poll),
        ));
        upkeep.spawn(until(&shutdown, wake_all(service.clone(), visits)));
        upkeep.spawn(usage::count(service.clone(), shutdown.clone()));
        upkeep.spawn(until(&shutdown, follow(service.clone())));
        upkeep.spawn(until(&shutdown, drain(service.clone(), self.approvals)));
        upkeep.spawn(note_all(service.clone(), self.receipts, shutdown.clone()));
        let tasks = service.tasks();
        loop {
            tokio::select! {
                job = self.jobs.recv() => match job {
                    Some(job) => drop(tasks.spawn(work(service.clone(), job))),
                    None => break,
                },
                () = shutdown.cancelled() => break,
            }
        }
        self.hands.tie();
        tasks.close();
        // What was put in hand before the end is handed over too, and so is what calls still put there.
        loop {
            tokio::select! {
                biased;
                Some(job) = self.jobs.recv() => drop(tasks.spawn(work(service.clone(), job))),
                () = tasks.wait() => break,
            }
        }
        while let Some(ended) = upkeep.join_next().await {
            if ended.is_err() {
                tracing::error!("a task of the worker ended with a panic");
            }
        }
    }
}

/// The same work, ended by the shutdown.
fn until(
    shutdown: &CancellationToken,
    work: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static {
    let shutdown = shutdown.clone();
    async move {
        shutdown.run_until_cancelled(work).await;
    }
}

/// Takes approvals back from the counts of the pumping guard. What is still in the queue at the end counts on.
async fn drain(service: Arc<Service>, approvals: DrainQueue) {
    service.give_back_all(approvals).await;
}

/// Follows what the fleet knows of the senders.
async fn follow(service: Arc<Service>) {
    service.follow_senders().await;
}

async fn work(service: Arc<Service>, job: Job) {
    match job {
        Job::Deliver(work, hand) => {
            if let Err(error) = service.deliver(work, hand).await {
                // Its lease ends, and it is due again.
                tracing::warn!(
                    %error,
                    verification_id = %work.verification,
                    delivery_id = %work.delivery,
                    "delivery not carried through"
                );
            }
        }
        Job::Lease(waiting, hand) => {
            if let Err(error) = service.lease_waiting(waiting, hand).await {
                // It is in the due index.
                tracing::warn!(%error, delivery_id = %waiting.delivery, "delivery that waited for a hand not leased");
            }
        }
    }
}

/// Notes receipts as they come, a bounded number at once; at the end also those that had come in.
async fn note_all(service: Arc<Service>, mut queue: ReceiptQueue, shutdown: CancellationToken) {
    let mut noting = JoinSet::new();
    loop {
        let next = tokio::select! {
            next = queue.recv() => next,
            () = shutdown.cancelled() => queue.try_recv().ok(),
        };
        let Some(receipt) = next else { break };
        if noting.len() >= NOTES_MAX {
            noting.join_next().await;
        }
        noting.spawn(note(service.clone(), receipt));
    }
    noting.join_all().await;
}

/// Notes one; what was taken off a provider's hands does not come again, so a store that stumbles is asked again. So it is
/// about a name that it does not know yet: the receipt may be faster than the report of the hand-over.
async fn note(service: Arc<Service>, came: ProviderReceipt) {
    let ProviderReceipt {
        sender,
        about,
        receipt,
    } = came;
    for tries_left in (0..NOTE_TRIES).rev() {
        let noted = match &about {
            About::Token(token) => service.receipt(&sender, token, receipt.clone()).await,
            About::Reference(reference) => {
                service
                    .receipt_by_reference(&sender, reference, receipt.clone())
                    .await
            }
        };
        match noted {
            Ok(Noted::Unknown) if matches!(about, About::Reference(_)) && tries_left > 0 => {
                service.clock().sleep(PAUSE).await;
            }
            Ok(Noted::Changed | Noted::Unchanged | Noted::Unknown) => return,
            Err(error) if tries_left == 0 => {
                tracing::warn!(%error, sender = sender.as_str(), "receipt not noted");
            }
            Err(_) => service.clock().sleep(PAUSE).await,
        }
    }
}

/// Sends what this process knows to be due, at its moment.
async fn wake_all(service: Arc<Service>, visits: Arc<Semaphore>) {
    loop {
        let key = service.next_alarm().await;
        let Ok(visit) = visits.clone().acquire_owned().await else {
            return;
        };
        let (tasks, service) = (service.tasks().clone(), service.clone());
        tasks.spawn(async move {
            if let Err(error) = service.wake(key).await {
                tracing::warn!(%error, subject = %key, "due message not sent");
            }
            drop(visit);
        });
    }
}

/// Looks at what is due, does it, and sleeps until the next is due.
async fn sweep(service: Arc<Service>, visits: Arc<Semaphore>, poll: Duration) {
    let mut trimmed_at = None;
    loop {
        let next_look = look(&service, &visits, poll).await;
        let now = service.clock().now();
        if trimmed_at.is_none_or(|at| now.since(at) >= TRIM_EVERY) {
            trimmed_at = Some(now);
            trim(&service).await;
        }
        let now = service.clock().now();
        service.clock().sleep(next_look.since(now)).await;
    }
}

/// Looks once at what is due and does it; gives the time of the next look.
async fn look(service: &Arc<Service>, visits: &Arc<Semaphore>, poll: Duration) -> Timestamp {
    let looked_at = service.clock().now();
    let due = match service.due(SWEEP_MAX).await {
        Ok(due) => due,
        Err(error) => {
            tracing::warn!(%error, "due index not read");
            return service.clock().now().plus(poll);
        }
    };
    let was_full = due.keys.len() == SWEEP_MAX;
    // Not at once, even if the next is due: with clocks apart, what is due by the one is not yet by the other.
    let until_next = due
        .next
        .map_or(poll, |next| next.since(looked_at))
        .clamp(BREATH, poll.max(BREATH));
    match (visit(service, visits, due.keys).await, was_full) {
        (true, true) => looked_at,
        // Counted from the look: what came due during the visits is not slept over.
        (true, false) => looked_at.plus(until_next),
        (false, _) => service.clock().now().plus(PAUSE.min(poll)),
    }
}

/// Does what is due; says whether all of it could be done.
async fn visit(service: &Arc<Service>, visits: &Arc<Semaphore>, keys: Vec<RecordKey>) -> bool {
    let mut all = JoinSet::new();
    for key in keys {
        let Ok(visit) = visits.clone().acquire_owned().await else {
            break;
        };
        let service = service.clone();
        all.spawn(async move {
            let is_done = tick(&service, &key).await;
            drop(visit);
            is_done
        });
    }
    let mut all_well = true;
    while let Some(is_done) = all.join_next().await {
        all_well &= is_done.unwrap_or(false);
    }
    all_well
}

async fn tick(service: &Service, key: &RecordKey) -> bool {
    match service.tick(key).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, record = %key, "due record not taken care of");
            false
        }
    }
}

async fn trim(service: &Service) {
    match service.trim_events().await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "old events dropped"),
        Err(error) => tracing::warn!(%error, "old events not dropped"),
    }
}

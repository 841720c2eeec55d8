//! Does due work: runs jobs of this process, sweeps the due index, and returns at the end.

mod trail;
mod usage;

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{record::key::RecordKey, time::Timestamp},
    ports::sender::receipts::{About, Arrival, ProviderReceipt, ReceiptQueue},
    service::{
        Service,
        delivery::{
            hands::{Hands, Job, Jobs},
            receipt::Noted,
        },
        limit::ReturnQueue,
    },
};

/// The largest number of records in one sweep.
const SWEEP_MAX: usize = 256;
/// The largest number of due records visited at the same time. Independent of the hands, so that a sender without
/// free hands stops no visit.
const VISITS_MAX: usize = 64;
/// The shortest pause between two sweeps.
const BREATH: Duration = Duration::from_millis(5);
/// The largest number of receipts recorded at the same time; most of the slow ones only wait for a report.
const NOTES_MAX: usize = 128;
/// How often recording a receipt is attempted. With the pauses this covers about half a second, in which the report
/// that the receipt overtook is stored, or a short failure of the store ends. It bounds how long a receipt with an
/// unknown reference uses one of the [`NOTES_MAX`] places and delays the shutdown.
const NOTE_TRIES: usize = 5;
/// The pause before recording a receipt is attempted again, and after a sweep that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// The background work of one process.
pub struct Worker {
    /// The use cases that the worker calls.
    pub service: Arc<Service>,
    /// The hands of this process, to be told of the shutdown.
    pub hands: Hands,
    /// The queue of jobs given to the hands.
    pub jobs: Jobs,
    /// The queue of receipts that arrive over the senders' own connections.
    pub receipts: ReceiptQueue,
    /// The queue of approvals to be subtracted from the counts of the pumping guard.
    pub approvals: ReturnQueue,
    /// The longest pause between two sweeps.
    pub poll: Duration,
}

impl Worker {
    /// Works until `shutdown` is canceled, then finishes the jobs at hand and the work that calls left behind.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let service = &self.service;
        service.open_senders();
        let visits = Arc::new(Semaphore::new(VISITS_MAX));
        let mut upkeep = JoinSet::new();
        upkeep.spawn(until(
            &shutdown,
            sweep(service.clone(), visits.clone(), self.poll),
        ));
        upkeep.spawn(until(&shutdown, wake_all(service.clone(), visits)));
        upkeep.spawn(usage::count(service.clone(), shutdown.clone()));
        upkeep.spawn(trail::keep(service.clone(), shutdown.clone()));
        upkeep.spawn(until(&shutdown, follow(service.clone())));
        upkeep.spawn(follow_guesses(service.clone(), shutdown.clone()));
        upkeep.spawn(until(&shutdown, give_back(service.clone(), self.approvals)));
        upkeep.spawn(record_receipts(
            service.clone(),
            self.receipts,
            shutdown.clone(),
        ));
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
        self.hands.close();
        tasks.close();
        // Jobs queued before the shutdown are still done, and so are jobs that open calls still queue.
        loop {
            tokio::select! {
                biased;
                Some(job) = self.jobs.recv() => drop(tasks.spawn(work(service.clone(), job))),
                () = tasks.wait() => break,
            }
        }
        while let Some(ended) = upkeep.join_next().await {
            if ended.is_err() {
                tracing::error!("worker task panicked");
            }
        }
    }
}

/// The same work, ended when `shutdown` is canceled.
fn until(
    shutdown: &CancellationToken,
    work: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static {
    let shutdown = shutdown.clone();
    async move {
        shutdown.run_until_cancelled(work).await;
    }
}

/// Subtracts approvals from the counts of the pumping guard. Approvals still queued at the end are lost.
async fn give_back(service: Arc<Service>, approvals: ReturnQueue) {
    service.give_back_all(approvals).await;
}

/// Follows the state of the senders' breakers in the whole fleet.
async fn follow(service: Arc<Service>) {
    service.follow_senders().await;
}

/// Follows the failed guesses over all subjects in the whole fleet. An addition that has begun is completed: what it
/// took from the counts of this process is nowhere else.
async fn follow_guesses(service: Arc<Service>, shutdown: CancellationToken) {
    while shutdown
        .run_until_cancelled(service.guesses_due())
        .await
        .is_some()
    {
        service.flush_guesses().await;
    }
}

async fn work(service: Arc<Service>, job: Job) {
    match job {
        Job::Deliver(work, hand) => {
            if let Err(error) = service.deliver(work, hand).await {
                // Its lease will end, and then it is due again.
                tracing::warn!(
                    %error,
                    verification_id = %work.verification,
                    delivery_id = %work.delivery,
                    "delivery not completed; it is due again when its lease ends"
                );
            }
        }
        Job::Lease(waiting, hand) => {
            if let Err(error) = service.lease_waiting(waiting, hand).await {
                // It is still in the due index.
                tracing::warn!(%error, delivery_id = %waiting.delivery, "waiting delivery not leased");
            }
        }
    }
}

/// Records receipts as they arrive, a limited number at once; at the end also those still queued.
async fn record_receipts(
    service: Arc<Service>,
    mut queue: ReceiptQueue,
    shutdown: CancellationToken,
) {
    let mut noting = JoinSet::new();
    loop {
        let next = tokio::select! {
            next = queue.recv() => next,
            () = shutdown.cancelled() => queue.try_recv().ok(),
        };
        let receipt = match next {
            None => break,
            Some(Arrival::Unreadable(sender, why)) => {
                service.unreadable_receipt(&sender, why);
                continue;
            }
            Some(Arrival::Receipt(receipt)) => receipt,
        };
        if noting.len() >= NOTES_MAX {
            noting.join_next().await;
        }
        noting.spawn(record_receipt(service.clone(), receipt));
    }
    noting.join_all().await;
}

/// Records one receipt. A provider does not repeat a receipt that we accepted, so this is attempted again if the
/// store fails. The same if the reference is unknown: the receipt may arrive before the report of the delivery.
async fn record_receipt(service: Arc<Service>, came: ProviderReceipt) {
    let ProviderReceipt {
        sender,
        about,
        receipt,
    } = came;
    for tries_left in (0..NOTE_TRIES).rev() {
        let noted = match &about {
            About::Token(token) => service.receipt(&sender, token, receipt.clone()).await,
            About::References(references) => {
                service
                    .receipt_by_reference(&sender, references, receipt.clone())
                    .await
            }
        };
        match noted {
            Ok(Noted::Unknown) if matches!(about, About::References(_)) && tries_left > 0 => {
                service.clock().sleep(PAUSE).await;
            }
            Ok(Noted::Changed | Noted::Unchanged | Noted::Unknown) => return,
            Err(error) if tries_left == 0 => {
                tracing::warn!(%error, sender = sender.as_str(), "receipt not recorded");
            }
            Err(_) => service.clock().sleep(PAUSE).await,
        }
    }
}

/// Sends messages that this process knows of, at the moment they are due.
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

/// Sweeps the due index again and again, sleeping until the next record is due.
async fn sweep(service: Arc<Service>, visits: Arc<Semaphore>, poll: Duration) {
    loop {
        let next_look = sweep_once(&service, &visits, poll).await;
        let now = service.clock().now();
        service.clock().sleep(next_look.since(now)).await;
    }
}

/// Reads the due index once and does what is due; returns the time of the next read.
async fn sweep_once(service: &Arc<Service>, visits: &Arc<Semaphore>, poll: Duration) -> Timestamp {
    let looked_at = service.clock().now();
    let due = match service.due(SWEEP_MAX).await {
        Ok(due) => due,
        Err(error) => {
            tracing::warn!(%error, "due index not read");
            return service.clock().now().plus(poll);
        }
    };
    let was_full = due.keys.len() == SWEEP_MAX;
    // Not immediately, even if the next record is due: if the clocks differ, it may be due by one and not yet by the
    // other.
    let until_next = due
        .next
        .map_or(poll, |next| next.since(looked_at))
        .clamp(BREATH, poll.max(BREATH));
    match (visit(service, visits, due.keys).await, was_full) {
        (true, true) => looked_at,
        // Counted from the read of the index, so that what became due during the visits is not delayed.
        (true, false) => looked_at.plus(until_next),
        (false, _) => service.clock().now().plus(PAUSE.min(poll)),
    }
}

/// Does what is due; returns whether all of it succeeded.
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
            tracing::warn!(%error, record = %key, "due record not processed");
            false
        }
    }
}

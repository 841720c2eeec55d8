//! Drives what is due: takes jobs from this process, sweeps the due index, and drains at the end.

mod usage;

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    domain::record::key::RecordKey,
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
    /// Approvals that are to be taken back from the counts of the guard.
    pub approvals: DrainQueue,
    /// The longest pause between two sweeps.
    pub poll: Duration,
}

impl Worker {
    /// Works until `shutdown`, then finishes what is in hand.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let tasks = TaskTracker::new();
        let sweeper = tokio::spawn(sweep(
            self.service.clone(),
            self.hands.clone(),
            self.poll,
            shutdown.clone(),
        ));
        let counter = tokio::spawn(usage::count(self.service.clone(), shutdown.clone()));
        let follower = tokio::spawn(follow(self.service.clone(), shutdown.clone()));
        let noter = tokio::spawn(note_all(
            self.service.clone(),
            self.receipts,
            shutdown.clone(),
        ));
        let drainer = tokio::spawn(drain(
            self.service.clone(),
            self.approvals,
            shutdown.clone(),
        ));
        loop {
            tokio::select! {
                job = self.jobs.recv() => match job {
                    Some(job) => drop(tasks.spawn(deliver(self.service.clone(), job))),
                    None => break,
                },
                () = shutdown.cancelled() => break,
            }
        }
        self.hands.tie();
        // What was put in hand before the end is handed over too.
        while let Ok(job) = self.jobs.try_recv() {
            drop(tasks.spawn(deliver(self.service.clone(), job)));
        }
        tasks.close();
        tasks.wait().await;
        if sweeper.await.is_err() || noter.await.is_err() || drainer.await.is_err() {
            tracing::error!(
                "The sweep, the noting of receipts or the drain of the guard ended with a panic."
            );
        }
        if follower.await.is_err() || counter.await.is_err() {
            tracing::error!(
                "The look at the senders or the count of the records ended with a panic."
            );
        }
    }
}

/// Takes approvals back from the counts of the guard, until the end: what is then still in the queue counts on.
async fn drain(service: Arc<Service>, approvals: DrainQueue, shutdown: CancellationToken) {
    tokio::select! {
        () = service.give_back_all(approvals) => {}
        () = shutdown.cancelled() => {}
    }
}

async fn deliver(service: Arc<Service>, job: Job) {
    if let Err(error) = service.deliver(job.work).await {
        // Its lease ends, and it is due again.
        tracing::warn!(%error, delivery = %job.work.delivery, "A delivery was not carried through.");
    }
}

/// Follows what the fleet knows of the senders, until `shutdown`.
async fn follow(service: Arc<Service>, shutdown: CancellationToken) {
    tokio::select! {
        () = service.follow_senders() => {}
        () = shutdown.cancelled() => {}
    }
}

/// Notes receipts as they come, a bounded number at once; at the end also those that had come in.
async fn note_all(service: Arc<Service>, mut queue: ReceiptQueue, shutdown: CancellationToken) {
    let mut noting = tokio::task::JoinSet::new();
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

/// Looks at what is due, does it, and sleeps until the next is due.
async fn sweep(service: Arc<Service>, hands: Hands, poll: Duration, shutdown: CancellationToken) {
    let work = async {
        let mut trimmed_at = None;
        loop {
            let looked_at = service.clock().now();
            let next_look = match service.due(SWEEP_MAX).await {
                Ok(due) => {
                    let was_full = due.keys.len() == SWEEP_MAX;
                    // Not at once, even if the next is due: with clocks apart, what is due by the one is not yet by the other.
                    let until_next = due
                        .next
                        .map_or(poll, |next| next.since(looked_at))
                        .clamp(BREATH, poll.max(BREATH));
                    match (visit(&service, &hands, due.keys).await, was_full) {
                        (true, true) => looked_at,
                        // Counted from the look: what came due during the visits is not slept over.
                        (true, false) => looked_at.plus(until_next),
                        (false, _) => service.clock().now().plus(PAUSE.min(poll)),
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "The due index could not be read.");
                    service.clock().now().plus(poll)
                }
            };
            let now = service.clock().now();
            if trimmed_at.is_none_or(|at| now.since(at) >= TRIM_EVERY) {
                trimmed_at = Some(now);
                trim(&service).await;
            }
            service
                .clock()
                .sleep(next_look.since(service.clock().now()))
                .await;
        }
    };
    tokio::select! {
        () = work => {}
        () = shutdown.cancelled() => {}
    }
}

/// Does what is due; says whether all of it could be done.
async fn visit(service: &Arc<Service>, hands: &Hands, keys: Vec<RecordKey>) -> bool {
    let mut visits = tokio::task::JoinSet::new();
    for key in keys {
        // With no free hand nothing is due yet: whoever has one comes first.
        let Some(hand) = hands.wait().await else {
            break;
        };
        let service = service.clone();
        visits.spawn(async move { tick(&service, &key, hand).await });
    }
    let mut all_well = true;
    while let Some(visit) = visits.join_next().await {
        all_well &= visit.unwrap_or(false);
    }
    all_well
}

async fn tick(
    service: &Service,
    key: &RecordKey,
    hand: crate::service::delivery::hands::Hand,
) -> bool {
    match service.tick(key, hand).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, record = %key, "What was due could not be done.");
            false
        }
    }
}

async fn trim(service: &Service) {
    match service.trim_events().await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "Old events were dropped."),
        Err(error) => tracing::warn!(%error, "Old events could not be dropped."),
    }
}

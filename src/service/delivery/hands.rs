//! The hands of this process. A hand is a slot for one hand-over to one sender; deliveries that
//! find none wait here.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;

use crate::domain::{
    decide::Work,
    ids::{DeliveryId, SenderName, SubjectKey},
};

/// Most deliveries that wait for a hand of one sender. Any more are found through the due index.
const WAITING_MAX: usize = 4096;

/// A fixed number of hands for each sender. One sender's hands are never lent to another, so a slow
/// sender delays only its own messages.
#[derive(Clone)]
pub struct Hands(Arc<Inner>);

struct Inner {
    per_sender: usize,
    state: Mutex<HandState>,
    jobs: mpsc::UnboundedSender<Job>,
}

/// The hands in use, and the deliveries that wait for one.
#[derive(Default)]
struct HandState {
    /// Set when the process shuts down: no hand is given out any more.
    closed: bool,
    /// The hands in use by sender; `None` for messages that no sender gets.
    shares: BTreeMap<Option<SenderName>, Share>,
    /// All deliveries in the queues, so that none waits twice.
    waiting: HashSet<DeliveryId>,
}

#[derive(Default)]
struct Share {
    busy: usize,
    queue: VecDeque<Waiting>,
}

/// A delivery that waits for a hand. It has no lease, so another process may lease it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The key of its record.
    pub key: SubjectKey,
    /// The id of the delivery.
    pub delivery: DeliveryId,
}

/// The receiving end of the jobs. It never holds more jobs than there are hands.
pub type Jobs = mpsc::UnboundedReceiver<Job>;

/// The work for one hand.
pub enum Job {
    /// Hand a delivery over under its lease.
    Deliver(Work, Hand),
    /// Lease a delivery that waited for this hand.
    Lease(Waiting, Hand),
}

/// A reserved hand. When it is dropped, it goes to the delivery that has waited
/// longest, or becomes free.
pub struct Hand {
    sender: Option<SenderName>,
    hands: Arc<Inner>,
}

impl Hands {
    /// Makes `per_sender` hands for each sender.
    #[must_use]
    pub fn new(per_sender: usize) -> (Self, Jobs) {
        let (jobs, queue) = mpsc::unbounded_channel();
        let inner = Inner {
            per_sender,
            state: Mutex::default(),
            jobs,
        };
        (Self(Arc::new(inner)), queue)
    }

    /// The number of hands of each sender, and the number in use over all senders.
    #[must_use]
    pub fn in_use(&self) -> (usize, usize) {
        let busy = self.0.state().shares.values().map(|share| share.busy).sum();
        (self.0.per_sender, busy)
    }

    /// Reserves a hand of a sender, if one is free. The sender `None` is for messages
    /// that no sender gets.
    #[must_use]
    pub fn reserve(&self, sender: Option<&SenderName>) -> Option<Hand> {
        self.0.reserve(&mut self.0.state(), sender)
    }

    /// Lets a delivery wait for the next free hand of a sender.
    pub(in crate::service) fn wait(&self, sender: Option<&SenderName>, waiting: Waiting) {
        let mut state = self.0.state();
        if let Some(hand) = self.0.reserve(&mut state, sender) {
            drop(state);
            return self.0.give(Job::Lease(waiting, hand));
        }
        if state.closed || !state.waiting.insert(waiting.delivery) {
            return;
        }
        let queue = &mut state.shares.entry(sender.cloned()).or_default().queue;
        if queue.len() < WAITING_MAX {
            queue.push_back(waiting);
        } else {
            state.waiting.remove(&waiting.delivery);
        }
    }

    /// Whether a delivery waits for a hand of this process.
    pub(in crate::service) fn has_waiting(&self, delivery: &DeliveryId) -> bool {
        self.0.state().waiting.contains(delivery)
    }

    /// Gives a hand a leased delivery to hand over. If nobody receives jobs any more, the lease
    /// runs out and another process takes over.
    pub(in crate::service) fn give(&self, work: Work, hand: Hand) {
        self.0.give(Job::Deliver(work, hand));
    }

    /// Gives out no more hands, because the process shuts down.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, HandState> {
        // A poisoned lock is harmless: nothing can panic in the middle of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(
        self: &Arc<Self>,
        state: &mut HandState,
        sender: Option<&SenderName>,
    ) -> Option<Hand> {
        let sender = sender.cloned();
        if state.closed {
            return None;
        }
        let share = state.shares.entry(sender.clone()).or_default();
        if share.busy >= self.per_sender {
            return None;
        }
        share.busy += 1;
        Some(Hand {
            sender,
            hands: self.clone(),
        })
    }

    fn give(&self, job: Job) {
        if let Err(refused) = self.jobs.send(job) {
            // Nobody receives jobs any more. Without this, dropping the hand would wake the waiting
            // deliveries one by one, in vain.
            self.close();
            drop(refused);
        }
    }

    fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.waiting.clear();
        state
            .shares
            .values_mut()
            .for_each(|share| share.queue.clear());
    }
}

impl Hand {
    /// Whether it belongs to this sender.
    pub(in crate::service) fn is_of(&self, sender: Option<&SenderName>) -> bool {
        self.sender.as_ref() == sender
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let sender = self.sender.take();
        let mut state = self.hands.state();
        let Some(share) = state.shares.get_mut(&sender) else {
            return;
        };
        let Some(waiting) = share.queue.pop_front() else {
            share.busy = share.busy.saturating_sub(1);
            return;
        };
        state.waiting.remove(&waiting.delivery);
        drop(state);
        // The hand is passed on without becoming free, so that no newer delivery overtakes this
        // one.
        let hand = Self {
            sender,
            hands: self.hands.clone(),
        };
        self.hands.give(Job::Lease(waiting, hand));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SenderName {
        SenderName::parse(text).unwrap()
    }

    fn waiting(n: u8) -> Waiting {
        Waiting {
            key: SubjectKey([n; 16]),
            delivery: DeliveryId([n; 16]),
        }
    }

    fn woken(jobs: &mut Jobs) -> Option<(Waiting, Hand)> {
        match jobs.try_recv() {
            Ok(Job::Lease(waiting, hand)) => Some((waiting, hand)),
            Ok(Job::Deliver(..)) => panic!("nothing was given"),
            Err(_) => None,
        }
    }

    #[test]
    fn send_19_the_hands_of_one_sender_are_not_lent_to_another() {
        let (hands, _jobs) = Hands::new(2);
        let (slow, quick) = (name("slow"), name("quick"));
        let full: Vec<_> = (0..3).map_while(|_| hands.reserve(Some(&slow))).collect();
        assert_eq!(full.len(), 2);
        assert!(hands.reserve(Some(&quick)).is_some() && hands.reserve(None).is_some());
        drop(full);
        assert!(hands.reserve(Some(&slow)).is_some());
    }

    #[test]
    fn send_17_a_free_hand_goes_to_what_waited_longest() {
        let (hands, mut jobs) = Hands::new(1);
        let slow = name("slow");
        let hand = hands.reserve(Some(&slow)).unwrap();
        [waiting(1), waiting(2), waiting(1)]
            .into_iter()
            .for_each(|waiting| hands.wait(Some(&slow), waiting));
        assert!(hands.has_waiting(&DeliveryId([1; 16])));
        drop(hand);
        let (first, hand) = woken(&mut jobs).unwrap();
        assert_eq!(first, waiting(1));
        assert!(!hands.has_waiting(&DeliveryId([1; 16])));
        assert!(
            hands.reserve(Some(&slow)).is_none(),
            "nothing newer overtakes what waited"
        );
        drop(hand);
        let (second, hand) = woken(&mut jobs).unwrap();
        assert_eq!(second, waiting(2));
        drop(hand);
        assert!(woken(&mut jobs).is_none(), "each once");
        hands.wait(Some(&slow), waiting(3));
        assert!(
            woken(&mut jobs).is_some(),
            "a hand that came free meanwhile is given at once"
        );
    }

    #[test]
    fn once_the_hands_are_tied_nothing_waits_for_them() {
        let (hands, mut jobs) = Hands::new(1);
        let hand = hands.reserve(None).unwrap();
        hands.wait(None, waiting(1));
        hands.close();
        drop(hand);
        hands.wait(None, waiting(2));
        assert!(woken(&mut jobs).is_none() && hands.reserve(None).is_none());
    }

    #[test]
    fn without_a_worker_what_waits_is_dropped_and_not_woken_one_by_one() {
        let (hands, jobs) = Hands::new(1);
        let hand = hands.reserve(None).unwrap();
        (0..200).for_each(|n| hands.wait(None, waiting(n)));
        drop(jobs);
        drop(hand);
        assert!(!hands.has_waiting(&DeliveryId([199; 16])));
    }
}

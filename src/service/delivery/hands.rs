//! The hands of this process. A hand is a slot for one hand-over to one sender; deliveries that
//! find none wait here, and tenants take turns.

mod share;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;

use self::share::Share;
pub use self::share::{HandLimits, HandOwner};
use crate::domain::{
    decide::Work,
    ids::{DeliveryId, SenderName, SubjectKey},
};

/// A fixed number of hands for each sender. One sender's hands are never lent to another, so a slow
/// sender delays only its own messages. One tenant has at most a share of them, of which its anonymous
/// starts may have half. A hand that becomes free goes to the waiting tenants in turn, and of a tenant to its
/// callers and origins in turn: so a flood of one tenant's messages does not delay another's, nor one of a
/// caller those of the others, nor one of strangers those of known customers.
#[derive(Clone)]
pub struct Hands(Arc<Inner>);

struct Inner {
    limits: HandLimits,
    /// The senders that take fewer messages at the same time.
    slots: BTreeMap<SenderName, usize>,
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

/// A reserved hand. When it is dropped, it goes to a delivery that waits, or becomes free.
pub struct Hand {
    sender: Option<SenderName>,
    owner: HandOwner,
    hands: Arc<Inner>,
}

impl Hands {
    /// Makes as many hands as these limits say.
    #[must_use]
    pub fn new(limits: HandLimits) -> (Self, Jobs) {
        Self::with_slots(limits, BTreeMap::new())
    }

    /// The same, but for these senders no more than they can use: what waits for a hand loses no time of its hand-over.
    #[must_use]
    pub fn with_slots(limits: HandLimits, slots: BTreeMap<SenderName, usize>) -> (Self, Jobs) {
        let (jobs, queue) = mpsc::unbounded_channel();
        let inner = Inner {
            limits,
            slots,
            state: Mutex::default(),
            jobs,
        };
        (Self(Arc::new(inner)), queue)
    }

    /// The number of hands of each sender that can use all, and the number in use over all senders.
    #[must_use]
    pub fn in_use(&self) -> (usize, usize) {
        let busy = self
            .0
            .state()
            .shares
            .values()
            .map(|share| share.busy())
            .sum();
        (self.0.limits.per_sender, busy)
    }

    /// Reserves a hand of a sender for a message of an owner, if one is free and the owner has not got its share. The
    /// sender `None` is for messages that no sender gets.
    #[must_use]
    pub fn reserve(&self, sender: Option<&SenderName>, owner: &HandOwner) -> Option<Hand> {
        self.0.reserve(&mut self.0.state(), sender, owner)
    }

    /// Lets a delivery of an owner wait for the next free hand of a sender.
    pub(in crate::service) fn wait(
        &self,
        sender: Option<&SenderName>,
        owner: &HandOwner,
        waiting: Waiting,
    ) {
        let mut state = self.0.state();
        if let Some(hand) = self.0.reserve(&mut state, sender, owner) {
            drop(state);
            return self.0.give(Job::Lease(waiting, hand));
        }
        if state.closed || !state.waiting.insert(waiting.delivery) {
            return;
        }
        let share = state.shares.entry(sender.cloned()).or_default();
        if !share.enqueue(owner, waiting) {
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
        owner: &HandOwner,
    ) -> Option<Hand> {
        let sender = sender.cloned();
        if state.closed {
            return None;
        }
        let share = state.shares.entry(sender.clone()).or_default();
        let limits = self.limits_of(sender.as_ref());
        share.take(owner, limits).then(|| Hand {
            sender,
            owner: owner.clone(),
            hands: self.clone(),
        })
    }

    fn limits_of(&self, sender: Option<&SenderName>) -> HandLimits {
        match sender.and_then(|sender| self.slots.get(sender)) {
            Some(slots) => self.limits.within(*slots),
            None => self.limits,
        }
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
        for share in state.shares.values_mut() {
            share.forget_waiting();
        }
    }
}

impl Hand {
    /// Whether it belongs to this sender.
    pub(in crate::service) fn is_of(&self, sender: Option<&SenderName>) -> bool {
        self.sender.as_ref() == sender
    }

    /// The owner of the message that it was reserved for.
    pub(in crate::service) fn owner(&self) -> &HandOwner {
        &self.owner
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let sender = self.sender.take();
        let mut state = self.hands.state();
        let Some(share) = state.shares.get_mut(&sender) else {
            return;
        };
        // Nobody else takes the hand in between, so that no newer delivery overtakes the one that waited.
        share.give_back(&self.owner);
        let Some((owner, waiting)) = share.take_next(self.hands.limits_of(sender.as_ref())) else {
            return;
        };
        state.waiting.remove(&waiting.delivery);
        drop(state);
        let hand = Self {
            sender,
            owner,
            hands: self.hands.clone(),
        };
        self.hands.give(Job::Lease(waiting, hand));
    }
}

#[cfg(test)]
mod tests {
    use super::{share::WAITING_MAX, *};
    use crate::domain::{
        ids::{CallerName, TenantId},
        verification::rules::Origin,
    };

    fn name(text: &str) -> SenderName {
        SenderName::parse(text).unwrap()
    }

    fn owner(tenant: &str, origin: Origin) -> HandOwner {
        HandOwner {
            tenant: TenantId::parse(tenant).unwrap(),
            caller: CallerName::parse("portal").unwrap(),
            origin,
        }
    }

    fn bank() -> HandOwner {
        owner("bank", Origin::Vouched)
    }

    fn shop() -> HandOwner {
        owner("shop", Origin::Vouched)
    }

    fn stranger() -> HandOwner {
        owner("bank", Origin::Anonymous)
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
        let (hands, _jobs) = Hands::new(HandLimits::undivided(2));
        let (slow, quick) = (name("slow"), name("quick"));
        let full: Vec<_> = (0..3)
            .map_while(|_| hands.reserve(Some(&slow), &bank()))
            .collect();
        assert_eq!(full.len(), 2);
        assert!(
            hands.reserve(Some(&quick), &bank()).is_some()
                && hands.reserve(None, &bank()).is_some()
        );
        drop(full);
        assert!(hands.reserve(Some(&slow), &bank()).is_some());
    }

    #[test]
    fn send_17_a_free_hand_goes_to_what_waited_longest() {
        let (hands, mut jobs) = Hands::new(HandLimits::undivided(1));
        let slow = name("slow");
        let hand = hands.reserve(Some(&slow), &bank()).unwrap();
        [waiting(1), waiting(2), waiting(1)]
            .into_iter()
            .for_each(|waiting| hands.wait(Some(&slow), &bank(), waiting));
        assert!(hands.has_waiting(&DeliveryId([1; 16])));
        drop(hand);
        let (first, hand) = woken(&mut jobs).unwrap();
        assert_eq!(first, waiting(1));
        assert!(!hands.has_waiting(&DeliveryId([1; 16])));
        assert!(
            hands.reserve(Some(&slow), &bank()).is_none(),
            "nothing newer overtakes what waited"
        );
        drop(hand);
        let (second, hand) = woken(&mut jobs).unwrap();
        assert_eq!(second, waiting(2));
        drop(hand);
        assert!(woken(&mut jobs).is_none(), "each once");
        hands.wait(Some(&slow), &bank(), waiting(3));
        assert!(
            woken(&mut jobs).is_some(),
            "a hand that came free meanwhile is given at once"
        );
    }

    #[test]
    fn once_the_hands_are_tied_nothing_waits_for_them() {
        let (hands, mut jobs) = Hands::new(HandLimits::undivided(1));
        let hand = hands.reserve(None, &bank()).unwrap();
        hands.wait(None, &bank(), waiting(1));
        hands.close();
        drop(hand);
        hands.wait(None, &bank(), waiting(2));
        assert!(woken(&mut jobs).is_none() && hands.reserve(None, &bank()).is_none());
    }

    #[test]
    fn without_a_worker_what_waits_is_dropped_and_not_woken_one_by_one() {
        let (hands, jobs) = Hands::new(HandLimits::undivided(1));
        let hand = hands.reserve(None, &bank()).unwrap();
        (0..200).for_each(|n| hands.wait(None, &bank(), waiting(n)));
        drop(jobs);
        drop(hand);
        assert!(!hands.has_waiting(&DeliveryId([199; 16])));
    }

    #[test]
    fn send_19_a_flood_of_one_tenant_leaves_hands_for_the_others() {
        let limits = HandLimits {
            per_sender: 4,
            per_tenant: 3,
        };
        let (hands, mut jobs) = Hands::new(limits);
        let mail = name("mail");
        let flood: Vec<_> = (0..9)
            .map_while(|_| hands.reserve(Some(&mail), &bank()))
            .collect();
        assert_eq!(flood.len(), 3, "its share");
        hands.wait(Some(&mail), &bank(), waiting(1));
        assert!(
            woken(&mut jobs).is_none(),
            "it waits although a hand is free"
        );
        let other = hands.reserve(Some(&mail), &shop());
        assert!(other.is_some(), "the other tenant finds a hand at once");
        assert_eq!(hands.in_use(), (4, 4));
        drop(flood);
        let (first, _hand) = woken(&mut jobs).unwrap();
        assert_eq!(first, waiting(1));
        assert_eq!(hands.in_use(), (4, 2));
    }

    #[test]
    fn send_19_tenants_that_wait_for_a_hand_take_turns() {
        let (hands, mut jobs) = Hands::new(HandLimits::undivided(1));
        let mail = name("mail");
        let mut hand = hands.reserve(Some(&mail), &bank()).unwrap();
        for n in 0..100 {
            hands.wait(Some(&mail), &bank(), waiting(n));
        }
        for n in [200, 201] {
            hands.wait(Some(&mail), &shop(), waiting(n));
        }
        let mut order = Vec::new();
        for _ in 0..6 {
            drop(hand);
            let (next, given) = woken(&mut jobs).unwrap();
            order.push(next);
            hand = given;
        }
        assert_eq!(order, [0, 200, 1, 201, 2, 3].map(waiting));
    }

    #[test]
    fn send_14_callers_and_origins_of_a_tenant_take_turns() {
        let (hands, mut jobs) = Hands::new(HandLimits::undivided(1));
        let mail = name("mail");
        let mut hand = hands.reserve(Some(&mail), &stranger()).unwrap();
        let menu = HandOwner {
            caller: CallerName::parse("ivr").unwrap(),
            ..bank()
        };
        for n in 0..100 {
            hands.wait(Some(&mail), &stranger(), waiting(n));
        }
        hands.wait(Some(&mail), &bank(), waiting(200));
        hands.wait(Some(&mail), &menu, waiting(210));
        hands.wait(Some(&mail), &shop(), waiting(220));
        hands.wait(Some(&mail), &bank(), waiting(201));
        let mut order = Vec::new();
        for _ in 0..8 {
            drop(hand);
            let (next, given) = woken(&mut jobs).unwrap();
            order.push(next);
            hand = given;
        }
        assert_eq!(order, [0, 220, 200, 210, 1, 201, 2, 3].map(waiting));
    }

    #[test]
    fn a_tenant_with_too_many_waiting_leaves_room_in_the_queue_for_others() {
        let (hands, _jobs) = Hands::new(HandLimits::undivided(1));
        let _hand = hands.reserve(None, &bank()).unwrap();
        let delivery = |n: usize| Waiting {
            key: SubjectKey([0; 16]),
            delivery: DeliveryId((n as u128).to_be_bytes()),
        };
        for n in 0..=WAITING_MAX {
            hands.wait(None, &bank(), delivery(n));
        }
        assert!(!hands.has_waiting(&delivery(WAITING_MAX).delivery));
        let other = delivery(WAITING_MAX + 1);
        hands.wait(None, &shop(), other);
        assert!(hands.has_waiting(&other.delivery));
    }

    #[test]
    fn send_15_strangers_have_half_of_the_hands_and_known_customers_do_not_wait_for_them() {
        let (hands, mut jobs) = Hands::new(HandLimits::undivided(4));
        let mail = name("mail");
        let slow: Vec<_> = (0..9)
            .map_while(|_| hands.reserve(Some(&mail), &stranger()))
            .collect();
        assert_eq!(slow.len(), 2, "half");
        for n in 0..100 {
            hands.wait(Some(&mail), &stranger(), waiting(n));
        }
        let mut known: Vec<_> = (0..9)
            .map_while(|_| hands.reserve(Some(&mail), &bank()))
            .collect();
        assert_eq!(known.len(), 2, "the others are free for known customers");
        hands.wait(Some(&mail), &bank(), waiting(200));
        known.pop();
        let (next, _hand) = woken(&mut jobs).unwrap();
        assert_eq!(next, waiting(200), "strangers wait for their own");
        drop(slow);
        let (next, _hand) = woken(&mut jobs).unwrap();
        assert_eq!(next, waiting(0));
        assert!(
            Hands::new(HandLimits::undivided(1))
                .0
                .reserve(None, &stranger())
                .is_some(),
            "the only hand is for everybody"
        );
    }

    #[test]
    fn send_15_a_sender_has_no_more_hands_than_it_can_use() {
        let (mail, sms) = (name("mail"), name("sms"));
        let limits = HandLimits {
            per_sender: 8,
            per_tenant: 6,
        };
        let (hands, _jobs) = Hands::with_slots(limits, [(mail.clone(), 4)].into());
        let count = |sender, owner: HandOwner| {
            let taken = (0..9).map_while(|_| hands.reserve(Some(sender), &owner));
            taken.collect::<Vec<_>>()
        };
        let of_bank = count(&mail, bank());
        assert_eq!(of_bank.len(), 3, "the same part of fewer hands");
        assert_eq!(count(&mail, shop()).len(), 1);
        assert_eq!(count(&sms, bank()).len(), 6);
    }
}

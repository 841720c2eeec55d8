//! How the hands of one sender are shared: between tenants, and between strangers and known customers of each.

use std::collections::{BTreeMap, VecDeque};

use super::Waiting;
use crate::domain::{ids::TenantId, verification::rules::Origin};

/// Most deliveries of one owner that wait for a hand of one sender. Any more are found through the due index.
pub(super) const WAITING_MAX: usize = 4096;

/// Whose message a hand is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HandOwner {
    /// The tenant of the customer.
    pub tenant: TenantId,
    /// Who could have started the verification.
    pub origin: Origin,
}

/// How many hands there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandLimits {
    /// The hands of each sender.
    pub per_sender: usize,
    /// The most of them that one tenant may have at a time.
    pub per_tenant: usize,
}

impl HandLimits {
    /// The same number for each sender, all of which one tenant may have.
    #[must_use]
    pub const fn undivided(per_sender: usize) -> Self {
        Self {
            per_sender,
            per_tenant: per_sender,
        }
    }

    /// The limits of a sender that can use no more hands than this, shared in the same proportion.
    pub(super) fn within(self, slots: usize) -> Self {
        if slots >= self.per_sender {
            return self;
        }
        Self {
            per_sender: slots,
            per_tenant: (self.per_tenant * slots).div_ceil(self.per_sender),
        }
    }

    /// The most that the messages of strangers may have of a tenant's hands.
    const fn anonymous(self) -> usize {
        self.per_tenant.div_ceil(2)
    }
}

/// The hands of one sender.
#[derive(Default)]
pub(super) struct Share {
    busy: usize,
    owners: BTreeMap<HandOwner, OwnShare>,
    /// The owners with waiting deliveries, each once; the first one is next.
    turns: VecDeque<HandOwner>,
}

/// What one owner has of a sender's hands, and its deliveries that wait for one.
#[derive(Default)]
struct OwnShare {
    busy: usize,
    queue: VecDeque<Waiting>,
}

impl Share {
    /// The number of hands in use.
    pub(super) const fn busy(&self) -> usize {
        self.busy
    }

    /// Takes a hand for an owner, if one is free and the owner has not got its share.
    pub(super) fn take(&mut self, owner: &HandOwner, limits: HandLimits) -> bool {
        let of = |origin| {
            let owner = HandOwner {
                tenant: owner.tenant.clone(),
                origin,
            };
            self.owners.get(&owner).map_or(0, |own| own.busy)
        };
        let (anonymous, vouched) = (of(Origin::Anonymous), of(Origin::Vouched));
        let has_share = match owner.origin {
            Origin::Anonymous => anonymous >= limits.anonymous(),
            Origin::Vouched => false,
        };
        let is_free =
            self.busy < limits.per_sender && anonymous + vouched < limits.per_tenant && !has_share;
        if is_free {
            self.busy += 1;
            self.owners.entry(owner.clone()).or_default().busy += 1;
        }
        is_free
    }

    /// Gives a hand of an owner back.
    pub(super) fn give_back(&mut self, owner: &HandOwner) {
        self.busy = self.busy.saturating_sub(1);
        if let Some(own) = self.owners.get_mut(owner) {
            own.busy = own.busy.saturating_sub(1);
        }
    }

    /// Lets a delivery wait; false if too many of the owner wait already.
    pub(super) fn enqueue(&mut self, owner: &HandOwner, waiting: Waiting) -> bool {
        let queue = &mut self.owners.entry(owner.clone()).or_default().queue;
        if queue.len() >= WAITING_MAX {
            return false;
        }
        if queue.is_empty() {
            self.turns.push_back(owner.clone());
        }
        queue.push_back(waiting);
        true
    }

    /// Takes a hand for the delivery that is next: the one that has waited longest, of the first owner in turn that has
    /// not got its share.
    pub(super) fn take_next(&mut self, limits: HandLimits) -> Option<(HandOwner, Waiting)> {
        for at in 0..self.turns.len() {
            let owner = self.turns[at].clone();
            if !self.take(&owner, limits) {
                continue;
            }
            self.turns.remove(at);
            let queue = &mut self.owners.entry(owner.clone()).or_default().queue;
            let next = queue.pop_front();
            if !queue.is_empty() {
                self.turns.push_back(owner.clone());
            }
            return next.map(|waiting| (owner, waiting));
        }
        None
    }

    /// Drops what waits, because no hand is given out any more.
    pub(super) fn forget_waiting(&mut self) {
        self.turns.clear();
        self.owners.values_mut().for_each(|own| own.queue.clear());
    }
}

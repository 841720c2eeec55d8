//! How the hands of one sender are shared: between tenants, and between the callers, strangers and known customers of
//! each.

use std::collections::{BTreeMap, VecDeque};

use super::Waiting;
use crate::domain::{
    ids::{CallerName, TenantId},
    verification::rules::Origin,
};

/// Most deliveries of one owner that wait for a hand of one sender. Any more are found through the due index.
pub(super) const WAITING_MAX: usize = 4096;

/// Whose message a hand is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HandOwner {
    /// The tenant of the customer.
    pub tenant: TenantId,
    /// The caller that started the verification.
    pub caller: CallerName,
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
    tenants: BTreeMap<TenantId, TenantShare>,
    /// The tenants with waiting deliveries, each once; the first one is next.
    turns: VecDeque<TenantId>,
}

/// What one tenant has of a sender's hands, and its deliveries that wait for one.
#[derive(Default)]
struct TenantShare {
    busy: usize,
    /// Those of the busy ones that the messages of strangers have.
    anonymous: usize,
    queues: BTreeMap<HandOwner, VecDeque<Waiting>>,
    /// The owners with waiting deliveries, each once; the first one is next.
    turns: VecDeque<HandOwner>,
}

impl Share {
    /// The number of hands in use.
    pub(super) const fn busy(&self) -> usize {
        self.busy
    }

    /// Takes a hand for an owner, if one is free and neither its tenant nor the strangers of that have got their share.
    pub(super) fn take(&mut self, owner: &HandOwner, limits: HandLimits) -> bool {
        let own = self.tenants.entry(owner.tenant.clone()).or_default();
        let is_free = self.busy < limits.per_sender && own.has_room(owner, limits);
        if is_free {
            self.busy += 1;
            own.busy += 1;
            own.anonymous += owner.as_stranger();
        }
        is_free
    }

    /// Gives a hand of an owner back.
    pub(super) fn give_back(&mut self, owner: &HandOwner) {
        self.busy = self.busy.saturating_sub(1);
        if let Some(own) = self.tenants.get_mut(&owner.tenant) {
            own.busy = own.busy.saturating_sub(1);
            own.anonymous = own.anonymous.saturating_sub(owner.as_stranger());
        }
    }

    /// Lets a delivery wait; false if too many of the owner wait already.
    pub(super) fn enqueue(&mut self, owner: &HandOwner, waiting: Waiting) -> bool {
        let own = self.tenants.entry(owner.tenant.clone()).or_default();
        let queue = own.queues.entry(owner.clone()).or_default();
        if queue.len() >= WAITING_MAX {
            return false;
        }
        if queue.is_empty() {
            if own.turns.is_empty() {
                self.turns.push_back(owner.tenant.clone());
            }
            own.turns.push_back(owner.clone());
        }
        queue.push_back(waiting);
        true
    }

    /// Takes a hand for the delivery that is next: of the first tenant in turn, and of that the first owner in turn, that
    /// have not got their share; and of that owner the one that has waited longest.
    pub(super) fn take_next(&mut self, limits: HandLimits) -> Option<(HandOwner, Waiting)> {
        for at in 0..self.turns.len() {
            let tenant = self.turns[at].clone();
            let own = self.tenants.entry(tenant.clone()).or_default();
            let Some(owner) = own.next_owner(limits) else {
                continue;
            };
            if !self.take(&owner, limits) {
                continue;
            }
            self.turns.remove(at);
            let own = self.tenants.entry(tenant.clone()).or_default();
            let next = own.dequeue(&owner);
            if !own.turns.is_empty() {
                self.turns.push_back(tenant);
            }
            return next.map(|waiting| (owner, waiting));
        }
        None
    }

    /// Drops what waits, because no hand is given out any more.
    pub(super) fn forget_waiting(&mut self) {
        self.turns.clear();
        for own in self.tenants.values_mut() {
            own.turns.clear();
            own.queues.clear();
        }
    }
}

impl TenantShare {
    fn has_room(&self, owner: &HandOwner, limits: HandLimits) -> bool {
        let strangers_have_room = match owner.origin {
            Origin::Anonymous => self.anonymous < limits.anonymous(),
            Origin::Vouched => true,
        };
        self.busy < limits.per_tenant && strangers_have_room
    }

    /// The first owner in turn that may take one more hand.
    fn next_owner(&self, limits: HandLimits) -> Option<HandOwner> {
        let may = |owner: &&HandOwner| self.has_room(owner, limits);
        self.turns.iter().find(may).cloned()
    }

    /// Takes the delivery of an owner that has waited longest; its next turn comes after those of the others.
    fn dequeue(&mut self, owner: &HandOwner) -> Option<Waiting> {
        self.turns.retain(|turn| turn != owner);
        let queue = self.queues.get_mut(owner)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(owner);
        } else {
            self.turns.push_back(owner.clone());
        }
        next
    }
}

impl HandOwner {
    /// How many hands of strangers one hand of this owner is.
    fn as_stranger(&self) -> usize {
        usize::from(self.origin == Origin::Anonymous)
    }
}

//! The use cases: load, decide, commit once, answer after.

pub mod audit;
mod breakers;
pub mod callback;
pub mod cancel;
pub mod check;
pub mod deliver;
mod explain;
pub mod failure;
mod hand_over;
pub mod hands;
mod hedge;
pub mod hook;
pub mod link;
pub mod policy;
pub mod quotas;
pub mod receipt;
pub mod resend;
pub mod routes;
mod screen;
mod side;
pub mod start;
mod transact;
pub mod vault;
pub mod watch;

use std::{sync::Arc, time::Duration};

use crate::{
    domain::{
        caller::Caller,
        crypto::keyring::Keyring,
        decide::{Standing, Target, get},
        delivery::breaker::BreakerRules,
        ids::VerificationId,
        time::Timestamp,
    },
    message::Messages,
    ports::{
        store::{Complaint, Store},
        system::{Clock, Entropy},
    },
};

use breakers::Breakers;
use deliver::LEASE_MARGIN;
use failure::Failure;
use hands::Hands;
use hook::HookRule;
use policy::Policy;
use quotas::{Drains, LocalQuotas};
use routes::Routes;
use side::Sides;
use vault::Vault;

/// What a service is made of.
pub struct Parts {
    /// Keeps records.
    pub store: Arc<dyn Store>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The keys.
    pub keyring: Arc<Keyring>,
    /// The rules.
    pub policy: Policy,
    /// Who brings messages.
    pub routes: Routes,
    /// When a sender is left alone for a while.
    pub breaker: BreakerSettings,
    /// The texts.
    pub messages: Arc<Messages>,
    /// Who hands messages over.
    pub hands: Hands,
    /// Who may stop a message just before it goes out.
    pub hook: Option<HookRule>,
    /// Where approvals go that are taken back from the counts of the guard.
    pub drains: Drains,
    /// The time that all store work of one command may take.
    pub store_deadline: Duration,
    /// The time that a sender may take for one hand-over.
    pub send_deadline: Duration,
    /// The address of the page that links of mails open, without its secret; none: no mail has a link.
    pub link_page: Option<String>,
}

/// The use cases of the service; one method each, in the file of its verb.
pub struct Service {
    parts: Parts,
    vault: Vault,
    quotas: LocalQuotas,
    sides: Sides,
    breakers: Breakers,
}

/// When a sender is left alone for a while.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// Messages that fail in a row, after which it is.
    pub failures: u8,
    /// How long, the first time.
    pub open: Duration,
    /// The longest.
    pub open_max: Duration,
}

/// A verification as it stands, and the time at which it was read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// How it stands.
    pub standing: Standing,
    /// When it was read: expiry is judged by it.
    pub now: crate::domain::time::Now,
}

impl Service {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let vault = Vault::new(parts.keyring.clone(), parts.entropy.clone());
        let (store, clock, deadline) = (parts.store.clone(), parts.clock.clone(), parts.store_deadline);
        let sides = Sides { store, clock, vault: vault.clone(), deadline };
        let BreakerSettings { failures, open, open_max } = parts.breaker;
        let rules = BreakerRules { failures, open, open_max, probe: parts.send_deadline + LEASE_MARGIN };
        let breakers = Breakers::new(sides.clone(), rules, &parts.keyring, parts.routes.names());
        Self { parts, vault, quotas: LocalQuotas::default(), sides, breakers }
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// Reads a verification.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn get(&self, caller: &Caller, id: VerificationId) -> Result<Reading, Failure> {
        let target = target(caller, id);
        let loaded = self.bounded(self.load(&id.subject)).await?;
        let cx = self.context(&loaded);
        let standing = get(loaded.record, &target, &cx)?;
        Ok(Reading { standing, now: cx.now })
    }

    /// Does the store serve?
    ///
    /// # Errors
    /// [`Failure`] says why not.
    pub async fn serves(&self) -> Result<(), Failure> {
        self.bounded(async { Ok(self.parts.store.ready().await?) }).await
    }

    /// What is not as it should be, while the service still serves.
    #[must_use]
    pub fn complaints(&self) -> Vec<Complaint> {
        let mut complaints = self.parts.store.complaints();
        complaints.extend(self.breakers.complaints());
        complaints
    }

    /// Follows what the fleet knows of the senders, for ever.
    pub async fn follow_senders(&self) {
        self.breakers.follow().await;
    }

    /// Drops events that are older than the settings keep them.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn trim_events(&self) -> Result<u64, Failure> {
        let kept = self.parts.policy.subject.event_retention;
        let end = Timestamp::from_micros(self.parts.clock.now().as_micros().saturating_sub(crate::domain::time::micros(kept)));
        Ok(self.parts.store.trim_events(end).await?)
    }
}

/// Whose verification, by whom.
fn target(caller: &Caller, id: VerificationId) -> Target {
    Target { tenant: caller.tenant.clone(), caller: caller.name.clone(), id }
}

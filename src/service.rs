//! The use cases: load, decide, commit once, answer after.

pub mod delivery;
pub mod failure;
pub mod limit;
pub mod policy;
pub mod record;
pub mod verification;

use std::{sync::Arc, time::Duration};

use crate::{
    domain::{crypto::keyring::Keyring, delivery::breaker::BreakerRules},
    message::Messages,
    ports::{
        store::Store,
        system::{Clock, Entropy},
    },
};

use delivery::{
    LEASE_MARGIN,
    breakers::{BreakerSettings, Breakers},
    hands::Hands,
    hook::HookRule,
    routes::Routes,
};
use failure::Failure;
use limit::{Drains, LocalQuotas};
use policy::Policy;
use record::{quarantine::Quarantine, side::Sides, vault::Vault};

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
    quarantine: Arc<Quarantine>,
    sides: Sides,
    breakers: Breakers,
}

impl Service {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let vault = Vault::new(parts.keyring.clone(), parts.entropy.clone());
        let (store, clock, deadline) = (
            parts.store.clone(),
            parts.clock.clone(),
            parts.store_deadline,
        );
        let quarantine = Arc::<Quarantine>::default();
        let sides = Sides {
            store,
            clock,
            vault: vault.clone(),
            quarantine: quarantine.clone(),
            deadline,
        };
        let BreakerSettings {
            failures,
            open,
            open_max,
        } = parts.breaker;
        let rules = BreakerRules {
            failures,
            open,
            open_max,
            probe: parts.send_deadline + LEASE_MARGIN,
        };
        let breakers = Breakers::new(sides.clone(), rules, &parts.keyring, parts.routes.names());
        Self {
            parts,
            vault,
            quotas: LocalQuotas::default(),
            quarantine,
            sides,
            breakers,
        }
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// Does the store serve?
    ///
    /// # Errors
    /// [`Failure`] says why not.
    pub async fn serves(&self) -> Result<(), Failure> {
        self.bounded(async { Ok(self.parts.store.ready().await?) })
            .await
    }
}

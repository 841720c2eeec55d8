//! The courier: prepares a leased message, and hands it to the sender whose turn it is.

mod alarms;
pub mod breakers;
pub mod callback;
mod deliver;
mod draft;
mod fate;
mod hand_over;
pub mod hands;
mod hedge;
pub mod hook;
mod onward;
mod ready;
pub mod receipt;
pub(super) mod reserved;
pub mod routes;
pub mod spoken;

use std::{sync::Arc, time::Duration};

use super::{policy::Policy, record::side::Sides};
use crate::{
    domain::{
        crypto::keyring::Keyring,
        delivery::Lease,
        ids::{Locale, SenderName, TenantId},
        recipient::Recipient,
        time::Now,
    },
    message::{Explanation, Messages},
    ports::{
        store::Complaint,
        system::{Clock, Entropy, fresh},
    },
};

use alarms::Alarms;
use breakers::Breakers;
use hands::Hands;
use hook::HookRule;
use routes::Routes;

/// How much longer a lease lasts than the longest hand-over, so that it ends only if
/// its holder is gone.
pub(super) const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// The part of the service that delivers messages: routes, breakers, hook, hands and texts.
pub(super) struct Courier {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    keyring: Arc<Keyring>,
    policy: Arc<Policy>,
    sides: Sides,
    routes: Routes,
    breakers: Breakers,
    hands: Hands,
    alarms: Alarms,
    hook: Option<HookRule>,
    messages: Arc<Messages>,
    /// The URL of the page that links in e-mails open; `None`: e-mails have no link.
    link_page: Option<String>,
    /// The time that a sender may take for one hand-over.
    send_deadline: Duration,
}

/// The parts of a courier, passed to [`Courier::new`] by name.
pub(super) struct CourierParts {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) policy: Arc<Policy>,
    pub(super) sides: Sides,
    pub(super) routes: Routes,
    pub(super) breakers: Breakers,
    pub(super) hands: Hands,
    pub(super) hook: Option<HookRule>,
    pub(super) messages: Arc<Messages>,
    pub(super) link_page: Option<String>,
    pub(super) send_deadline: Duration,
}

impl Courier {
    pub(super) fn new(parts: CourierParts) -> Self {
        let CourierParts {
            clock,
            entropy,
            keyring,
            policy,
            sides,
            routes,
            breakers,
            hands,
            hook,
            messages,
            link_page,
            send_deadline,
        } = parts;
        Self {
            clock,
            entropy,
            keyring,
            policy,
            sides,
            routes,
            breakers,
            hands,
            alarms: Alarms::default(),
            hook,
            messages,
            link_page,
            send_deadline,
        }
    }

    /// A lease with a fresh token, long enough for the hook, the sender and the margin.
    fn lease(&self) -> Lease {
        let until = self
            .clock
            .now()
            .plus(self.send_deadline + self.hook_time() + LEASE_MARGIN);
        Lease {
            token: fresh(&*self.entropy),
            until,
        }
    }

    /// The time by this process's clock alone: no store is asked.
    fn now(&self) -> Now {
        let now = self.clock.now();
        Now::new(now, now)
    }

    /// Sets the gauges of hands: the limit, and those in use.
    pub(super) fn measure(&self) {
        let (limit, in_use) = self.hands.in_use();
        metrics::gauge!("countersign_hands_limit").set(limit as f64);
        metrics::gauge!("countersign_hands_in_use").set(in_use as f64);
    }

    /// The degraded conditions of the senders, such as an open breaker.
    pub(super) fn complaints(&self) -> Vec<Complaint> {
        self.breakers.complaints()
    }

    /// An explanation of one or two sentences for the customer, in their language.
    pub(super) fn explain(&self, locale: Option<&Locale>, explanation: Explanation<'_>) -> String {
        self.messages.explain(locale, explanation)
    }

    /// Why no sender may ever reach this address by its settings; `None`: one may.
    pub(super) fn objection(
        &self,
        tenant: &TenantId,
        recipient: &Recipient,
    ) -> Option<&'static str> {
        self.routes.objection(tenant, recipient)
    }

    /// Whether a sender with this name is on any route.
    fn knows(&self, sender: &SenderName) -> bool {
        self.routes.names().any(|name| name == sender)
    }
}

//! The use cases: load, decide, commit once, answer after.

pub mod delivery;
pub mod failure;
pub mod limit;
pub mod policy;
pub mod record;
pub mod unreadable;
pub mod verification;

use std::{sync::Arc, time::Duration};

use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::{
    domain::{
        crypto::keyring::Keyring,
        decide::{Context, Decision},
        delivery::{breaker::BreakerRules, hands::FreeHands},
        ids::SubjectKey,
        record::subject::SubjectRecord,
        time::Now,
    },
    message::Messages,
    ports::{
        store::{Complaint, Store, StoreError},
        system::{Clock, Entropy},
    },
};

use delivery::{
    Courier, CourierParts, LEASE_MARGIN,
    breakers::{BreakerSettings, Breakers},
    crew::Crew,
    hands::Hands,
    hook::HookRule,
    routes::Routes,
};
use failure::Failure;
use limit::{Drains, LimitParts, Limits};
use policy::Policy;
use record::{
    RecordParts, Records,
    transact::{Change, Changed},
    usage::RecordCount,
};

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
    /// The rules of the actions and of all messages.
    pub policy: Policy,
    /// The senders of each channel.
    pub routes: Routes,
    /// When a failing sender is left out for a while.
    pub breaker: BreakerSettings,
    /// The texts of the messages.
    pub messages: Arc<Messages>,
    /// Hands messages over.
    pub hands: Hands,
    /// May stop a message just before it goes out.
    pub hook: Option<HookRule>,
    /// Where approvals go that are taken back from the counts of the pumping guard.
    pub drains: Drains,
    /// The time that all store work of one command may take.
    pub store_deadline: Duration,
    /// The time that a sender may take for one hand-over.
    pub send_deadline: Duration,
    /// The address of the page that links in mails open, without its secret; `None`: mails have no link.
    pub link_page: Option<String>,
}

/// The use cases of the service; one method each, in the file of its verb. They compose three parts, each of which owns
/// its state: the records, the limits, and the courier of messages.
pub struct Service {
    records: Records,
    limits: Limits,
    courier: Courier,
    policy: Arc<Policy>,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    tasks: TaskTracker,
}

impl Service {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let policy = Arc::new(parts.policy);
        let (keyring, clock, entropy) = (parts.keyring, parts.clock, parts.entropy);
        let records = Records::new(RecordParts {
            store: parts.store.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            keyring: keyring.clone(),
            policy: policy.clone(),
            deadline: parts.store_deadline,
        });
        let limits = Limits::new(LimitParts {
            store: parts.store,
            clock: clock.clone(),
            keyring: keyring.clone(),
            policy: policy.clone(),
            deadline: parts.store_deadline,
            drains: parts.drains,
        });
        let rules = breaker_rules(parts.breaker, parts.send_deadline);
        let breakers = Breakers::new(records.sides(), rules, &keyring, parts.routes.names());
        let courier = Courier::new(CourierParts {
            clock: clock.clone(),
            entropy: entropy.clone(),
            keyring: keyring.clone(),
            policy: policy.clone(),
            sides: records.sides(),
            routes: parts.routes,
            breakers,
            hands: parts.hands,
            hook: parts.hook,
            messages: parts.messages,
            link_page: parts.link_page,
            send_deadline: parts.send_deadline,
        });
        Self {
            records,
            limits,
            courier,
            policy,
            keyring,
            clock,
            entropy,
            tasks: TaskTracker::new(),
        }
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Whether the store serves.
    ///
    /// # Errors
    /// [`Failure`] says why not.
    pub async fn serves(&self) -> Result<(), Failure> {
        self.records.ready().await
    }

    /// Counts one page of records more by the key that seals them; returns whether there are more.
    ///
    /// # Errors
    /// [`StoreError`]; then the count begins again.
    pub async fn count_records(&self, count: &mut RecordCount) -> Result<bool, StoreError> {
        self.records.count_records(count).await
    }

    /// Degraded conditions: problems that do not stop the service.
    #[must_use]
    pub fn complaints(&self) -> Vec<Complaint> {
        let mut complaints = self.records.complaints();
        complaints.extend(self.courier.complaints());
        complaints.extend(self.clock.complaints());
        complaints
    }

    /// Carries a change out: decides, draws what the decision would send, commits.
    async fn change<T: Send>(
        &self,
        change: Change<'_>,
        decide: impl Fn(Option<SubjectRecord>, &Context<'_>) -> Decision<T> + Send + Sync,
    ) -> Result<(T, Now), Failure> {
        let key = change.key();
        let changed = self.records.transact(&self.limits, change, decide).await?;
        Ok(self.settle(key, changed))
    }

    /// The same for a change that may send: what it leased goes to its hands with the commit.
    async fn send<T: Send>(
        &self,
        change: Change<'_>,
        crew: Crew<'_>,
        decide: impl Fn(Option<SubjectRecord>, &dyn FreeHands, &Context<'_>) -> Decision<T>
        + Send
        + Sync,
    ) -> Result<(T, Now), Failure> {
        let key = change.key();
        let decide =
            |record: Option<SubjectRecord>, cx: &Context<'_>| decide(record, crew.anew(), cx);
        let changed = self.records.transact(&self.limits, change, decide).await?;
        crew.go();
        Ok(self.settle(key, changed))
    }

    /// After a commit: this process remembers when the record has something to send.
    fn settle<T>(&self, key: SubjectKey, changed: Changed<T>) -> (T, Now) {
        let Changed { reply, now, record } = changed;
        if let Some(record) = record {
            self.courier.look_after(key, &record, now);
        }
        (reply, now)
    }

    /// Does work apart from the call that wants it: whoever drops the call loses the answer and nothing else.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let done = self.tasks.spawn(work.in_current_span()).await;
        done.unwrap_or(Err(Failure::Internal))
    }

    /// The work that goes on apart from calls; a process ends when it is done.
    #[must_use]
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }
}

fn breaker_rules(settings: BreakerSettings, send_deadline: Duration) -> BreakerRules {
    let BreakerSettings {
        failures,
        open,
        open_max,
    } = settings;
    BreakerRules {
        failures,
        open,
        open_max,
        probe: send_deadline + LEASE_MARGIN,
    }
}

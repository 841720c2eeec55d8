//! The use cases: load, decide, commit once, answer after.

pub mod admin;
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
        ids::{ActionName, SubjectKey},
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
    hands::Hands,
    hook::HookRule,
    reserved::ReservedHands,
    routes::Routes,
};
use failure::{Failure, FieldViolation};
use limit::{LimitParts, Limits, ReturnSender};
use policy::Policy;
use record::{
    RecordParts, Records,
    transact::{Change, Changed},
    usage::RecordCount,
};

/// The parts from which a service is built.
pub struct Parts {
    /// The store of records, events and quotas.
    pub store: Arc<dyn Store>,
    /// The clock by which all decisions are made.
    pub clock: Arc<dyn Clock>,
    /// The source of nonces, ids and lease tokens.
    pub entropy: Arc<dyn Entropy>,
    /// The keys for seals, codes and key names.
    pub keyring: Arc<Keyring>,
    /// The rules of the actions and of all messages.
    pub policy: Policy,
    /// The senders of each channel.
    pub routes: Routes,
    /// When a failing sender is skipped, and for how long.
    pub breaker: BreakerSettings,
    /// The texts of the messages.
    pub messages: Arc<Messages>,
    /// The queues to the tasks that hand messages to senders.
    pub hands: Hands,
    /// Can stop a message just before it is sent; `None` if no hook is configured.
    pub hook: Option<HookRule>,
    /// The queue of approvals to be subtracted from the counts of the pumping guard.
    pub returns: ReturnSender,
    /// The time allowed for all store work of one command.
    pub store_deadline: Duration,
    /// The time allowed to a sender for one attempt.
    pub send_deadline: Duration,
    /// The address of the page that links in e-mails open, without the link's secret; `None`:
    /// e-mails contain no link.
    pub link_page: Option<String>,
}

/// The use cases of the service: one method each, in the file named by its verb. They use three parts, each of which
/// owns its state: the records, the limits, and the courier of messages.
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
    /// Builds a service; starts no task.
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
            returns: parts.returns,
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

    /// The binding values that a start of this action lacks.
    #[must_use]
    pub fn missing_binding(
        &self,
        action: &ActionName,
        is_given: impl Fn(&str) -> bool,
    ) -> Vec<FieldViolation> {
        self.policy.missing_binding(action, is_given)
    }

    /// The service's clock, for adapters that need the same time.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Checks whether the store can serve.
    ///
    /// # Errors
    /// [`Failure`] says why it cannot.
    pub async fn serves(&self) -> Result<(), Failure> {
        self.records.ready().await
    }

    /// Counts one more page of records by the key that seals them; returns whether there are more pages.
    ///
    /// # Errors
    /// [`StoreError`]; the count then starts again.
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

    /// Carries out a change: decides, draws from the quotas for the message that the decision sends, commits.
    async fn change<T: Send>(
        &self,
        change: Change<'_>,
        decide: impl Fn(Option<SubjectRecord>, &Context<'_>) -> Decision<T> + Send + Sync,
    ) -> Result<(T, Now), Failure> {
        let key = change.key();
        let changed = self.records.transact(&self.limits, change, decide).await?;
        Ok(self.after_commit(key, changed))
    }

    /// As [`Self::change`], for a change that may send: after the commit, leased messages go to their hands at once.
    async fn send<T: Send>(
        &self,
        change: Change<'_>,
        reserved: ReservedHands<'_>,
        decide: impl Fn(Option<SubjectRecord>, &dyn FreeHands, &Context<'_>) -> Decision<T>
        + Send
        + Sync,
    ) -> Result<(T, Now), Failure> {
        let key = change.key();
        let decide = |record: Option<SubjectRecord>, cx: &Context<'_>| {
            decide(record, reserved.restart(), cx)
        };
        let changed = self.records.transact(&self.limits, change, decide).await?;
        reserved.dispatch();
        Ok(self.after_commit(key, changed))
    }

    /// After a commit: schedules what the record has to send, and returns the reply.
    fn after_commit<T>(&self, key: SubjectKey, changed: Changed<T>) -> (T, Now) {
        let Changed { reply, now, record } = changed;
        if let Some(record) = record {
            self.courier.look_after(key, &record, now);
        }
        (reply, now)
    }

    /// Runs work in a task of its own, so that it completes even if the caller drops the call.
    async fn run_detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let done = self.tasks.spawn(work.in_current_span()).await;
        done.unwrap_or(Err(Failure::Internal))
    }

    /// The tasks that continue after their calls; a process waits for them before it ends.
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

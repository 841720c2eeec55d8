//! Counts failed guesses over all subjects: each process adds its failures to a side record of the caller and of the
//! tenant every few seconds, and slows the anonymous guesses of a caller down while that has an alarm.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    Records,
    side::{NextSide, Sides},
};
use crate::{
    domain::{
        audit::event::{Event, What},
        caller::Caller,
        crypto::keyring::Keyring,
        ids::{CallerName, SubjectKey, TenantId},
        limit::guesses::{Alarm, GuessRules, GuessTally, KEPT},
        record::{
            key::RecordKey,
            side::{Side, SideKind},
        },
        time::Timestamp,
    },
    service::{Service, failure::Failure, policy::Policy},
};

/// The longest time between two additions to the side records.
const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// With this many failures of one caller or tenant, this process adds them at once.
const FLUSH_AT: u32 = 25;

/// The failures of this process that are not in the side records yet, and what those said last.
pub(super) struct Guesses {
    sides: Sides,
    keyring: Arc<Keyring>,
    policy: Arc<Policy>,
    watched: Mutex<BTreeMap<Scope, Watched>>,
    /// Wakes the loop before its time.
    early: Notify,
}

/// Whose failures are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Scope {
    tenant: TenantId,
    /// The caller; `None`: all callers of the tenant.
    caller: Option<CallerName>,
}

/// What this process knows of one scope.
#[derive(Clone, Copy)]
struct Watched {
    /// Failures that are not in the side record yet.
    pending: u32,
    /// Whether a guess came since the last look at the side record.
    active: bool,
    /// The failures that were left in the hour before an alarm, by the last look.
    left: u32,
    /// When the alarm ends, by the last look.
    alarm_until: Timestamp,
}

/// An alarm that began with an addition of this process.
struct Begun {
    scope: Scope,
    alarm: Alarm,
    key: RecordKey,
}

impl Guesses {
    pub(super) fn new(sides: Sides, keyring: Arc<Keyring>, policy: Arc<Policy>) -> Self {
        Self {
            sides,
            keyring,
            policy,
            watched: Mutex::default(),
            early: Notify::new(),
        }
    }

    fn rules(&self) -> &GuessRules {
        &self.policy.guesses
    }

    fn watched(&self) -> MutexGuard<'_, BTreeMap<Scope, Watched>> {
        // A poisoned lock is harmless: nothing can panic in the middle of a change.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a wrong guess by this caller. It reaches the side records within [`FLUSH_EVERY`].
    fn count(&self, caller: &Caller) {
        for scope in [Scope::of(caller), Scope::of_tenant(caller)] {
            let mut all = self.watched();
            let watched = all
                .entry(scope)
                .or_insert_with(|| Watched::new(self.rules()));
            watched.pending = watched.pending.saturating_add(1);
            let is_urgent = watched.left > 0 && watched.pending >= watched.left;
            if is_urgent || watched.pending >= FLUSH_AT {
                self.early.notify_one();
            }
        }
    }

    /// Whether the anonymous guesses of this caller are slowed down, as far as this process knows.
    fn is_slow(&self, caller: &Caller, now: Timestamp) -> bool {
        let mut all = self.watched();
        let watched = all.entry(Scope::of(caller)).or_insert_with(|| {
            // Another process may have seen an alarm already.
            self.early.notify_one();
            Watched::new(self.rules())
        });
        watched.active = true;
        now < watched.alarm_until
    }

    /// Adds what this process counted to the side records, and reads those of callers that gave guesses; returns the
    /// alarms that began with it.
    async fn flush(&self) -> Vec<Begun> {
        let due: Vec<(Scope, u32)> = self
            .watched()
            .iter_mut()
            .filter(|(scope, watched)| {
                watched.pending > 0 || (watched.active && scope.caller.is_some())
            })
            .map(|(scope, watched)| {
                watched.active = false;
                (scope.clone(), std::mem::take(&mut watched.pending))
            })
            .collect();
        let mut begun = Vec::new();
        for (scope, failures) in due {
            let key = scope.key(&self.keyring);
            match self.add(&key, failures).await {
                Ok((tally, alarm, now)) => {
                    self.learn(&scope, &tally, now);
                    begun.extend(alarm.map(|alarm| Begun { scope, alarm, key }));
                }
                Err(error) => {
                    tracing::warn!(%error, failures, "failed guesses not counted; tried again");
                    if let Some(watched) = self.watched().get_mut(&scope) {
                        watched.pending = watched.pending.saturating_add(failures);
                        watched.active = true;
                    }
                }
            }
        }
        begun
    }

    /// Adds failures to a side record, or only reads it if there are none.
    async fn add(
        &self,
        key: &RecordKey,
        failures: u32,
    ) -> Result<(GuessTally, Option<Alarm>, Timestamp), Failure> {
        self.sides
            .change(key, |side, now| {
                let at = now.stamp();
                let mut tally = match side {
                    Some(Side::Tally(tally)) => tally,
                    Some(Side::Breaker(_) | Side::Delivery { .. }) | None => GuessTally::default(),
                };
                if failures == 0 {
                    return (NextSide::Same, (tally, None, at));
                }
                let alarm = tally.add(failures, at, self.rules());
                let next = NextSide::Put(Side::Tally(tally.clone()), at.plus(KEPT));
                (next, (tally, alarm, at))
            })
            .await
    }

    fn learn(&self, scope: &Scope, tally: &GuessTally, now: Timestamp) {
        let mut all = self.watched();
        if let Some(watched) = all.get_mut(scope) {
            watched.left = tally.left(now, self.rules());
            watched.alarm_until = tally.alarm_until;
        }
        let alarms = all
            .iter()
            .filter(|(scope, watched)| scope.caller.is_some() && now < watched.alarm_until);
        metrics::gauge!("countersign_guess_alarms").set(alarms.count() as f64);
    }
}

impl Watched {
    const fn new(rules: &GuessRules) -> Self {
        Self {
            pending: 0,
            active: true,
            left: rules.alarm_failures,
            alarm_until: Timestamp::from_micros(0),
        }
    }
}

impl Scope {
    fn of(caller: &Caller) -> Self {
        Self {
            tenant: caller.tenant.clone(),
            caller: Some(caller.name.clone()),
        }
    }

    fn of_tenant(caller: &Caller) -> Self {
        Self {
            tenant: caller.tenant.clone(),
            caller: None,
        }
    }

    fn key(&self, keyring: &Keyring) -> RecordKey {
        let mut fields = vec![self.tenant.as_str().as_bytes()];
        fields.extend(self.caller.as_ref().map(|name| name.as_str().as_bytes()));
        RecordKey::side(keyring, SideKind::Tally, &fields)
    }
}

impl Records {
    /// Counts a wrong guess by this caller, over all subjects.
    pub(in crate::service) fn count_failure(&self, caller: &Caller) {
        self.guesses.count(caller);
    }

    /// The time between two anonymous guesses of this caller; `None` if they are not slowed down.
    pub(in crate::service) fn slow_down(&self, caller: &Caller) -> Option<Duration> {
        let is_slow = self.guesses.is_slow(caller, self.clock.now());
        self.policy.guesses.slow_down.filter(|_| is_slow)
    }
}

impl Service {
    /// Waits until it is time for [`Self::flush_guesses`].
    pub async fn guesses_due(&self) {
        tokio::select! {
            () = tokio::time::sleep(FLUSH_EVERY) => {}
            () = self.records.guesses.early.notified() => {}
        }
    }

    /// Adds the failed guesses that this process counted to those of the fleet, and tells of alarms.
    pub async fn flush_guesses(&self) {
        for Begun { scope, alarm, key } in self.records.guesses.flush().await {
            let Alarm { failures, mean } = alarm;
            let of_caller = scope.caller.is_some();
            let word = if of_caller { "caller" } else { "tenant" };
            metrics::counter!("countersign_guess_alarms_total", "scope" => word).increment(1);
            tracing::warn!(
                tenant = scope.tenant.as_str(),
                caller = scope.caller.as_ref().map(CallerName::as_str),
                failures,
                mean,
                "unusually many guesses fail, over all subjects"
            );
            let event = Event {
                at: self.clock.now(),
                tenant: scope.tenant,
                caller: scope.caller,
                agent: None,
                contact: None,
                verification: None,
                action: None,
                what: What::ManyFailures {
                    of_caller,
                    failures,
                    mean,
                },
            };
            // No subject has this key: the event is about many.
            let key = SubjectKey(key.hash);
            self.records.append_or_lose(&key, None, &event).await;
        }
    }
}

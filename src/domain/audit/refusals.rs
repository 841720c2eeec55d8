//! Coalesces repeated refusals: the first is an event at once, the others are one event a minute with their count.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::event::{Event, RefusedCall, What};
use crate::domain::{
    ids::{CallerName, Reference, SubjectKey, TenantId, VerificationId},
    time::Timestamp,
};

/// The shortest time between two events about the same refusals. A crash loses at most the counts of this time.
pub const REFUSALS_EVERY: Duration = Duration::from_secs(60);

/// The largest number of subjects of refusals that are told apart. Beyond it, refusals are counted by caller.
const SUBJECTS_MAX: usize = 10_000;
/// The largest number of them for one caller, so that who floods one caller with refusals neither fills the trail nor
/// blurs the refusals of others.
const SUBJECTS_OF_CALLER_MAX: usize = 1_000;

/// The same for refusals at verifications whose record was not loaded, because anybody can make up ids.
const UNSEEN_OF_CALLER_MAX: usize = 100;

/// What refusals are about: those about the same are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum About {
    /// One verification, called by this caller.
    Verification(VerificationId, CallerName),
    /// One subject, called by this caller for this agent: starts, before there is a verification.
    Subject(SubjectKey, CallerName, Option<Reference>),
    /// Verifications that do not exist, called by this caller of this tenant: nobody knows how many ids there are.
    Unknown(TenantId, CallerName),
}

impl About {
    fn caller(&self) -> &CallerName {
        match self {
            Self::Verification(_, caller)
            | Self::Subject(_, caller, _)
            | Self::Unknown(_, caller) => caller,
        }
    }
}

/// A refusal as its event tells it, and what is needed to write the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalEvent {
    /// The record that the event belongs to; `None` if it is about many.
    pub key: Option<SubjectKey>,
    /// The salt of that record; `None` without a record.
    pub salt: Option<[u8; 16]>,
    /// The event of this one refusal.
    pub event: Event,
}

/// Refusals that were counted and not yet written.
#[derive(Debug)]
struct Held {
    /// When the last event about them was written.
    told_at: Timestamp,
    counts: BTreeMap<RefusedCall, u64>,
    latest: RefusalEvent,
}

impl Held {
    /// The event for what was counted; `None` if nothing was.
    fn take(&mut self, about: &About, now: Timestamp) -> Option<RefusalEvent> {
        let counts = std::mem::take(&mut self.counts);
        if counts.is_empty() {
            return None;
        }
        self.told_at = now;
        let mut refused = self.latest.clone();
        refused.event.what = What::RefusedAgain { counts };
        if matches!(about, About::Unknown(..)) {
            // It is about many ids, and so about no one subject.
            refused.event.verification = None;
            refused.event.contact = None;
            refused.event.agent = None;
            (refused.key, refused.salt) = (None, None);
        }
        Some(refused)
    }
}

/// The refusals of one process that are waiting for their event.
#[derive(Debug, Default)]
pub struct RefusalCounter {
    held: HashMap<About, Held>,
    /// How many of them each caller has.
    of_callers: HashMap<CallerName, usize>,
}

impl RefusalCounter {
    /// Takes a refusal; returns it if its event must be written now, and counts it otherwise.
    #[must_use]
    pub fn take(
        &mut self,
        about: About,
        call: RefusedCall,
        refused: RefusalEvent,
    ) -> Option<RefusalEvent> {
        let at = refused.event.at;
        let about = self.within_bound(about, &refused);
        let of_callers = &mut self.of_callers;
        let held = self.held.entry(about).or_insert_with_key(|about| {
            *of_callers.entry(about.caller().clone()).or_default() += 1;
            Held {
                told_at: Timestamp::default(),
                counts: BTreeMap::new(),
                latest: refused.clone(),
            }
        });
        held.latest = refused.clone();
        if held.counts.is_empty() && at.since(held.told_at) >= REFUSALS_EVERY {
            held.told_at = at;
            return Some(refused);
        }
        *held.counts.entry(call).or_default() += 1;
        None
    }

    /// The events that are due; forgets what was not refused again.
    #[must_use]
    pub fn due(&mut self, now: Timestamp) -> Vec<RefusalEvent> {
        let mut due = Vec::new();
        self.held.retain(|about, held| {
            if now.since(held.told_at) < REFUSALS_EVERY {
                return true;
            }
            let event = held.take(about, now);
            let is_needed = event.is_some();
            due.extend(event);
            if !is_needed && let Some(own) = self.of_callers.get_mut(about.caller()) {
                *own = own.saturating_sub(1);
            }
            is_needed
        });
        self.of_callers.retain(|_, own| *own > 0);
        due
    }

    /// The events for everything that was counted, due or not: the process ends.
    #[must_use]
    pub fn all(&mut self, now: Timestamp) -> Vec<RefusalEvent> {
        self.of_callers.clear();
        self.held
            .drain()
            .filter_map(|(about, mut held)| held.take(&about, now))
            .collect()
    }

    /// Counts by caller what would exceed the bound.
    fn within_bound(&self, about: About, refused: &RefusalEvent) -> About {
        let own = self.of_callers.get(about.caller()).copied().unwrap_or(0);
        let most = match about {
            About::Verification(..) if refused.salt.is_none() => UNSEEN_OF_CALLER_MAX,
            About::Verification(..) | About::Subject(..) | About::Unknown(..) => {
                SUBJECTS_OF_CALLER_MAX
            }
        };
        let has_room = self.held.len() < SUBJECTS_MAX && own < most;
        if has_room || self.held.contains_key(&about) {
            return about;
        }
        About::Unknown(refused.event.tenant.clone(), about.caller().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decide::refused;

    const CLOSED: RefusedCall = RefusedCall {
        call: "check",
        reason: "CLOSED",
        quota: None,
    };
    const TOO_OFTEN: RefusedCall = RefusedCall {
        reason: "CLOSED_TOO_OFTEN",
        ..CLOSED
    };

    fn id(n: u16) -> VerificationId {
        let mut random = [0; 16];
        random[..2].copy_from_slice(&n.to_be_bytes());
        VerificationId {
            subject: SubjectKey([7; 16]),
            random,
        }
    }

    fn caller() -> CallerName {
        named("portal")
    }

    fn named(name: &str) -> CallerName {
        CallerName::parse(name).unwrap()
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000 + seconds * 1_000_000)
    }

    fn refusal(n: u16, call: RefusedCall, seconds: u64) -> RefusalEvent {
        let tenant = TenantId::parse("bank").unwrap();
        let what = What::Refused(call);
        RefusalEvent {
            key: Some(id(n).subject),
            salt: Some([1; 16]),
            event: refused(&tenant, &caller(), Some(id(n)), what, at(seconds)),
        }
    }

    /// Whether the event of this refusal is written at once.
    fn take(refusals: &mut RefusalCounter, n: u16, call: RefusedCall, seconds: u64) -> bool {
        let about = About::Verification(id(n), caller());
        let refusal = refusal(n, call, seconds);
        let told = refusals.take(about, call, refusal.clone());
        assert!(told.is_none() || told == Some(refusal));
        told.is_some()
    }

    fn counts(told: Vec<RefusalEvent>) -> Vec<(Timestamp, Vec<(RefusedCall, u64)>)> {
        let counts = |refused: RefusalEvent| match refused.event.what {
            What::RefusedAgain { counts } => (refused.event.at, counts.into_iter().collect()),
            other => panic!("{other:?}"),
        };
        told.into_iter().map(counts).collect()
    }

    #[test]
    fn guess_20_the_first_refusal_is_told_at_once_and_the_others_once_a_minute() {
        let mut refusals = RefusalCounter::default();
        assert!(take(&mut refusals, 1, CLOSED, 0));
        for _ in 0..19 {
            assert!(!take(&mut refusals, 1, CLOSED, 1));
        }
        for _ in 0..20_000 {
            assert!(!take(&mut refusals, 1, TOO_OFTEN, 2));
        }
        assert!(
            take(&mut refusals, 2, CLOSED, 3),
            "another one is another event"
        );
        assert_eq!(refusals.due(at(59)), []);
        let told = counts(refusals.due(at(60)));
        assert_eq!(told, [(at(2), vec![(CLOSED, 19), (TOO_OFTEN, 20_000)])]);
        assert!(!take(&mut refusals, 1, CLOSED, 61));
        assert_eq!(refusals.due(at(119)), [], "the next one a minute later");
        assert_eq!(counts(refusals.due(at(120))), [(at(61), vec![(CLOSED, 1)])]);
        assert_eq!(refusals.due(at(180)), []);
        assert!(take(&mut refusals, 1, CLOSED, 181), "after a quiet minute");
    }

    #[test]
    fn log_01_what_was_counted_is_told_at_the_end() {
        let mut refusals = RefusalCounter::default();
        assert!(take(&mut refusals, 1, CLOSED, 0));
        assert!(!take(&mut refusals, 1, CLOSED, 0));
        assert!(take(&mut refusals, 2, CLOSED, 0));
        assert_eq!(counts(refusals.all(at(1))), [(at(0), vec![(CLOSED, 1)])]);
        assert_eq!(refusals.all(at(1)), []);
    }

    #[test]
    fn guess_20_refusals_about_very_many_verifications_are_counted_by_caller() {
        let mut refusals = RefusalCounter::default();
        let bound = u16::try_from(SUBJECTS_OF_CALLER_MAX).unwrap();
        let told = (0..bound + 100).filter(|n| take(&mut refusals, *n, CLOSED, 0));
        assert_eq!(told.count(), SUBJECTS_OF_CALLER_MAX + 1);
        assert_eq!(
            refusals.held.len(),
            SUBJECTS_OF_CALLER_MAX + 1,
            "what is held is bounded"
        );
        let due = refusals.due(at(60));
        assert!(
            due.iter().all(|refused| refused.key.is_none()),
            "it is about no one subject"
        );
        assert_eq!(counts(due), [(at(0), vec![(CLOSED, 99)])]);
        assert_eq!(refusals.due(at(120)), []);
        assert!(
            refusals.held.is_empty() && refusals.of_callers.is_empty(),
            "and forgotten after a quiet minute"
        );
    }

    #[test]
    fn log_06_made_up_ids_are_counted_by_caller_much_sooner() {
        let mut refusals = RefusalCounter::default();
        let told = (0..1000).filter(|n| {
            let unseen = RefusalEvent {
                salt: None,
                ..refusal(*n, CLOSED, 0)
            };
            let about = About::Verification(id(*n), caller());
            refusals.take(about, CLOSED, unseen).is_some()
        });
        assert_eq!(told.count(), UNSEEN_OF_CALLER_MAX + 1);
        assert!(
            take(&mut refusals, 1000, CLOSED, 1),
            "those that exist have room"
        );
    }

    #[test]
    fn log_06_a_flood_of_refusals_of_one_caller_leaves_those_of_others_apart() {
        let mut refusals = RefusalCounter::default();
        let bound = u16::try_from(SUBJECTS_MAX).unwrap();
        let told = (0..bound + 100).filter(|n| take(&mut refusals, *n, CLOSED, 0));
        assert_eq!(told.count(), SUBJECTS_OF_CALLER_MAX + 1);
        let about = About::Verification(id(7), named("desk"));
        let of_another = refusal(7, CLOSED, 1);
        assert_eq!(
            refusals.take(about, CLOSED, of_another.clone()),
            Some(of_another),
            "another caller's is an event of its own"
        );
    }
}

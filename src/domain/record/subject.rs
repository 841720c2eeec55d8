//! The subject record: the aggregate of all that must change together.

use crate::domain::{
    audit::event::{Event, What},
    crypto::keyring::Mark,
    ids::VerificationId,
    limit::failures::Failures,
    recipient::known::Reached,
    time::{Generation, Now, Timestamp},
    verification::{
        CancelCause, Outcome, Phase, Verification,
        rules::{CLOSED_ANONYMOUS_MAX, CLOSED_MARGIN, CLOSED_MAX, Origin, SubjectRules},
    },
};

/// All that is remembered of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectRecord {
    /// Counts the commits; only associated data of the seal, never compared.
    pub version: u64,
    /// The generation of the last commit.
    pub generation: Generation,
    /// Random; without it the subject's events cannot be read.
    pub event_salt: [u8; 16],
    /// When the last event was written.
    pub last_event_at: Timestamp,
    /// Failures of the message channels.
    pub failures: Failures,
    /// The recipients of the last day.
    pub reached: Reached,
    /// Live and recently closed verifications, oldest first.
    pub verifications: Vec<Verification>,
}

impl SubjectRecord {
    /// A record of which nothing is known.
    #[must_use]
    pub fn new(event_salt: [u8; 16], generation: Generation) -> Self {
        Self {
            version: 0,
            generation,
            event_salt,
            last_event_at: Timestamp::default(),
            failures: Failures::default(),
            reached: Reached::default(),
            verifications: Vec::new(),
        }
    }

    /// The subject may have had failures of which nothing is known: half of the limit is taken as spent.
    #[must_use]
    pub fn half_spent(self, rules: &SubjectRules) -> Self {
        Self {
            failures: Failures::half_spent(rules.failure_limit),
            ..self
        }
    }

    /// The record as its next commit writes it: one version on, and with the moment of its last event.
    #[must_use]
    pub fn stamped(self, events: &[Event], at: Timestamp) -> Self {
        let last_event_at = if events.is_empty() {
            self.last_event_at
        } else {
            at
        };
        Self {
            version: self.version + 1,
            last_event_at,
            ..self
        }
    }

    /// Finds a verification.
    #[must_use]
    pub fn find(&self, id: &VerificationId) -> Option<&Verification> {
        self.verifications
            .iter()
            .find(|verification| verification.id == *id)
    }

    /// Finds the verification that a request with this mark made or changed.
    #[must_use]
    pub fn find_request(&self, mark: &Mark) -> Option<(&Verification, &Mark)> {
        self.verifications.iter().find_map(|verification| {
            let request = verification
                .requests
                .iter()
                .find(|request| request.id == *mark)?;
            Some((verification, &request.body))
        })
    }

    /// Lets one verification take a step; the others stay.
    #[must_use]
    pub fn step(
        mut self,
        id: &VerificationId,
        step: impl FnOnce(Verification) -> Verification,
    ) -> Self {
        if let Some(at) = self
            .verifications
            .iter()
            .position(|verification| verification.id == *id)
        {
            let verification = self.verifications.remove(at);
            self.verifications.insert(at, step(verification));
        }
        self
    }

    /// Closes a pending verification and says so in an event; exactly one of these events ends each start.
    #[must_use]
    pub fn close(
        self,
        id: &VerificationId,
        outcome: Outcome,
        at: Timestamp,
        events: &mut Vec<Event>,
    ) -> Self {
        self.step(id, |verification| match verification.phase {
            Phase::Closed { .. } => verification,
            Phase::Pending(_) => {
                events.push(Event::of(&verification, at, What::Closed { outcome }));
                // Readers said since the expiry that it ended then.
                let ended_at = if outcome == Outcome::Expired {
                    verification.expires_at
                } else {
                    at
                };
                verification.close(outcome, ended_at)
            }
        })
    }

    /// Closes every pending verification for which `outcome` has an answer.
    #[must_use]
    pub fn close_where(
        mut self,
        at: Timestamp,
        events: &mut Vec<Event>,
        outcome: impl Fn(&Verification) -> Option<Outcome>,
    ) -> Self {
        let ends: Vec<_> = self
            .pending()
            .filter_map(|v| Some((v.id, outcome(v)?)))
            .collect();
        for (id, outcome) in ends {
            self = self.close(&id, outcome, at, events);
        }
        self
    }

    /// Meets the store as it is now: a verification that another generation made is over, and the counts
    /// are charged for what may have been lost.
    #[must_use]
    pub fn adopt(
        mut self,
        generation: Generation,
        rules: &SubjectRules,
        now: Now,
        events: &mut Vec<Event>,
    ) -> Self {
        if self.generation == generation {
            return self;
        }
        self.failures.penalise(rules.failure_limit);
        self.generation = generation;
        // What readers saw expire stays expired.
        let outcome = |v: &Verification| {
            if now.is_past(v.expires_at) {
                Outcome::Expired
            } else {
                Outcome::Canceled(CancelCause::Generation)
            }
        };
        self.close_where(now.stamp(), events, |v| Some(outcome(v)))
    }

    /// The pending verifications.
    pub fn pending(&self) -> impl Iterator<Item = &Verification> {
        self.verifications
            .iter()
            .filter(|verification| matches!(verification.phase, Phase::Pending(_)))
    }

    /// The pending verifications of an origin that are in time.
    pub fn live(&self, origin: Origin, now: Now) -> impl Iterator<Item = &Verification> {
        self.verifications.iter().filter(move |verification| {
            verification.origin == origin && verification.live(now).is_some()
        })
    }

    /// Forgets closed verifications and recipients whose time has come.
    #[must_use]
    pub fn forget(mut self, now: Now, rules: &SubjectRules) -> Self {
        self.verifications
            .retain(|v| v.forget_at(rules).is_none_or(|at| !now.has_reached(at)));
        self.reached.forget(now);
        self
    }

    /// Makes room for one more verification of an origin, by forgetting the oldest closed one early.
    /// What anybody could start fills only its own part of the places.
    ///
    /// # Errors
    /// When there will be room: the closed ones are all too young, and a spent code must answer `CLOSED`.
    pub fn make_room(mut self, origin: Origin, now: Now) -> Result<Self, Timestamp> {
        let anonymous = self
            .verifications
            .iter()
            .filter(|v| v.origin == Origin::Anonymous)
            .count();
        let own_part_full = origin == Origin::Anonymous && anonymous >= CLOSED_ANONYMOUS_MAX;
        if self.verifications.len() < CLOSED_MAX && !own_part_full {
            return Ok(self);
        }
        let free_at = |v: &Verification| match v.phase {
            Phase::Closed { .. } if own_part_full && v.origin != origin => None,
            Phase::Closed { .. } => Some(v.expires_at.plus(CLOSED_MARGIN)),
            Phase::Pending(_) => None,
        };
        let oldest = self
            .verifications
            .iter()
            .enumerate()
            .filter_map(|(at, v)| Some((free_at(v)?, at)))
            .min();
        match oldest {
            Some((free, at)) if now.has_reached(free) => {
                self.verifications.remove(at);
                Ok(self)
            }
            Some((free, _)) => Err(free),
            None => Err(now.stamp().plus(CLOSED_MARGIN)),
        }
    }

    /// Forgets what a bare count does not need. The moment of the last event is never empty before, so the record
    /// changes, and the commit of the change takes it off the due index.
    #[must_use]
    pub fn settle(mut self, now: Now) -> Self {
        self.last_event_at = Timestamp::default();
        for origin in [Origin::Anonymous, Origin::Vouched] {
            let tally = self.failures.of_mut(origin);
            for moment in [&mut tally.rate, &mut tally.next_attempt_at] {
                if now.has_reached(*moment) {
                    *moment = Timestamp::default();
                }
            }
        }
        self
    }

    /// May the record go? Nothing live or remembered, no count, and its events have had their time.
    #[must_use]
    pub fn is_spent(&self, now: Now, rules: &SubjectRules) -> bool {
        let end = self.last_event_at.plus(rules.event_retention);
        self.verifications.is_empty()
            && self
                .failures
                .clear_at()
                .is_some_and(|clear| now.has_reached(clear.max(end)))
    }

    /// Until when it must be kept; `None` while there is a count, which nothing may end but a success. A margin
    /// beyond its last rule, so that a store that drops it ends none.
    #[must_use]
    pub fn keep_until(&self, rules: &SubjectRules) -> Option<Timestamp> {
        let clear = self.failures.clear_at()?;
        let events = self.last_event_at.plus(rules.event_retention);
        let verifications = self
            .verifications
            .iter()
            .map(|v| v.expires_at.plus(CLOSED_MARGIN + rules.closed_retention))
            .max();
        Some(
            clear
                .max(events)
                .max(verifications.unwrap_or_default())
                .plus(CLOSED_MARGIN),
        )
    }

    /// When it next wants attention; `None` if a bare count is all that is left.
    #[must_use]
    pub fn wake_at(&self, now: Now, rules: &SubjectRules) -> Option<Timestamp> {
        let next = self
            .verifications
            .iter()
            .map(|verification| verification.wake_at(now, rules))
            .min();
        next.or_else(|| {
            let end = self.last_event_at.plus(rules.event_retention);
            match self.failures.clear_at() {
                Some(clear) => Some(clear.max(end)),
                None => (!now.has_reached(end)).then_some(end),
            }
        })
    }
}

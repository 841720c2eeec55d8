//! The subject record: everything of one subject that must change together.

use crate::domain::{
    audit::event::{Event, What},
    crypto::keyring::Mark,
    ids::VerificationId,
    limit::failures::Failures,
    recipient::known::Reached,
    refusal::Refusal,
    time::{Generation, Now, Timestamp},
    verification::{
        CancelCause, Outcome, Phase, Verification,
        rules::{CLOSED_MARGIN, Origin, REMEMBERED_ANONYMOUS_MAX, REMEMBERED_MAX, SubjectRules},
    },
};

/// Everything remembered about one subject. All of it changes by one compare-and-swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectRecord {
    /// The number of commits. Only associated data of the seal; commits compare the nonce instead.
    pub version: u64,
    /// The generation of the store at the last commit.
    pub generation: Generation,
    /// Random salt in the keys of the subject's events; without it the events cannot be opened.
    pub event_salt: [u8; 16],
    /// When the last event was written; zero if that no longer matters.
    pub last_event_at: Timestamp,
    /// Failed guesses at codes, counted over all channels.
    pub failures: Failures,
    /// The recipients that were first used in the last day.
    pub reached: Reached,
    /// Live and recently closed verifications, oldest first.
    pub verifications: Vec<Verification>,
}

impl SubjectRecord {
    /// An empty record, for a subject about which nothing is known.
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

    /// Counts half of the failure limit as used: for a subject whose earlier failures may have been lost.
    #[must_use]
    pub fn half_spent(self, rules: &SubjectRules) -> Self {
        Self {
            failures: Failures::half_spent(rules.failure_limit),
            ..self
        }
    }

    /// The record as its next commit writes it: with the next version and the time of its last event.
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

    /// The verification with this id; `None` if it never existed or is forgotten.
    #[must_use]
    pub fn find(&self, id: &VerificationId) -> Option<&Verification> {
        self.verifications
            .iter()
            .find(|verification| verification.id == *id)
    }

    /// The verification that a request with this id mark started or changed, and the mark of that request's body.
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

    /// Applies a transition to one verification; the others do not change.
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

    /// Closes a pending verification and adds its closing event; there is exactly one such event per start.
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
                // Since the expiry, readers have reported that it ended at that time.
                let ended_at = if outcome == Outcome::Expired {
                    verification.expires_at
                } else {
                    at
                };
                verification.close(outcome, ended_at)
            }
        })
    }

    /// Closes every pending verification for which `outcome` returns an outcome.
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

    /// Adapts the record to the store's current generation: ends the verifications of another generation, and charges
    /// the failure counts for what may have been lost.
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
        // What has expired for readers must stay expired.
        let outcome = |v: &Verification| {
            if now.is_past(v.expires_at) {
                Outcome::Expired
            } else {
                Outcome::Canceled(CancelCause::Generation)
            }
        };
        self.close_where(now.stamp(), events, |v| Some(outcome(v)))
    }

    /// The verifications that are not closed; some may have expired without a commit that says so.
    pub fn pending(&self) -> impl Iterator<Item = &Verification> {
        self.verifications
            .iter()
            .filter(|verification| matches!(verification.phase, Phase::Pending(_)))
    }

    /// The pending verifications of an origin that have not expired.
    pub fn live(&self, origin: Origin, now: Now) -> impl Iterator<Item = &Verification> {
        self.verifications.iter().filter(move |verification| {
            verification.origin == origin && verification.live(now).is_some()
        })
    }

    /// Removes closed verifications and recipients that need not be remembered any longer.
    #[must_use]
    pub fn forget(mut self, now: Now, rules: &SubjectRules) -> Self {
        self.verifications
            .retain(|v| v.forget_at(rules).is_none_or(|at| !now.has_reached(at)));
        self.reached.forget(now);
        self
    }

    /// Makes room for one more verification of an origin, by removing the oldest closed one early. Verifications that
    /// anybody could start use only their own part of the places.
    ///
    /// # Errors
    /// When there will be room. Until then all closed ones are too young to be removed, because a guess at them must
    /// still be answered with `CLOSED`.
    pub fn make_room(mut self, origin: Origin, now: Now) -> Result<Self, Timestamp> {
        let anonymous = self
            .verifications
            .iter()
            .filter(|v| v.origin == Origin::Anonymous)
            .count();
        let own_part_full = origin == Origin::Anonymous && anonymous >= REMEMBERED_ANONYMOUS_MAX;
        if self.verifications.len() < REMEMBERED_MAX && !own_part_full {
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

    /// Reduces the record to its failure counts and what they need. Clearing the time of the last event always
    /// changes the record, so a commit follows, which removes it from the due index.
    #[must_use]
    pub fn keep_only_counts(mut self, now: Now) -> Self {
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

    /// Refuses what needs a code once the failure limit of this origin is reached.
    ///
    /// # Errors
    /// [`Refusal::MethodDisabled`] with the limit of the settings.
    pub fn check_enabled(&self, origin: Origin, rules: &SubjectRules) -> Result<(), Refusal> {
        let limit = rules.failure_limit;
        if self.failures.disabled(origin, limit) {
            Err(Refusal::MethodDisabled { limit })
        } else {
            Ok(())
        }
    }

    /// Whether the record can be deleted: it has no verification and no failure, and the retention time of
    /// its events is over.
    #[must_use]
    pub fn is_spent(&self, now: Now, rules: &SubjectRules) -> bool {
        let end = self.last_event_at.plus(rules.event_retention);
        self.verifications.is_empty()
            && self
                .failures
                .clear_at()
                .is_some_and(|clear| now.has_reached(clear.max(end)))
    }

    /// Until when the store must keep the record; `None` while it has a failure count, which only a success may end.
    /// Includes a margin, so that no rule depends on the time at which a store drops it.
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

    /// When the record is next due; `None` if only a failure count is left.
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

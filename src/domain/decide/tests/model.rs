//! What must be true of every verification at all times: a model of the record that is compared
//! with it.

use std::collections::HashMap;

use super::world::World;
use crate::domain::{
    decide::Verdict,
    delivery::{Delivery, DeliveryStatus},
    ids::{DeliveryId, VerificationId},
    record::subject::SubjectRecord,
    time::{Generation, Timestamp},
    verification::{
        Outcome, Pending, Phase, Status, Verification,
        rules::{
            ATTEMPTS_MAX, FAILURES_CAP, LIVE_ANONYMOUS_MAX, LIVE_VOUCHED_MAX, Origin,
            REMEMBERED_MAX, SENDS_MAX,
        },
    },
};

/// What the model remembers of one start.
pub(super) struct Seen {
    deliveries: HashMap<DeliveryId, Delivery>,
    pub(super) code: String,
    pub(super) origin: Origin,
    pub(super) generation: Generation,
    expires_at: Timestamp,
    pending: Pending,
    ended: Option<Outcome>,
    verdicts: u8,
    approvals: u8,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) starts: Vec<VerificationId>,
    pub(super) seen: HashMap<VerificationId, Seen>,
    /// Wrong guesses of each origin since its last approval.
    misses: HashMap<Origin, u32>,
    events_read: usize,
    closed: HashMap<VerificationId, Outcome>,
}

impl Model {
    pub(super) fn started(&mut self, world: &World, id: VerificationId) {
        let verification = world.find(id);
        let Phase::Pending(pending) = &verification.phase else {
            panic!("a start is pending")
        };
        let seen = Seen {
            deliveries: HashMap::new(),
            code: world.code(id),
            origin: verification.origin,
            generation: verification.generation,
            expires_at: verification.expires_at,
            pending: (**pending).clone(),
            ended: None,
            verdicts: 0,
            approvals: 0,
        };
        self.starts.push(id);
        assert!(self.seen.insert(id, seen).is_none(), "an id comes once");
    }

    /// Remembers the verdict on a guess that was not a repeat.
    pub(super) fn judged(
        &mut self,
        world: &World,
        id: VerificationId,
        text: &str,
        verdict: Verdict,
    ) {
        let seen = self.seen.get_mut(&id).expect("it was started");
        let live = seen.ended.is_none()
            && world.at < seen.expires_at
            && world.generation == seen.generation;
        let misses = self.misses.entry(seen.origin).or_default();
        match verdict {
            Verdict::Approved => {
                assert!(live, "approved after the end");
                assert_eq!(text, seen.code, "approved by another code");
                seen.approvals += 1;
                seen.verdicts += 1;
                *misses = 0;
            }
            Verdict::Wrong { .. } | Verdict::AttemptsExhausted => {
                assert!(live, "judged after the end");
                assert_ne!(text, seen.code, "the right code is not wrong");
                seen.verdicts += 1;
                *misses += 1;
                assert_eq!(
                    verdict == Verdict::AttemptsExhausted,
                    seen.verdicts == ATTEMPTS_MAX
                );
            }
            Verdict::Expired | Verdict::Closed => assert!(!live, "refused while it is live"),
        }
        assert!(seen.verdicts <= ATTEMPTS_MAX && seen.approvals <= 1);
        assert!(
            *misses <= world.rules.failure_limit,
            "more verdicts than the budget"
        );
        let outweighs = verdict == Verdict::Approved && seen.origin == Origin::Vouched;
        let record = world.record.as_ref();
        if outweighs && record.is_some_and(|r| r.failures.anonymous.since_success == 0) {
            self.misses.insert(Origin::Anonymous, 0);
        }
    }

    /// Compares the record with everything that was remembered.
    pub(super) fn inspect(&mut self, world: &World) {
        self.read_events(world);
        if let Some(record) = &world.record {
            bounds(world, record);
            record
                .verifications
                .iter()
                .for_each(|verification| self.compare(world, verification));
        }
        for id in &self.starts {
            let gone = world
                .record
                .as_ref()
                .is_none_or(|record| record.find(id).is_none());
            assert!(
                !gone || self.closed.contains_key(id),
                "forgotten without an end"
            );
        }
    }

    fn read_events(&mut self, world: &World) {
        for event in &world.events[self.events_read..] {
            if let (crate::domain::audit::event::What::Closed { outcome }, Some(id)) =
                (&event.what, event.verification)
            {
                assert_eq!(self.closed.insert(id, *outcome), None, "two ends");
            }
        }
        self.events_read = world.events.len();
    }

    fn compare(&mut self, world: &World, verification: &Verification) {
        let seen = self.seen.get_mut(&verification.id).expect("it was started");
        assert_eq!(verification.expires_at, seen.expires_at);
        assert_eq!(verification.generation, seen.generation);
        assert_eq!(
            verification.answers.len(),
            usize::from(seen.verdicts),
            "an attempt for each verdict, and no other"
        );
        match &verification.phase {
            Phase::Pending(pending) => {
                assert_eq!(
                    self.closed.get(&verification.id),
                    None,
                    "ended by its event and pending"
                );
                // Everything that the code is derived from.
                let same = (
                    &pending.subject,
                    &pending.nonce,
                    &pending.binding,
                    &pending.limits,
                ) == (
                    &seen.pending.subject,
                    &seen.pending.nonce,
                    &seen.pending.binding,
                    &seen.pending.limits,
                );
                assert!(same, "another code");
            }
            Phase::Closed { outcome, .. } => {
                assert_eq!(
                    self.closed.get(&verification.id),
                    Some(outcome),
                    "closed without its event"
                );
                assert_eq!(*outcome == Outcome::Approved, seen.approvals == 1);
            }
        }
        seen.follow(verification);
        let status = verification.status(world.now());
        if let Some(outcome) = seen.ended {
            assert_eq!(
                status,
                Status::Closed(outcome),
                "closed stays closed, and so"
            );
        }
        if let Status::Closed(outcome) = status {
            seen.ended = Some(outcome);
        }
    }

    /// At the very end, when nothing is due any more.
    pub(super) fn settled(&self, world: &World) {
        assert_eq!(
            self.closed.len(),
            self.starts.len(),
            "each start ends in exactly one event"
        );
        if let Some(record) = &world.record {
            assert!(
                record.verifications.is_empty() && record.failures.clear_at().is_none(),
                "only a count may stay"
            );
        }
    }
}

impl Seen {
    /// No delivery disappears, changes its address or moves backwards, and none is
    /// added after the end.
    fn follow(&mut self, verification: &Verification) {
        for delivery in &verification.deliveries {
            let before = self.deliveries.insert(delivery.id, delivery.clone());
            assert!(
                before.is_some() || self.ended.is_none(),
                "a delivery after the end"
            );
            let Some(before) = before else { continue };
            assert_eq!(
                (before.channel, before.recipient, before.made_at),
                (delivery.channel, delivery.recipient, delivery.made_at)
            );
            let (from, to) = (far(&before.status), far(&delivery.status));
            assert!(
                before.status == delivery.status || from < to || to == 0,
                "backwards: {before:?} {delivery:?}"
            );
            assert!(from <= to, "backwards: {before:?} {delivery:?}");
        }
        assert_eq!(
            self.deliveries.len(),
            verification.deliveries.len(),
            "none goes"
        );
        assert!(verification.deliveries.len() <= usize::from(self.pending.limits.sends));
    }
}

/// A rank for each status: a delivery may only move to a higher one.
fn far(status: &DeliveryStatus) -> u8 {
    match status {
        DeliveryStatus::Queued { .. } | DeliveryStatus::Leased(_) => 0,
        DeliveryStatus::Sent => 1,
        DeliveryStatus::Undelivered { .. } | DeliveryStatus::Failed { .. } => 2,
        DeliveryStatus::Delivered => 3,
    }
}

fn has_plan(verification: &Verification) -> bool {
    match &verification.phase {
        Phase::Pending(pending) => !pending.limits.plan.is_empty(),
        // The limits are dropped at the end, so there may have been a plan.
        Phase::Closed { .. } => true,
    }
}

fn bounds(world: &World, record: &SubjectRecord) {
    assert!(record.verifications.len() <= REMEMBERED_MAX);
    assert!(record.live(Origin::Anonymous, world.now()).count() <= LIVE_ANONYMOUS_MAX);
    assert!(record.live(Origin::Vouched, world.now()).count() <= LIVE_VOUCHED_MAX);
    let live = || record.live(Origin::Anonymous, world.now());
    let networks = live().filter_map(|v| v.live(world.now())?.network);
    let mut networks: Vec<_> = networks.collect();
    let named = networks.len();
    networks.sort_unstable();
    networks.dedup();
    assert_eq!(networks.len(), named, "two of one network");
    let mut total = 0;
    for tally in [&record.failures.anonymous, &record.failures.vouched] {
        assert!(tally.since_unlock <= world.rules.failure_limit);
        total += tally.since_success;
    }
    assert!(total <= FAILURES_CAP);
    for verification in &record.verifications {
        assert!(verification.answers.len() <= usize::from(ATTEMPTS_MAX));
        assert!((1..=usize::from(SENDS_MAX)).contains(&verification.deliveries.len()));
        let steps = verification.deliveries.len() - verification.requests.len();
        assert!(
            steps == 0 || has_plan(verification),
            "a delivery that nobody asked for"
        );
    }
    let rests = record.verifications.is_empty() && record.failures.clear_at().is_none();
    assert!(
        rests || record.wake_at(world.now(), &world.rules).is_some(),
        "it needs attention and is not due"
    );
}

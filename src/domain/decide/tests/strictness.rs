//! Stories of limits that nothing relaxes: clocks that differ, another caller, and retention times.

use super::{
    fixtures::{DAY, HOUR, MINUTE, SECOND, contact},
    world::World,
};
use crate::domain::{
    decide::{Resend, Start, Verdict, resend},
    delivery::{
        HandOver, Lease,
        breaker::{Breaker, Pass, Refused},
        hands::{DueDelivery, FreeHands},
    },
    ids::{CallerName, DeliveryId, VerificationId},
    recipient::{Channel, known::Reached},
    refusal::Refusal,
    time::{Now, Timestamp},
    verification::{
        Phase, RequestMark, Status,
        rules::{CLOSED_MARGIN, Origin, WAIT_FIRST},
    },
};

/// Hands of a process in which no sender has a free one.
struct NoHands;

impl FreeHands for NoHands {
    fn reserve(&self, _due: &DueDelivery<'_>) -> Option<Lease> {
        None
    }
}

/// The third verification with a wrong guess, so that a wait has begun.
fn waiting() -> (World, VerificationId) {
    let mut world = World::new();
    let mut id = world.started(Origin::Vouched);
    for _ in 0..2 {
        world.miss(id).unwrap();
        id = world.started(Origin::Vouched);
    }
    world.miss(id).unwrap();
    (world, id)
}

#[test]
fn time_01_a_store_that_is_an_hour_ahead_ends_no_wait_between_guesses() {
    let (mut world, id) = waiting();
    // Its code must still be live by the clock that is ahead.
    let code = world.code(id);
    world.store_ahead = 4 * MINUTE;
    assert_eq!(
        world.check(id, &code),
        Err(Refusal::AttemptTooEarly {
            retry_after: WAIT_FIRST
        })
    );
    world.pass(WAIT_FIRST);
    assert_eq!(world.check(id, &code), Ok(Verdict::Approved));
}

#[test]
fn time_01_a_store_that_is_ahead_refills_no_attempt_rate() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let other = Start {
        contact: Some(contact("call-2")),
        ..world.a_start()
    };
    let other = world.start(other).unwrap().verification.id;
    for _ in 0..4 {
        world.miss(id).unwrap();
    }
    world.miss(other).unwrap();
    world.store_ahead = MINUTE;
    assert_eq!(
        world.miss(other),
        Err(Refusal::AttemptTooEarly {
            retry_after: 2 * SECOND
        })
    );
}

#[test]
fn time_01_a_store_that_is_ahead_ends_no_pause_between_sends() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    world.store_ahead = MINUTE;
    assert_eq!(
        world.resend(id, None).unwrap_err(),
        Refusal::ResendTooEarly {
            retry_after: 30 * SECOND,
            cooldown: 30 * SECOND
        }
    );
    world.pass(30 * SECOND);
    world.resend(id, None).unwrap();
}

#[test]
fn time_01_a_store_that_is_ahead_forgets_nothing_early() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    world.check(id, &code).unwrap();
    world.store_ahead = 365 * DAY;
    world.tick();
    assert_eq!(
        world.check(id, &code),
        Ok(Verdict::Closed),
        "a spent code is remembered"
    );
    world.pass(2 * HOUR);
    world.tick();
    assert!(
        world.record.is_some(),
        "and the record keeps the salt of its events"
    );
}

#[test]
fn time_01_a_store_that_is_ahead_hands_nothing_over_early_and_ends_its_lease_at_once() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let work = world.tick().remove(0);
    let delivery = &world.find(id).deliveries[0];
    assert!(delivery.is_held_by(&work.token, world.now()));
    world.store_ahead = MINUTE;
    assert!(
        !world.find(id).deliveries[0].is_held_by(&work.token, world.now()),
        "who holds it may be late by that clock"
    );
    assert_eq!(
        world.tick(),
        [],
        "but nobody else takes it before both say so"
    );
}

#[test]
fn time_01_room_is_made_only_when_both_clocks_say_so() {
    let mut world = World::new();
    for _ in 0..crate::domain::verification::rules::REMEMBERED_MAX {
        world.started(Origin::Vouched);
    }
    world.store_ahead = 4 * MINUTE;
    world.pass(2 * MINUTE + CLOSED_MARGIN);
    let command = world.a_start();
    assert_eq!(
        world.start(command).unwrap_err(),
        Refusal::TooManyRecent {
            retry_after: 3 * MINUTE
        }
    );
}

#[test]
fn code_09_a_start_of_another_caller_ends_nothing() {
    let mut world = World::new();
    let first = world.started(Origin::Vouched);
    let caller = CallerName::parse("desk").unwrap();
    let command = Start {
        caller: caller.clone(),
        ..world.a_start()
    };
    let second = world.start(command).unwrap().verification.id;
    assert_eq!(world.find(first).status(world.now()), Status::Pending);
    let command = Start {
        caller,
        ..world.a_start()
    };
    world.start(command).unwrap();
    assert_ne!(
        world.find(second).status(world.now()),
        Status::Pending,
        "its own it does"
    );
    assert_eq!(world.find(first).status(world.now()), Status::Pending);
}

#[test]
fn priv_01_a_record_and_with_it_its_events_can_be_read_for_as_long_as_the_settings_say() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    world.pass(MINUTE);
    world.check(id, &code).unwrap();
    let last_event_at = world.at;
    world.pass(HOUR);
    while world.at.since(last_event_at) < 7 * DAY {
        world.tick();
        assert!(
            world.record.is_some(),
            "after {:?} the salt of its events is there",
            world.at.since(last_event_at)
        );
        world.pass(HOUR);
    }
    world.sweep();
    assert_eq!(world.record, None);
}

#[test]
fn store_17_a_store_may_drop_a_record_only_after_its_events_and_its_rules_had_their_time() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let started_at = world.at;
    let record = world.record.as_ref().unwrap();
    let longest = started_at.plus(7 * DAY).max(
        record
            .find(&id)
            .unwrap()
            .expires_at
            .plus(CLOSED_MARGIN + HOUR),
    );
    assert_eq!(
        record.keep_until(&world.rules),
        Some(longest.plus(CLOSED_MARGIN))
    );
    world.rules.event_retention = SECOND;
    let verification = record
        .find(&id)
        .unwrap()
        .expires_at
        .plus(CLOSED_MARGIN + HOUR);
    assert_eq!(
        record.keep_until(&world.rules),
        Some(verification.plus(CLOSED_MARGIN))
    );
}

#[test]
fn store_18_a_resend_is_repeated_only_by_its_own_body() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    world.pass(MINUTE);
    let request = RequestMark {
        id: [9; 16],
        body: [1; 16],
    };
    let command = |body: u8| Resend {
        target: World::target(id),
        request: RequestMark {
            body: [body; 16],
            ..request
        },
        channel: Some(Channel::Email),
        delivery: DeliveryId([7; 16]),
    };
    let decision = resend(world.record.clone(), &command(1), &NoHands, &world.cx());
    world.commit(decision).unwrap();
    let sends = world.find(id).deliveries.len();
    let decision = resend(world.record.clone(), &command(1), &NoHands, &world.cx());
    world.commit(decision).unwrap();
    assert_eq!(
        world.find(id).deliveries.len(),
        sends,
        "a repeat sends nothing"
    );
    let decision = resend(world.record.clone(), &command(2), &NoHands, &world.cx());
    assert_eq!(
        world.commit(decision).unwrap_err(),
        Refusal::RequestIdReused
    );
}

#[test]
fn time_01_a_span_to_wait_is_told_by_the_stricter_clock() {
    let (early, late) = (
        Timestamp::from_micros(1_000_000),
        Timestamp::from_micros(5_000_000),
    );
    for now in [Now::new(early, late), Now::new(late, early)] {
        assert_eq!(
            (now.stamp(), now.until(late), now.clock_difference()),
            (early, 4 * SECOND, 4 * SECOND)
        );
        assert!(now.is_past(late) && !now.has_reached(late));
    }
}

#[test]
fn time_01_a_store_that_is_ahead_lets_the_sweep_close_nothing_and_hand_nothing_over() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let work = world.tick().remove(0);
    world.report(
        work,
        HandOver::Again {
            by: None,
            after: MINUTE,
            position: 0,
        },
    );
    world.store_ahead = 2 * MINUTE;
    assert_eq!(world.tick(), [], "a pause is over when both say so");
    world.pass(MINUTE);
    assert_eq!(world.tick().len(), 1);
    world.store_ahead = HOUR;
    world.tick();
    assert!(
        matches!(world.find(id).phase, Phase::Pending(_)),
        "readers say expired; the record waits for the other clock"
    );
}

#[test]
fn time_01_a_store_that_is_ahead_ends_no_day_of_half_spent_counts() {
    let mut world = World::new();
    world.forgot_at = Some(world.at);
    world.store_ahead = 2 * DAY;
    world.started(Origin::Vouched);
    assert_eq!(
        world.record.as_ref().unwrap().failures.vouched.since_unlock,
        12
    );
}

#[test]
fn time_01_a_clock_that_is_ahead_closes_no_breaker_and_makes_no_recipient_new() {
    let (early, late) = (
        Timestamp::from_micros(1),
        Timestamp::from_micros(1).plus(2 * DAY),
    );
    let until = Timestamp::from_micros(1).plus(DAY);
    let apart = Now::new(early, late);
    assert_eq!(
        Breaker::Open {
            until,
            times: 1,
            by_refusals: false
        }
        .pass(apart),
        Pass::Shut { until }
    );
    assert_ne!(
        Breaker::HalfOpen {
            until,
            times: 1,
            by_refusals: false,
            refused: Refused::default()
        }
        .pass(apart),
        Pass::AsProbe
    );
    let mut reached = Reached::default();
    assert!(reached.meet([1; 16], Now::new(early, early)));
    assert!(
        !reached.meet([1; 16], apart),
        "a day has not passed by both"
    );
}

#[test]
fn guess_11_an_approval_clears_the_count_and_refills_no_attempt_rate() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    for _ in 0..4 {
        world.miss(id).unwrap();
    }
    let code = world.code(id);
    assert_eq!(
        world.check(id, &code),
        Ok(Verdict::Approved),
        "the fifth guess at once"
    );
    let next = world.started(Origin::Vouched);
    assert_eq!(
        world.miss(next),
        Err(Refusal::AttemptTooEarly {
            retry_after: 2 * SECOND
        })
    );
    assert_eq!(
        world
            .record
            .as_ref()
            .unwrap()
            .failures
            .vouched
            .since_success,
        0
    );
}

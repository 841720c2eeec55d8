//! Stories of waits: how fast guesses may come, and how the waits rise.

use std::time::Duration;

use super::{
    fixtures::{HOUR, MINUTE, SECOND, contact, wrong},
    world::World,
};
use crate::domain::{
    decide::{Start, Verdict},
    refusal::Refusal,
    time::Timestamp,
    verification::rules::{Origin, WAIT_FIRST, WAIT_MAX},
};

#[test]
fn guess_10_from_the_third_failed_verification_the_wait_doubles_up_to_an_hour() {
    let mut world = World::new();
    for _ in 0..2 {
        let id = world.started(Origin::Vouched);
        world.miss(id).unwrap();
        assert_eq!(
            world
                .record
                .as_ref()
                .unwrap()
                .failures
                .vouched
                .next_attempt_at,
            Timestamp::default(),
            "no wait yet"
        );
    }
    let mut expected = WAIT_FIRST;
    for _ in 0..12 {
        let id = world.started(Origin::Vouched);
        world.miss(id).unwrap();
        let next_attempt_at = world
            .record
            .as_ref()
            .unwrap()
            .failures
            .vouched
            .next_attempt_at;
        assert_eq!(next_attempt_at.since(world.at), expected);
        expected = (expected * 2).min(WAIT_MAX);
        world.at = next_attempt_at;
    }
    assert_eq!(expected, HOUR);
}

/// The third verification with a wrong guess, which is the first with a wait.
fn waiting() -> (World, crate::domain::ids::VerificationId) {
    let mut world = World::new();
    for _ in 0..2 {
        let id = world.started(Origin::Vouched);
        world.miss(id).unwrap();
    }
    let id = world.started(Origin::Vouched);
    world.miss(id).unwrap();
    (world, id)
}

#[test]
fn guess_10_an_early_guess_is_refused_and_takes_nothing() {
    let (mut world, id) = waiting();
    let code = world.code(id);
    let before = world.record.clone();
    for second in 0..30 {
        let retry_after = (30 - second) * SECOND;
        assert_eq!(
            world.check(id, &code),
            Err(Refusal::AttemptTooEarly { retry_after }),
            "right or wrong"
        );
        assert_eq!(
            world.miss(id),
            Err(Refusal::AttemptTooEarly { retry_after })
        );
        world.pass(SECOND);
    }
    assert_eq!(world.record, before);
    assert_eq!(world.check(id, &code), Ok(Verdict::Approved));
}

#[test]
fn guess_10_a_code_that_would_die_before_its_guess_is_not_sent() {
    let mut world = World::new();
    while world
        .record
        .as_ref()
        .is_none_or(|record| record.failures.vouched.next_attempt_at.since(world.at) <= 5 * MINUTE)
    {
        let id = world.started(Origin::Vouched);
        if let Err(Refusal::AttemptTooEarly { retry_after }) = world.miss(id) {
            world.pass(retry_after);
        }
    }
    let command = world.a_start();
    let wait = world
        .record
        .as_ref()
        .unwrap()
        .failures
        .vouched
        .next_attempt_at
        .since(world.at);
    assert_eq!(
        world.start(command).unwrap_err(),
        Refusal::AttemptTooEarly { retry_after: wait }
    );
}

#[test]
fn guess_10_an_approval_ends_the_waits() {
    let (mut world, id) = waiting();
    world.pass(WAIT_FIRST);
    let code = world.code(id);
    world.check(id, &code).unwrap();
    let next = world.started(Origin::Vouched);
    assert!(world.miss(next).is_ok() && world.miss(next).is_ok());
}

#[test]
fn guess_11_five_guesses_at_once_then_one_in_two_seconds_whichever_verification_they_aim_at() {
    let mut world = World::new();
    let mut live = Vec::new();
    for name in ["call-1", "call-2"] {
        let command = Start {
            contact: Some(contact(name)),
            ..world.a_start()
        };
        live.push(world.start(command).unwrap().verification.id);
    }
    let wrongs: Vec<_> = live.iter().map(|id| wrong(&world.code(*id))).collect();
    let mut verdicts = 0;
    for half_second in 0..9_u32 {
        for _ in 0..10 {
            for (id, wrong) in live.iter().zip(&wrongs) {
                match world.check(*id, wrong) {
                    Ok(Verdict::Wrong { .. } | Verdict::AttemptsExhausted) => verdicts += 1,
                    Ok(Verdict::Closed) | Err(Refusal::AttemptTooEarly { .. }) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(
            verdicts,
            5 + half_second / 4,
            "after {half_second} half seconds"
        );
        world.pass(Duration::from_millis(500));
    }
}

#[test]
fn guess_11_the_rate_of_strangers_is_not_the_rate_of_the_customer() {
    let mut world = World::new();
    let anonymous = world.started(Origin::Anonymous);
    let vouched = world.started(Origin::Vouched);
    for _ in 0..5 {
        world.miss(anonymous).unwrap();
    }
    let again = world.started(Origin::Anonymous);
    assert_eq!(
        world.miss(again),
        Err(Refusal::AttemptTooEarly {
            retry_after: 2 * SECOND
        })
    );
    assert!(world.miss(vouched).is_ok());
}

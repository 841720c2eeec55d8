//! Stories of the record's life: generations, what is forgotten, and what is kept.

use std::time::Duration;

use super::{
    fixtures::{DAY, HOUR, MINUTE, SECOND, contact, wait},
    world::World,
};
use crate::domain::{
    decide::{CancelReason, Durability, Start, Verdict, get},
    recipient::MethodLevel,
    record::subject::SubjectRecord,
    refusal::Refusal,
    time::{Now, Timestamp},
    verification::{
        CancelCause, Outcome, Status,
        rules::{CLOSED_MARGIN, FAILURES_CAP, GENERATION_PENALTY, Origin, REMEMBERED_MAX},
    },
};

#[test]
fn store_05_a_verification_of_another_generation_must_start_again() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    world.fail_over();
    assert_eq!(world.check(id, &code), Err(Refusal::StartAgain));
    assert_eq!(
        world.ends(id),
        [Outcome::Canceled(CancelCause::Generation)],
        "closed with this commit"
    );
    assert_eq!(
        world.durability,
        Some(Durability::Durable),
        "the penalty must not roll back"
    );
    assert_eq!(
        world.check(id, &code),
        Err(Refusal::StartAgain),
        "and so again"
    );
    assert_eq!(world.resend(id, None).unwrap_err(), Refusal::StartAgain);
    assert_eq!(world.ends(id).len(), 1);
    let again = world.started(Origin::Vouched);
    let code = world.code(again);
    assert_eq!(world.check(again, &code), Ok(Verdict::Approved));
}

#[test]
fn store_05_every_commit_after_a_change_of_generation_is_durable() {
    let commits: [fn(&mut World); 3] = [
        |world| {
            world.tick();
        },
        |world| {
            world.started(Origin::Vouched);
        },
        |world| {
            let id = world.record.as_ref().unwrap().verifications[0].id;
            assert_eq!(
                world.cancel(id, CancelReason::Requested).unwrap_err(),
                Refusal::Closed
            );
        },
    ];
    for commit in commits {
        let mut world = World::new();
        world.started(Origin::Vouched);
        world.fail_over();
        world.durability = None;
        commit(&mut world);
        assert_eq!(world.durability, Some(Durability::Durable));
        assert_eq!(
            world.record.as_ref().unwrap().failures.vouched.since_unlock,
            GENERATION_PENALTY
        );
    }
}

#[test]
fn store_05_what_was_expired_stays_expired() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    world.pass(5 * MINUTE);
    assert_eq!(
        world.find(id).status(world.now()),
        Status::Closed(Outcome::Expired)
    );
    world.fail_over();
    assert_eq!(world.check(id, &code), Ok(Verdict::Expired));
    assert_eq!(world.ends(id), [Outcome::Expired]);
}

#[test]
fn store_06_the_penalty_comes_once_and_leaves_one_attempt_of_each_origin() {
    let mut world = World::new();
    world.started(Origin::Vouched);
    for expected in [10, 20, 24, 24, 24, 24, 24] {
        world.fail_over();
        world.tick();
        world.tick();
        assert_eq!(
            world.record.as_ref().unwrap().failures.vouched.since_unlock,
            expected
        );
    }
    for origin in [Origin::Anonymous, Origin::Vouched] {
        let id = world.started(origin);
        assert_eq!(world.miss(id), Ok(Verdict::Wrong { left: 4 }));
        assert!(matches!(
            world.miss(id),
            Err(Refusal::MethodDisabled { .. })
        ));
    }
}

#[test]
fn store_06_failovers_alone_lock_nobody_out_whatever_was_unlocked_before() {
    for unlocks in 0..4 {
        let mut world = World::new();
        for _ in 0..unlocks {
            world.miss_until_disabled(Origin::Vouched);
            world
                .record
                .as_mut()
                .unwrap()
                .failures
                .of_mut(Origin::Vouched)
                .unlock();
        }
        world.pass(DAY);
        for _ in 0..20 {
            world.fail_over();
            world.started(Origin::Vouched);
            world.pass(HOUR);
        }
        let failures = &world.record.as_ref().unwrap().failures;
        assert!(failures.anonymous.since_success + failures.vouched.since_success < FAILURES_CAP);
        let id = world.started(Origin::Vouched);
        let code = world.code(id);
        assert_eq!(
            world.check(id, &code),
            Ok(Verdict::Approved),
            "after {unlocks} unlocks"
        );
    }
}

#[test]
fn store_06_an_approval_clears_the_penalty() {
    let mut world = World::new();
    world.started(Origin::Vouched);
    world.fail_over();
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    world.check(id, &code).unwrap();
    assert_eq!(
        world.record.as_ref().unwrap().failures.vouched.since_unlock,
        0
    );
}

#[test]
fn a_penalty_without_a_failure_comes_to_rest_too() {
    let mut world = World::new();
    world.started(Origin::Vouched);
    world.fail_over();
    world.sweep();
    assert!(world.record.is_some(), "the count stays");
    assert_eq!(world.wake_at(), None);
}

#[test]
fn store_17_a_spent_code_answers_closed_until_it_is_forgotten() {
    for closed_retention in [SECOND, HOUR] {
        let mut world = World::new();
        world.rules.closed_retention = closed_retention;
        let id = world.started(Origin::Vouched);
        let code = world.code(id);
        let remembered_until = world.find(id).expires_at.plus(CLOSED_MARGIN);
        world.check(id, &code).unwrap();
        while world.at < remembered_until {
            assert_eq!(world.check(id, &code), Ok(Verdict::Closed));
            world.tick();
            world.pass(10 * SECOND);
        }
        world.pass(HOUR);
        world.tick();
        assert_eq!(world.check(id, &code), Err(Refusal::NotFound));
    }
}

#[test]
fn store_17_many_starts_push_no_spent_code_out_before_its_time() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    world.check(id, &code).unwrap();
    for _ in 1..REMEMBERED_MAX {
        world.started(Origin::Vouched);
    }
    let command = world.a_start();
    let refusal = world.start(command).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::TooManyRecent {
            retry_after: 15 * MINUTE
        }
    );
    assert_eq!(world.check(id, &code), Ok(Verdict::Closed));
    world.pass(wait(&refusal));
    world.started(Origin::Vouched);
    assert_eq!(
        world.check(id, &code),
        Err(Refusal::NotFound),
        "its place was taken"
    );
}

#[test]
fn store_18_the_same_start_makes_one_verification_and_another_body_is_refused() {
    let mut world = World::new();
    let command = world.a_start();
    let first = world.start(command.clone()).unwrap().verification.id;
    let repeat = Start {
        id: world.a_start().id,
        ..command.clone()
    };
    assert_eq!(world.start(repeat.clone()).unwrap().verification.id, first);
    let mut other = repeat;
    other.request.body = [1; 16];
    assert_eq!(world.start(other).unwrap_err(), Refusal::RequestIdReused);
    assert_eq!(world.record.as_ref().unwrap().verifications.len(), 1);
}

#[test]
fn store_19_a_hundred_thousand_verifications_leave_a_bounded_record() {
    const VERIFICATIONS: usize = 100_000;
    let mut world = World::new();
    let mut most = 0;
    for nth in 0..VERIFICATIONS {
        let command = Start {
            contact: Some(contact(&format!("call-{}", nth % 3))),
            ..world.a_start()
        };
        if let Err(refusal) = world.start(command) {
            world.pass(wait(&refusal));
        }
        world.events.clear();
        most = most.max(world.record.as_ref().unwrap().verifications.len());
        world.pass(SECOND);
    }
    assert_eq!(most, REMEMBERED_MAX);
}

#[test]
fn priv_03_after_the_sweep_only_the_count_remains() {
    let mut world = World::new();
    let id = world.started(Origin::Anonymous);
    world.miss(id).unwrap();
    world.sweep();
    let record = world.record.take().unwrap();
    let mut bare = SubjectRecord::new(record.event_salt, record.generation);
    bare.version = record.version;
    bare.failures.anonymous.since_unlock = 1;
    bare.failures.anonymous.since_success = 1;
    bare.failures.anonymous.verifications = 1;
    bare.failures.anonymous.level = Some(MethodLevel::Basic);
    assert_eq!(record, bare);
}

#[test]
fn rf14_for_a_day_after_a_loss_new_counts_begin_half_spent() {
    for (since_loss, spent) in [(Duration::ZERO, 12), (23 * HOUR, 12), (24 * HOUR, 0)] {
        let mut world = World::new();
        world.forgot_at = Some(world.at);
        world.pass(since_loss);
        let id = world.started(Origin::Vouched);
        let failures = world.record.as_ref().unwrap().failures.clone();
        assert_eq!(
            (
                failures.vouched.since_unlock,
                failures.anonymous.since_unlock
            ),
            (spent, spent),
            "{since_loss:?}"
        );
        let code = world.code(id);
        assert_eq!(
            world.check(id, &code),
            Ok(Verdict::Approved),
            "nobody is locked out by it"
        );
        assert_eq!(
            world.record.as_ref().unwrap().failures.vouched.since_unlock,
            0,
            "a success clears it"
        );
    }
}

#[test]
fn rf14_a_known_record_is_not_charged_for_a_loss() {
    let mut world = World::new();
    world.started(Origin::Vouched);
    world.forgot_at = Some(world.at);
    world.started(Origin::Vouched);
    assert_eq!(
        world.record.as_ref().unwrap().failures.vouched.since_unlock,
        0
    );
}

#[test]
fn store_17_a_record_is_kept_beyond_every_rule_and_for_ever_with_a_count() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let record = world.record.as_ref().unwrap();
    let keep = record.keep_until(&world.rules).unwrap();
    let expires_at = record.find(&id).unwrap().expires_at;
    assert!(
        keep >= expires_at.plus(10 * MINUTE)
            && keep > record.wake_at(world.now(), &world.rules).unwrap()
    );
    world.miss(id).unwrap();
    assert_eq!(
        world.record.as_ref().unwrap().keep_until(&world.rules),
        None,
        "GUESS-08"
    );
}

#[test]
fn priv_01_a_record_without_a_count_goes_with_its_events() {
    for event_retention in [SECOND, 7 * DAY] {
        let mut world = World::new();
        world.rules.event_retention = event_retention;
        let id = world.started(Origin::Vouched);
        let code = world.code(id);
        world.check(id, &code).unwrap();
        world.sweep();
        assert_eq!(world.record, None);
    }
}

#[test]
fn priv_01_at_its_end_a_verification_drops_addresses_and_what_was_bound() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    world.cancel(id, CancelReason::Requested).unwrap();
    let kept = format!("{:?}", world.find(id));
    assert!(
        kept.contains("a•••@e•••.org") && !kept.contains("anna") && !kept.contains("Pending"),
        "{kept}"
    );
}

#[test]
fn time_03_every_reader_computes_the_expiry() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    let expires_at = world.find(id).expires_at;
    // No tick came for the record for a year.
    world.pass(365 * DAY);
    let snapshot = get(world.record.clone(), &World::target(id), &world.cx()).unwrap();
    assert_eq!(
        snapshot.verification.status(world.now()),
        Status::Closed(Outcome::Expired)
    );
    assert_eq!(
        snapshot.verification.closed_at(world.now()),
        Some(expires_at)
    );
    assert_eq!(world.check(id, &code), Ok(Verdict::Expired));
    world.tick();
    assert_eq!(world.ends(id), [Outcome::Expired]);
}

#[test]
fn time_03_the_sweep_changes_nothing_that_readers_saw() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    world.pass(5 * MINUTE);
    let seen = |world: &World| {
        (
            world.find(id).status(world.now()),
            world.find(id).closed_at(world.now()),
        )
    };
    let before = seen(&world);
    world.pass(MINUTE);
    world.tick();
    assert_eq!(seen(&world), before);
}

#[test]
fn time_01_one_clock_is_enough_to_expire_and_both_must_agree_to_end_a_wait() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let verification = world.find(id);
    let ahead = Now::new(world.at, world.at.plus(5 * MINUTE));
    assert_eq!(verification.status(ahead), Status::Closed(Outcome::Expired));
    assert_eq!(
        Now::new(world.at, Timestamp::default()).until(world.at.plus(SECOND)),
        world.at.plus(SECOND).since(Timestamp::default())
    );
}

//! Stories of the guess budget: what is counted, how long, and what clears it.

use super::{
    fixtures::{DAY, MINUTE, SECOND, contact, wrong},
    world::World,
};
use crate::domain::{
    audit::event::What,
    decide::{Durability, Start, Verdict},
    recipient::{Channel, Recipient},
    refusal::Refusal,
    verification::{
        Outcome, Status,
        rules::{ATTEMPTS_MAX, FAILURE_LIMIT_MAX, FAILURES_CAP, Origin},
    },
};

/// The refusal once the failure limit of the settings is reached.
fn disabled(world: &World) -> Refusal {
    let limit = world.rules.failure_limit;
    Refusal::MethodDisabled { limit }
}

#[test]
fn guess_01_after_five_wrong_guesses_the_right_one_is_not_approved() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    for left in (1..ATTEMPTS_MAX).rev() {
        assert_eq!(world.miss(id), Ok(Verdict::Wrong { left }));
    }
    assert_eq!(world.miss(id), Ok(Verdict::AttemptsExhausted));
    assert_eq!(world.check(id, &code), Ok(Verdict::Closed));
    assert_eq!(
        world.find(id).status(world.now()),
        Status::Closed(Outcome::Rejected)
    );
}

#[test]
fn guess_02_a_lost_reply_refunds_nothing_and_its_repeat_gets_the_same_verdict() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let wrong = wrong(&world.code(id));
    let _lost = world.check_as(id, "a1", &wrong);
    assert_eq!(
        world.durability,
        Some(Durability::Durable),
        "a raised count must not roll back"
    );
    assert_eq!(
        world.check_as(id, "a1", &wrong).unwrap().verdict,
        Verdict::Wrong { left: 4 }
    );
    assert_eq!(
        world.check_as(id, "a2", &wrong).unwrap().verdict,
        Verdict::Wrong { left: 3 }
    );
}

#[test]
fn guess_02_a_lost_approval_is_told_again() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    let _lost = world.check_as(id, "a1", &code);
    world.pass(10 * MINUTE);
    world.tick();
    assert_eq!(
        world.check_as(id, "a1", &code).unwrap().verdict,
        Verdict::Approved
    );
    assert_eq!(
        world.check_as(id, "a2", &code).unwrap().verdict,
        Verdict::Closed
    );
}

#[test]
fn guess_05_failures_add_up_over_verifications_until_codes_are_disabled_for_good() {
    let mut world = World::new();
    assert_eq!(world.miss_until_disabled(Origin::Vouched), 25);
    world.pass(30 * DAY);
    world.sweep();
    let command = world.a_start();
    assert_eq!(world.start(command).unwrap_err(), disabled(&world));
}

#[test]
fn guess_05_a_disabled_subject_guesses_no_more_on_what_is_still_live() {
    let mut world = World::new();
    world.rules.failure_limit = 1;
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    world.miss(id).unwrap();
    assert_eq!(world.check(id, &code), Err(disabled(&world)));
    world.pass(MINUTE);
    assert_eq!(world.resend(id, None).unwrap_err(), disabled(&world));
}

#[test]
fn guess_06_unlocking_lifts_the_limit_and_not_the_cap() {
    let mut world = World::new();
    let mut misses = 0;
    for _unlock in 0..3 {
        misses += world.miss_until_disabled(Origin::Vouched);
        world
            .record
            .as_mut()
            .unwrap()
            .failures
            .of_mut(Origin::Vouched)
            .unlock();
    }
    misses += world.miss_until_disabled(Origin::Vouched);
    assert_eq!(misses, FAILURES_CAP);
    world
        .record
        .as_mut()
        .unwrap()
        .failures
        .of_mut(Origin::Vouched)
        .unlock();
    assert_eq!(
        world.miss_until_disabled(Origin::Vouched),
        0,
        "a fourth unlock helps no more"
    );
}

#[test]
fn guess_07_all_message_channels_share_one_count() {
    let mut world = World::new();
    let channels = [
        (Channel::Sms, "+31612345678"),
        (Channel::Voice, "+31612345678"),
        (Channel::Email, "anna@example.org"),
    ];
    for (nth, (channel, address)) in (1..).zip(channels) {
        let recipient = Recipient::parse(channel, address).unwrap();
        let command = Start {
            recipients: vec![recipient],
            ..world.a_start()
        };
        let id = world.start(command).unwrap().verification.id;
        assert_eq!(world.find(id).deliveries[0].channel, channel);
        world.miss(id).unwrap();
        assert_eq!(
            world.record.as_ref().unwrap().failures.vouched.since_unlock,
            nth
        );
        assert_eq!(
            world
                .record
                .as_ref()
                .unwrap()
                .failures
                .vouched
                .verifications,
            nth
        );
    }
}

/// Fails this many times, over as many verifications as that takes.
fn fail(world: &mut World, times: u32) {
    let mut left = times;
    for _ in 0..1000 {
        let command = world.a_start();
        let Ok(snapshot) = world.start(command) else {
            world.pass(MINUTE);
            continue;
        };
        let id = snapshot.verification.id;
        while left > 0 && world.find(id).status(world.now()) == Status::Pending {
            match world.miss(id) {
                Ok(_) => left -= 1,
                Err(_) => world.pass(SECOND),
            }
        }
        if left == 0 {
            return;
        }
    }
    panic!("{left} failures of {times} are missing");
}

/// Starts once the wait is over, and gives the right code.
fn approve(world: &mut World) -> Verdict {
    world.pass(DAY);
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    world.check(id, &code).unwrap()
}

#[test]
fn guess_08_an_approval_clears_the_count() {
    let mut world = World::new();
    for _ in 0..2 {
        fail(&mut world, 24);
        assert_eq!(
            approve(&mut world),
            Verdict::Approved,
            "24 failures leave it enabled"
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
}

#[test]
fn guess_08_no_time_clears_the_count() {
    let mut world = World::new();
    fail(&mut world, 24);
    for _ in 0..400 {
        world.pass(DAY);
        world.tick();
    }
    assert_eq!(
        world.record.as_ref().unwrap().failures.vouched.since_unlock,
        24
    );
    assert_eq!(world.wake_at(), None, "and it wants no attention any more");
}

#[test]
fn guess_12_a_stranger_cannot_lock_the_customer_out() {
    let mut world = World::new();
    assert_eq!(world.miss_until_disabled(Origin::Anonymous), 25);
    let command = Start {
        origin: Origin::Anonymous,
        ..world.a_start()
    };
    assert_eq!(world.start(command).unwrap_err(), disabled(&world));
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    assert_eq!(world.check(id, &code), Ok(Verdict::Approved));
}

#[test]
fn guess_12_at_the_highest_limit_both_budgets_stay_within_the_cap() {
    let mut world = World::new();
    world.rules.failure_limit = FAILURE_LIMIT_MAX;
    let total =
        world.miss_until_disabled(Origin::Anonymous) + world.miss_until_disabled(Origin::Vouched);
    assert_eq!(total, FAILURES_CAP);
}

#[test]
fn guess_12_a_strangers_starts_leave_room_for_the_customers() {
    let mut world = World::new();
    for _ in 0..100 {
        let command = Start {
            origin: Origin::Anonymous,
            ..world.a_start()
        };
        let _may_be_refused = world.start(command);
    }
    for nth in 0..8 {
        let command = Start {
            contact: Some(contact(&format!("call-{}", nth % 3))),
            ..world.a_start()
        };
        assert!(world.start(command).is_ok(), "start {nth} of the customer");
    }
}

#[test]
fn guess_17_a_repeat_takes_one_attempt_and_another_guess_under_its_id_is_refused() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    let wrong = wrong(&code);
    for _ in 0..100 {
        assert_eq!(
            world.check_as(id, "a1", &wrong).unwrap().verdict,
            Verdict::Wrong { left: 4 }
        );
    }
    assert_eq!(
        world.check_as(id, "a1", &code).unwrap_err(),
        Refusal::AttemptIdReused
    );
    let command = Start {
        contact: Some(contact("call-2")),
        ..world.a_start()
    };
    let other = world.start(command).unwrap().verification.id;
    assert_eq!(
        world.check_as(other, "a1", &wrong).unwrap_err(),
        Refusal::AttemptIdReused,
        "on another verification"
    );
    assert_eq!(
        world.find(id).answers.len() + world.find(other).answers.len(),
        1
    );
}

#[test]
fn guess_18_a_tireless_attacker_stays_below_the_budget() {
    let mut world = World::new();
    let mut verdicts = 0;
    let day_later = world.at.plus(DAY);
    while world.at < day_later {
        for origin in [Origin::Anonymous, Origin::Vouched] {
            let command = Start {
                origin,
                ..world.a_start()
            };
            let Ok(snapshot) = world.start(command) else {
                continue;
            };
            let id = snapshot.verification.id;
            let wrong = wrong(&world.code(id));
            for _ in 0..10 {
                verdicts += u32::from(guessed(&world.check(id, &wrong)));
            }
            world.pass(30 * SECOND);
            let _may_be_refused = world.resend(id, None);
            verdicts += u32::from(guessed(&world.check(id, &wrong)));
        }
        world.pass(MINUTE);
    }
    assert_eq!(
        verdicts,
        2 * world.rules.failure_limit,
        "all of both budgets, and no more"
    );
}

fn guessed(answer: &Result<Verdict, Refusal>) -> bool {
    matches!(
        answer,
        Ok(Verdict::Wrong { .. } | Verdict::AttemptsExhausted | Verdict::Approved)
    )
}

/// Fails once by this channel after an anonymous start; approves by that one after a vouched start. Returns the anonymous
/// failures that are left.
fn left_after(failed: (Channel, &str), approved: (Channel, &str)) -> u32 {
    let mut world = World::new();
    let command = Start {
        origin: Origin::Anonymous,
        recipients: vec![Recipient::parse(failed.0, failed.1).unwrap()],
        ..world.a_start()
    };
    let id = world.start(command).unwrap().verification.id;
    world.miss(id).unwrap();
    let command = Start {
        recipients: vec![Recipient::parse(approved.0, approved.1).unwrap()],
        ..world.a_start()
    };
    let id = world.start(command).unwrap().verification.id;
    let code = world.code(id);
    assert_eq!(world.check(id, &code), Ok(Verdict::Approved));
    assert_eq!(world.durability, Some(Durability::Durable));
    world.record.unwrap().failures.anonymous.since_success
}

#[test]
fn guess_19_a_vouched_approval_of_the_same_level_clears_the_anonymous_count() {
    let (mail, sms) = (
        (Channel::Email, "anna@example.org"),
        (Channel::Sms, "+31612345678"),
    );
    assert_eq!(left_after(mail, mail), 0);
    assert_eq!(left_after(sms, sms), 0);
    assert_eq!(left_after(mail, sms), 0, "a higher level will do");
    assert_eq!(left_after(sms, mail), 1, "a lower one will not");
}

#[test]
fn guess_19_after_a_vouched_approval_anonymous_starts_work_again() {
    let mut world = World::new();
    assert_eq!(world.miss_until_disabled(Origin::Anonymous), 25);
    world.pass(DAY);
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    assert_eq!(world.check(id, &code), Ok(Verdict::Approved));
    let told = world
        .events
        .iter()
        .rev()
        .find_map(|event| match event.what {
            What::ApprovedAfterFailures { failures } => Some(failures),
            _ => None,
        });
    assert_eq!(told, Some(25), "the customer learns of the stranger");
    let id = world.started(Origin::Anonymous);
    let code = world.code(id);
    assert_eq!(world.check(id, &code), Ok(Verdict::Approved));
}

#[test]
fn guess_19_an_anonymous_approval_leaves_the_vouched_count() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    world.miss(id).unwrap();
    let id = world.started(Origin::Anonymous);
    let code = world.code(id);
    assert_eq!(world.check(id, &code), Ok(Verdict::Approved));
    let failures = world.record.unwrap().failures;
    assert_eq!(failures.vouched.since_success, 1);
}

#[test]
fn guess_19_failures_of_an_earlier_version_count_as_standard() {
    let mut world = World::new();
    let id = world.started(Origin::Anonymous);
    world.miss(id).unwrap();
    // An earlier version stored no level; a later e-mail failure does not make the earlier ones basic.
    world.record.as_mut().unwrap().failures.anonymous.level = None;
    world.pass(MINUTE);
    world.miss(id).unwrap();
    assert_eq!(
        world.record.as_ref().unwrap().failures.anonymous.level,
        None
    );
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    world.check(id, &code).unwrap();
    let failures = &world.record.as_ref().unwrap().failures;
    assert_eq!(
        failures.anonymous.since_success, 2,
        "the approval was by e-mail"
    );
}

//! Stories of deliveries: leases, reports, and nothing after the end.

use std::time::Duration;

use super::{
    fixtures::{LEASE, MINUTE, SECOND, sender_name},
    world::World,
};
use crate::domain::{
    audit::event::What,
    decide::{CancelReason, Next, Report, delivery::tick, report},
    delivery::{DeliveryStatus, HandOver, TRIES_MAX, reason::Reason},
    ids::{DeliveryId, ProviderReference, VerificationId},
    verification::{CancelCause, Outcome, rules::Origin},
};

fn status(world: &World, id: VerificationId) -> &DeliveryStatus {
    &world.find(id).deliveries[0].status
}

/// One way to end a verification.
type End = fn(&mut World, VerificationId);

fn again(after: Duration) -> HandOver {
    HandOver::Again {
        by: None,
        after,
        position: 1,
    }
}

#[test]
fn a_start_with_a_free_hand_leases_its_delivery_to_itself() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let [work] = world.in_hand[..] else {
        panic!("one delivery")
    };
    assert_eq!(world.tick_with(16), [], "it is in hand");
    assert_eq!(world.wake_at(), Some(world.at.plus(LEASE)));
    let delivery = &world.find(id).deliveries[0];
    assert!(delivery.is_held_by(&work.token, world.now()) && delivery.tries == 1);
}

#[test]
fn an_ended_lease_makes_the_delivery_due_again() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let [first] = world.tick()[..] else {
        panic!("one delivery")
    };
    world.pass(14 * SECOND);
    assert_eq!(world.tick(), []);
    world.pass(SECOND);
    let [second] = world.tick()[..] else {
        panic!("one delivery")
    };
    assert_eq!(
        (second.verification, second.delivery),
        (id, first.delivery),
        "the same delivery, so the same idempotency id"
    );
    assert_ne!(second.token, first.token);
    let delivery = &world.find(id).deliveries[0];
    assert!(
        !delivery.is_held_by(&first.token, world.now())
            && delivery.is_held_by(&second.token, world.now())
    );
}

#[test]
fn a_late_report_under_another_token_records_only_that_the_message_went_out() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let [first] = world.tick()[..] else {
        panic!("one delivery")
    };
    world.pass(LEASE);
    let [second] = world.tick()[..] else {
        panic!("one delivery")
    };
    let before = world.record.clone();
    world.report(first, again(SECOND));
    world.report(
        first,
        HandOver::GivenUp {
            reason: Reason::Refused,
        },
    );
    assert_eq!(world.record, before);
    let reference = ProviderReference::parse("SM1").ok();
    world.report(
        first,
        HandOver::Taken {
            reference: reference.clone(),
        },
    );
    assert_eq!(status(&world, id), &DeliveryStatus::Sent);
    assert_eq!(world.find(id).deliveries[0].reference, reference);
    world.report(second, again(SECOND));
    assert_eq!(
        status(&world, id),
        &DeliveryStatus::Sent,
        "and nothing sends it again"
    );
    assert_eq!(world.tick(), []);
}

#[test]
fn a_retry_waits_and_goes_to_the_sender_of_its_report() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let [work] = world.tick()[..] else {
        panic!("one delivery")
    };
    world.report(work, again(20 * SECOND));
    assert_eq!(world.find(id).deliveries[0].position, 1);
    world.pass(19 * SECOND);
    assert_eq!(world.tick(), []);
    world.pass(SECOND);
    assert_eq!(world.tick().len(), 1);
}

#[test]
fn after_eight_tries_a_delivery_is_given_up() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    for _ in 0..TRIES_MAX {
        let [work] = world.tick()[..] else {
            panic!("one delivery")
        };
        world.report(work, again(SECOND));
        world.pass(SECOND);
    }
    assert_eq!(world.tick(), []);
    assert_eq!(
        status(&world, id),
        &DeliveryStatus::Failed {
            reason: Reason::TooManyTries
        }
    );
    assert!(
        matches!(&world.events.last().unwrap().what, What::SendFailed { reason, .. } if *reason == Reason::TooManyTries)
    );
}

#[test]
fn a_hand_over_that_was_held_back_is_no_try() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    for _ in 0..3 * TRIES_MAX {
        let [work] = world.tick()[..] else {
            panic!("one delivery")
        };
        assert_eq!(world.find(id).deliveries[0].tries, 1);
        world.report(
            work,
            HandOver::Held {
                after: SECOND,
                position: 0,
            },
        );
        assert_eq!(world.tick(), [], "it waits");
        world.pass(SECOND);
    }
    let delivery = &world.find(id).deliveries[0];
    assert_eq!((delivery.tries, &delivery.sender), (0, &None));
    assert!(
        !world
            .events
            .iter()
            .any(|event| matches!(event.what, What::SendFailed { .. } | What::Sent { .. }))
    );
    world.pass(5 * MINUTE);
    assert_eq!(world.tick(), [], "and waits no longer than its code lives");
    assert_eq!(
        status(&world, id),
        &DeliveryStatus::Failed {
            reason: Reason::VerificationClosed
        }
    );
}

#[test]
fn who_will_not_take_a_message_is_remembered() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    for (by, position) in [(1, 2), (2, 0)] {
        let [work] = world.tick()[..] else {
            panic!("one delivery")
        };
        world.report(
            work,
            HandOver::PassedOn {
                by,
                after: Duration::ZERO,
                position,
            },
        );
        assert_eq!(world.find(id).deliveries[0].position, position);
    }
    let [work] = world.tick()[..] else {
        panic!("one delivery")
    };
    world.report(work, again(SECOND));
    let refusals = world.find(id).deliveries[0].refusals;
    assert_eq!(
        [0, 1, 2].map(|place| refusals.allow(place)),
        [true, false, false]
    );
}

#[test]
fn a_report_without_its_record_does_nothing() {
    let mut world = World::new();
    world.started(Origin::Vouched);
    let [work] = world.tick()[..] else {
        panic!("one delivery")
    };
    let command = Report {
        work,
        sender: Some(sender_name("mail")),
        outcome: HandOver::Taken { reference: None },
    };
    let decision = report(None, &command, &world.counted_hands(1), &world.cx());
    assert_eq!((decision.next, decision.events.len()), (Next::Same, 0));
    let command = world.a_tick();
    let decision = tick(None, &command, &world.counted_hands(1), &world.cx());
    let (next, reply) = (decision.next, decision.reply);
    assert_eq!((next, reply), (Next::Delete, Ok(())), "its due entry goes");
}

#[test]
fn send_19_without_a_free_hand_a_delivery_waits_half_a_second_without_a_lease() {
    const HALF: Duration = Duration::from_millis(500);
    let mut world = World::new();
    world.hands = 0;
    let ids = [Origin::Vouched, Origin::Anonymous].map(|origin| world.started(origin));
    assert_eq!(world.wake_at(), Some(world.at.plus(HALF)));
    assert_eq!(world.tick(), [], "its time has not come");
    world.pass(HALF);
    let [work] = world.tick_with(1)[..] else {
        panic!("one hand takes one delivery")
    };
    let other = ids.into_iter().find(|id| *id != work.verification).unwrap();
    assert_eq!(
        status(&world, other),
        &DeliveryStatus::Queued {
            not_before: world.at.plus(HALF)
        }
    );
    assert_eq!(world.find(other).deliveries[0].tries, 0, "no try is taken");
    assert_eq!(world.tick_with(0), []);
    world.pass(HALF);
    assert_eq!(world.tick_with(1).len(), 1);
    assert_eq!(world.tick_with(1), []);
}

#[test]
fn send_17_a_hand_that_comes_free_takes_what_waits_for_it_at_once_and_nothing_else() {
    let mut world = World::new();
    world.hands = 0;
    let id = world.started(Origin::Vouched);
    let delivery = world.find(id).deliveries[0].id;
    assert_eq!(world.free_hand_for(DeliveryId([9; 16])), []);
    let [work] = world.free_hand_for(delivery)[..] else {
        panic!("it waits for a hand")
    };
    assert_eq!(world.free_hand_for(delivery), [], "it is in hand");
    world.report(work, again(20 * SECOND));
    let before = world.record.clone();
    assert_eq!(
        world.free_hand_for(delivery),
        [],
        "its sender asked for a pause"
    );
    assert_eq!(world.record, before, "and nothing is written for nothing");
}

#[test]
fn send_17_a_message_goes_on_to_the_next_sender_by_the_commit_of_its_report() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let [first] = world.tick()[..] else {
        panic!("one delivery")
    };
    world.report(first, again(Duration::ZERO));
    let [second] = world.in_hand[..] else {
        panic!("it is leased anew")
    };
    let delivery = &world.find(id).deliveries[0];
    assert!(delivery.is_held_by(&second.token, world.now()) && second.token != first.token);
    assert_eq!((delivery.position, delivery.tries), (1, 2));
    // After the end nothing goes on.
    world.cancel(id, CancelReason::Requested).unwrap();
    world.in_hand.clear();
    world.report(second, again(Duration::ZERO));
    assert_eq!(world.in_hand, []);
}

#[test]
fn send_13_nothing_is_leased_after_the_end() {
    let ends: [End; 4] = [
        |world, id| {
            world.cancel(id, CancelReason::Requested).unwrap();
        },
        |world, id| {
            let code = world.code(id);
            world.check(id, &code).unwrap();
        },
        |world, _| world.pass(5 * MINUTE),
        |world, _| world.fail_over(),
    ];
    for end in ends {
        let mut world = World::new();
        world.hands = 0;
        let id = world.started(Origin::Vouched);
        end(&mut world, id);
        assert_eq!(world.tick(), []);
        assert_eq!(
            status(&world, id),
            &DeliveryStatus::Failed {
                reason: Reason::VerificationClosed
            }
        );
    }
}

#[test]
fn send_13_a_retry_that_comes_after_the_end_is_given_up() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let [work] = world.tick()[..] else {
        panic!("one delivery")
    };
    world.cancel(id, CancelReason::Requested).unwrap();
    world.report(work, again(SECOND));
    assert_eq!(
        status(&world, id),
        &DeliveryStatus::Failed {
            reason: Reason::VerificationClosed
        }
    );
}

#[test]
fn send_13_the_holder_of_a_lease_may_still_say_that_the_message_went_out() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let [work] = world.tick()[..] else {
        panic!("one delivery")
    };
    world.cancel(id, CancelReason::Requested).unwrap();
    world.report(work, HandOver::Taken { reference: None });
    assert_eq!(status(&world, id), &DeliveryStatus::Sent);
}

#[test]
fn send_12_each_start_ends_in_exactly_one_event() {
    let ends: [(End, Outcome); 6] = [
        (
            |world, id| {
                let code = world.code(id);
                world.check(id, &code).unwrap();
            },
            Outcome::Approved,
        ),
        (
            |world, id| {
                world.miss_all(id);
            },
            Outcome::Rejected,
        ),
        (
            |world, id| {
                world.cancel(id, CancelReason::NotMe).unwrap();
            },
            Outcome::Denied,
        ),
        (
            |world, _| {
                world.started(Origin::Vouched);
            },
            Outcome::Canceled(CancelCause::Superseded),
        ),
        (
            |world, _| world.fail_over(),
            Outcome::Canceled(CancelCause::Generation),
        ),
        (|world, _| world.pass(5 * MINUTE), Outcome::Expired),
    ];
    for (end, outcome) in ends {
        let mut world = World::new();
        let id = world.started(Origin::Vouched);
        end(&mut world, id);
        world.sweep();
        assert_eq!(world.ends(id), [outcome]);
        let started = world
            .events
            .iter()
            .filter(|event| matches!(event.what, What::Started { .. }))
            .count();
        let closed = world
            .events
            .iter()
            .filter(|event| matches!(event.what, What::Closed { .. }))
            .count();
        assert_eq!(started, closed);
    }
}

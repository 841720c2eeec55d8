//! Stories of the audit trail: which events are written, and whom they name.

use super::{
    fixtures::{CALLER, MINUTE},
    world::World,
};
use crate::domain::{
    audit::event::{RefusedCall, What},
    decide::{CancelReason, Start, Target, refused, verification::cancel},
    ids::CallerName,
    refusal::Refusal,
    verification::{CancelCause, Judgement, Outcome, rules::Origin},
};

fn story(world: &World) -> Vec<What> {
    world
        .events
        .iter()
        .map(|event| event.what.clone())
        .collect()
}

#[test]
fn guess_16_each_failure_and_the_block_are_events() {
    let mut world = World::new();
    world.rules.failure_limit = 2;
    let id = world.started(Origin::Vouched);
    world.miss(id).unwrap();
    world.miss(id).unwrap();
    let checked = |left| What::Checked {
        judgement: Judgement::Wrong { left },
    };
    assert_eq!(
        story(&world)[1..],
        [
            checked(4),
            checked(3),
            What::Disabled {
                origin: Origin::Vouched
            }
        ]
    );
}

#[test]
fn guess_16_an_approval_after_three_failures_is_told_to_the_customer() {
    for failures in [2, 3] {
        let mut world = World::new();
        let id = world.started(Origin::Vouched);
        let code = world.code(id);
        for _ in 0..failures {
            world.miss(id).unwrap();
        }
        world.check(id, &code).unwrap();
        let told = world
            .events
            .iter()
            .any(|event| event.what == What::ApprovedAfterFailures { failures });
        assert_eq!(told, failures >= 3);
        assert_eq!(world.ends(id), [Outcome::Approved]);
    }
}

#[test]
fn log_01_an_event_names_the_one_who_called() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let desk = CallerName::parse("desk").unwrap();
    let command = crate::domain::decide::Cancel {
        target: Target {
            caller: desk.clone(),
            ..World::target(id)
        },
        reason: CancelReason::NotMe,
    };
    let decision = cancel(world.record.clone(), &command, &world.cx());
    world.commit(decision).unwrap();
    let callers: Vec<_> = world
        .events
        .iter()
        .map(|event| event.caller.clone())
        .collect();
    assert_eq!(callers, [Some(CALLER.clone()), Some(desk)]);
}

#[test]
fn log_01_what_the_service_does_by_itself_names_no_caller() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    world.pass(6 * MINUTE);
    world.tick();
    assert_eq!(world.ends(id), [Outcome::Expired]);
    assert_eq!(world.events.last().unwrap().caller, None);
    // The start that finds another one expired did not end it.
    let other = world.started(Origin::Vouched);
    world.pass(6 * MINUTE);
    world.started(Origin::Vouched);
    assert_eq!(world.ends(other), [Outcome::Expired]);
    let closed = &world.events[world.events.len() - 2];
    assert_eq!((&closed.caller, closed.verification), (&None, Some(other)));
}

#[test]
fn log_01_a_superseding_start_ends_the_older_one_by_its_caller() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    world.started(Origin::Vouched);
    let closed = &world.events[1];
    assert_eq!(
        closed.what,
        What::Closed {
            outcome: Outcome::Canceled(CancelCause::Superseded)
        }
    );
    assert_eq!(
        (&closed.caller, closed.verification),
        (&Some(CALLER.clone()), Some(id))
    );
}

#[test]
fn guess_16_a_refusal_is_an_event_with_its_reason() {
    let mut world = World::new();
    let command = Start {
        contact: Some(super::fixtures::contact("call-1")),
        ..world.a_start()
    };
    let verification = world.start(command).unwrap().verification;
    let what = What::Refused(RefusedCall {
        call: "check",
        reason: Refusal::CodeMalformed.reason(),
        quota: None,
    });
    let (tenant, id) = (&verification.tenant, Some(verification.id));
    let event = refused(tenant, &CALLER, id, what.clone(), world.at);
    assert_eq!(
        (event.what, event.verification, event.caller),
        (what, Some(verification.id), Some(CALLER.clone()))
    );
}

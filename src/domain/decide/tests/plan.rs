//! Stories of channel plans: one code, one channel after the other, each once, and nothing after the end.

use std::time::Duration;

use super::{
    fixtures::{LEASE, MAIL, MINUTE, SECOND, limits},
    world::World,
};
use crate::domain::{
    audit::event::What,
    decide::{CancelReason, Noted, Start, Verdict, Work, tick, verification::start},
    delivery::{DeliveryStatus, HandOver, plan::Step, reason::Reason, receipt::Receipt},
    ids::VerificationId,
    recipient::{Channel, Recipient},
    refusal::Refusal,
    verification::rules::{Limits, Origin},
};

const EMAIL_WAIT: Duration = Duration::from_secs(20);
const SMS_WAIT: Duration = Duration::from_secs(40);

fn number(channel: Channel) -> Recipient {
    Recipient::parse(channel, "+31612345678").unwrap()
}

/// The plan `email 20s`, `sms 40s`, `voice`.
pub(super) fn planned() -> Limits {
    let step = |channel, wait| Step { channel, wait };
    let plan = vec![
        step(Channel::Email, Some(EMAIL_WAIT)),
        step(Channel::Sms, Some(SMS_WAIT)),
        step(Channel::Voice, None),
    ];
    Limits { plan, ..limits() }
}

pub(super) fn everywhere() -> Vec<Recipient> {
    vec![MAIL.clone(), number(Channel::Sms), number(Channel::Voice)]
}

fn but_a_second(wait: Duration) -> Duration {
    wait.saturating_sub(SECOND)
}

fn a_start(world: &mut World) -> Start {
    Start {
        limits: planned(),
        recipients: everywhere(),
        ..world.a_start()
    }
}

fn started(world: &mut World) -> VerificationId {
    let command = a_start(world);
    world.start(command).unwrap().verification.id
}

fn channels(world: &World, id: VerificationId) -> Vec<Channel> {
    world
        .find(id)
        .deliveries
        .iter()
        .map(|delivery| delivery.channel)
        .collect()
}

/// Hands over what is due now, and returns it.
fn bring(world: &mut World) -> Vec<Work> {
    let works = world.tick();
    works
        .iter()
        .for_each(|work| world.report(*work, HandOver::Taken { reference: None }));
    works
}

#[test]
fn a_plan_moves_on_by_time_with_the_same_code_until_its_end() {
    let mut world = World::new();
    let id = started(&mut world);
    let (code, expires_at) = (world.code(id), world.find(id).expires_at);
    assert_eq!(bring(&mut world).len(), 1);
    for (wait, channels_after) in [(EMAIL_WAIT, 2), (SMS_WAIT, 3)] {
        world.pass(but_a_second(wait));
        assert_eq!(bring(&mut world), [], "not before its time");
        world.pass(SECOND);
        assert_eq!(world.wake_at(), Some(world.at), "the due index knows");
        assert_eq!(bring(&mut world).len(), 1);
        assert_eq!(channels(&world, id).len(), channels_after);
    }
    assert_eq!(
        channels(&world, id),
        [Channel::Email, Channel::Sms, Channel::Voice]
    );
    assert_eq!(
        (world.code(id), world.find(id).expires_at),
        (code.clone(), expires_at)
    );
    world.pass(MINUTE);
    assert_eq!(bring(&mut world), [], "each step once");
    let moved = world
        .events
        .iter()
        .filter(|event| matches!(event.what, What::MovedOn { .. }))
        .count();
    assert_eq!(moved, 2);
    assert_eq!(world.check(id, &code), Ok(Verdict::Approved));
}

#[test]
fn without_a_plan_nothing_moves_on_by_itself() {
    let mut world = World::new();
    let command = Start {
        recipients: everywhere(),
        ..world.a_start()
    };
    let id = world.start(command).unwrap().verification.id;
    let [work] = world.tick()[..] else {
        panic!("one delivery")
    };
    world.report(
        work,
        HandOver::GivenUp {
            reason: Reason::Refused,
        },
    );
    world.pass(2 * MINUTE);
    assert_eq!(world.tick(), []);
    assert_eq!(channels(&world, id), [Channel::Email]);
}

#[test]
fn what_failed_or_did_not_arrive_moves_on_at_once_and_what_arrived_does_not_stop_the_clock() {
    let mut world = World::new();
    let id = started(&mut world);
    let [mail] = world.tick()[..] else {
        panic!("one delivery")
    };
    world.report(
        mail,
        HandOver::GivenUp {
            reason: Reason::Refused,
        },
    );
    let [sms] = bring(&mut world)[..] else {
        panic!("the next channel at once")
    };
    assert_eq!(
        world.receipt(
            sms.delivery,
            "mail",
            Receipt::Undelivered {
                reason: Reason::from_word("30003")
            }
        ),
        Noted::Changed
    );
    assert_eq!(bring(&mut world).len(), 1);
    assert_eq!(
        channels(&world, id),
        [Channel::Email, Channel::Sms, Channel::Voice]
    );

    let id = started(&mut world);
    let [mail] = bring(&mut world)[..] else {
        panic!("one delivery")
    };
    world.receipt(mail.delivery, "mail", Receipt::Delivered);
    world.pass(EMAIL_WAIT);
    assert_eq!(bring(&mut world).len(), 1, "nobody may have seen it");
    assert_eq!(channels(&world, id), [Channel::Email, Channel::Sms]);
}

#[test]
fn late_word_of_an_earlier_channel_moves_nothing() {
    let mut world = World::new();
    let id = started(&mut world);
    let [mail] = bring(&mut world)[..] else {
        panic!("one delivery")
    };
    world.pass(EMAIL_WAIT);
    bring(&mut world);
    world.receipt(
        mail.delivery,
        "mail",
        Receipt::Undelivered {
            reason: Reason::from_word("gone"),
        },
    );
    assert_eq!(bring(&mut world), []);
    assert_eq!(channels(&world, id), [Channel::Email, Channel::Sms]);
}

#[test]
fn the_wait_counts_from_the_delivery_and_not_from_a_retry() {
    let mut world = World::new();
    let id = started(&mut world);
    let [work] = world.tick()[..] else {
        panic!("one delivery")
    };
    world.pass(15 * SECOND);
    world.report(
        work,
        HandOver::Again {
            by: None,
            after: MINUTE,
            position: 0,
        },
    );
    world.pass(5 * SECOND);
    assert_eq!(bring(&mut world).len(), 1);
    assert_eq!(channels(&world, id), [Channel::Email, Channel::Sms]);
}

#[test]
fn a_resend_to_a_channel_is_next_now_and_the_plan_goes_on_behind_it() {
    let mut world = World::new();
    let id = started(&mut world);
    bring(&mut world);
    world.pass(EMAIL_WAIT);
    bring(&mut world);
    // 30 s of pause after the step; the plan's wait is 40.
    assert!(matches!(
        world.resend(id, Some(Channel::Voice)),
        Err(Refusal::ResendTooEarly { .. })
    ));
    world.pass(30 * SECOND);
    world.resend(id, Some(Channel::Voice)).unwrap();
    world.pass(2 * MINUTE);
    bring(&mut world);
    assert_eq!(
        channels(&world, id),
        [Channel::Email, Channel::Sms, Channel::Voice],
        "behind voice there is nothing"
    );
}

#[test]
fn a_resend_to_an_earlier_channel_does_not_repeat_the_steps_behind_it() {
    let mut world = World::new();
    let id = started(&mut world);
    bring(&mut world);
    world.pass(EMAIL_WAIT);
    bring(&mut world);
    world.pass(30 * SECOND);
    world.resend(id, Some(Channel::Email)).unwrap();
    bring(&mut world);
    world.pass(EMAIL_WAIT);
    bring(&mut world);
    assert_eq!(
        channels(&world, id),
        [Channel::Email, Channel::Sms, Channel::Email, Channel::Voice]
    );
}

#[test]
fn a_resend_without_a_channel_repeats_the_last_channel_and_its_wait() {
    let mut world = World::new();
    let command = Start {
        limits: Limits {
            resend_cooldown: 10 * SECOND,
            ..planned()
        },
        ..a_start(&mut world)
    };
    let id = world.start(command).unwrap().verification.id;
    bring(&mut world);
    world.pass(15 * SECOND);
    world.resend(id, None).unwrap();
    bring(&mut world);
    world.pass(but_a_second(EMAIL_WAIT));
    assert_eq!(bring(&mut world), []);
    world.pass(SECOND);
    bring(&mut world);
    assert_eq!(
        channels(&world, id),
        [Channel::Email, Channel::Email, Channel::Sms]
    );
}

#[test]
fn a_plan_spends_sends_and_stops_when_none_is_left() {
    let mut world = World::new();
    let command = Start {
        limits: Limits {
            sends: 2,
            ..planned()
        },
        ..a_start(&mut world)
    };
    let id = world.start(command).unwrap().verification.id;
    bring(&mut world);
    world.pass(EMAIL_WAIT);
    bring(&mut world);
    assert_eq!(world.find(id).next_step(), None);
    world.pass(SMS_WAIT);
    assert_eq!(bring(&mut world), []);
    assert!(
        matches!(world.resend(id, None), Err(Refusal::SendsExhausted { .. })),
        "a step is a send"
    );
}

#[test]
fn a_guess_does_not_stop_the_plan_and_the_end_does() {
    let mut world = World::new();
    let id = started(&mut world);
    bring(&mut world);
    world.miss(id).unwrap();
    world.pass(EMAIL_WAIT);
    assert_eq!(bring(&mut world).len(), 1);
    world.cancel(id, CancelReason::Requested).unwrap();
    assert_eq!(world.find(id).next_step(), None);
    world.pass(SMS_WAIT);
    assert_eq!(bring(&mut world), []);
}

#[test]
fn a_step_that_would_come_at_the_expiry_never_comes() {
    let mut world = World::new();
    let lifetime = EMAIL_WAIT + SMS_WAIT;
    let command = Start {
        limits: Limits {
            code_lifetime: lifetime,
            ..planned()
        },
        ..a_start(&mut world)
    };
    let id = world.start(command).unwrap().verification.id;
    bring(&mut world);
    world.pass(EMAIL_WAIT);
    bring(&mut world);
    assert_eq!(world.find(id).next_step(), None);
    world.sweep();
    let moved: Vec<_> = world
        .events
        .iter()
        .filter(|event| matches!(event.what, What::MovedOn { .. }))
        .collect();
    assert_eq!(moved.len(), 1);
}

#[test]
fn send_12_a_process_that_dies_after_a_step_loses_nothing() {
    let mut world = World::new();
    let id = started(&mut world);
    bring(&mut world);
    world.pass(EMAIL_WAIT);
    let [lost] = world.tick()[..] else {
        panic!("the step is made and leased in one commit")
    };
    world.pass(LEASE);
    let [again] = world.tick()[..] else {
        panic!("its lease ended")
    };
    assert_eq!(
        (again.delivery, channels(&world, id).len()),
        (lost.delivery, 2),
        "the same delivery, and no step more"
    );
    world.sweep();
    assert_eq!(world.ends(id).len(), 1);
}

#[test]
fn send_05_a_step_that_the_quotas_refuse_is_seen_as_failed_and_the_plan_goes_on() {
    let mut world = World::new();
    let id = started(&mut world);
    bring(&mut world);
    world.pass(EMAIL_WAIT);
    world.quotas_refuse = true;
    let next_resend_at = world.find(id).live(world.now()).unwrap().next_resend_at;
    assert_eq!(world.tick(), []);
    let refused = &world.find(id).deliveries[1];
    assert_eq!((refused.channel, refused.tries), (Channel::Sms, 0));
    assert_eq!(
        refused.status,
        DeliveryStatus::Failed {
            reason: Reason::QuotaExceeded
        }
    );
    assert_eq!(
        world.find(id).live(world.now()).unwrap().next_resend_at,
        next_resend_at,
        "nothing was sent"
    );
    world.quotas_refuse = false;
    assert_eq!(bring(&mut world).len(), 1, "the next channel at once");
    assert_eq!(
        channels(&world, id),
        [Channel::Email, Channel::Sms, Channel::Voice]
    );
}

#[test]
fn a_resend_repeats_the_channel_that_was_taken_and_not_one_that_was_passed_over() {
    let mut world = World::new();
    let id = started(&mut world);
    bring(&mut world);
    world.pass(EMAIL_WAIT);
    world.quotas_refuse = true;
    world.tick();
    world.tick();
    assert_eq!(
        world.find(id).latest_delivery().unwrap().channel,
        Channel::Email
    );
    world.pass(30 * SECOND);
    world.resend(id, None).unwrap();
    assert_eq!(
        channels(&world, id),
        [Channel::Email, Channel::Sms, Channel::Voice, Channel::Email]
    );
}

#[test]
fn where_codes_are_disabled_no_step_is_sent() {
    let mut world = World::new();
    let id = started(&mut world);
    bring(&mut world);
    world
        .record
        .as_mut()
        .unwrap()
        .failures
        .of_mut(Origin::Vouched)
        .since_unlock = world.rules.failure_limit;
    world.pass(EMAIL_WAIT);
    for _ in 0..3 {
        assert_eq!(world.tick(), []);
    }
    let failed = |place: usize| world.find(id).deliveries[place].status.clone();
    let reason = DeliveryStatus::Failed {
        reason: Reason::MethodDisabled,
    };
    assert_eq!((failed(1), failed(2)), (reason.clone(), reason));
}

#[test]
fn a_step_says_whom_it_would_reach() {
    let mut world = World::new();
    let command = a_start(&mut world);
    let decision = start(None, &command, &world.counted_hands(1), &world.cx());
    let first = decision.outgoing.unwrap();
    world.start(command).unwrap();
    bring(&mut world);
    world.pass(EMAIL_WAIT);
    let command = world.a_tick();
    let decision = tick(
        world.record.clone(),
        &command,
        &world.counted_hands(1),
        &world.cx(),
    );
    let outgoing = decision.outgoing.unwrap();
    assert_eq!(
        (&outgoing.tenant, &outgoing.caller, &outgoing.subject),
        (&first.tenant, &first.caller, &first.subject)
    );
    assert_eq!(outgoing.recipient, number(Channel::Sms));
    assert!(outgoing.new_recipient && !outgoing.new_subject);
}

#[test]
fn what_is_due_beside_a_step_comes_first() {
    let mut world = World::new();
    let planned = started(&mut world);
    bring(&mut world);
    world.pass(but_a_second(EMAIL_WAIT));
    let other = Start {
        action: super::fixtures::action("login"),
        ..world.a_start()
    };
    world.hands = 0;
    let other = world.start(other).unwrap().verification.id;
    world.pass(SECOND);
    let first = world.tick();
    assert_eq!(
        first
            .iter()
            .map(|work| work.verification)
            .collect::<Vec<_>>(),
        [other]
    );
    assert_eq!(world.wake_at(), Some(world.at), "the step is still due");
    let second = world.tick();
    assert_eq!(
        second
            .iter()
            .map(|work| work.verification)
            .collect::<Vec<_>>(),
        [planned]
    );
}

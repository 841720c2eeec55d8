//! Stories of what the quotas count: the message that a decision would send.

use super::{
    fixtures::{DAY, MAIL, SUBJECT},
    world::World,
};
use crate::domain::{
    decide::{
        Outgoing, Resend, Start,
        verification::{resend, start},
    },
    ids::{DeliveryId, VerificationId},
    limit::quota::Network,
    recipient::{Channel, Recipient, known::KNOWN_MAX},
    verification::{
        RequestMark,
        rules::{Origin, SENDS_MAX},
    },
};

fn of_start(world: &mut World, command: &Start) -> Option<Outgoing> {
    let decision = start(
        world.record.clone(),
        command,
        &world.counted_hands(1),
        &world.cx(),
    );
    let outgoing = decision.outgoing.clone();
    let _ = world.commit(decision);
    outgoing
}

fn of_resend(world: &mut World, id: VerificationId, channel: Option<Channel>) -> Option<Outgoing> {
    let request = RequestMark {
        id: world.fresh(),
        body: [0; 16],
    };
    let (target, delivery) = (World::target(id), DeliveryId(world.fresh()));
    let decision = resend(
        world.record.clone(),
        &Resend {
            target,
            request,
            channel,
            delivery,
        },
        &world.counted_hands(1),
        &world.cx(),
    );
    let outgoing = decision.outgoing.clone();
    let _ = world.commit(decision);
    outgoing
}

fn sms(number: &str) -> Recipient {
    Recipient::parse(Channel::Sms, number).unwrap()
}

#[test]
fn a_start_says_whom_it_would_reach_and_its_repeat_nothing() {
    let mut world = World::new();
    let command = world.a_start();
    let first = of_start(&mut world, &command).unwrap();
    assert_eq!((&first.subject, &first.recipient), (&*SUBJECT, &*MAIL));
    assert!(first.new_subject && first.new_recipient);
    assert_eq!(
        of_start(&mut world, &command),
        None,
        "a repeat sends nothing"
    );
    let again = world.a_start();
    let second = of_start(&mut world, &again).unwrap();
    assert!(!second.new_subject && !second.new_recipient);
}

#[test]
fn what_is_refused_would_send_nothing() {
    let mut world = World::new();
    let contact = |world: &mut World, name| {
        let contact = Some(super::fixtures::contact(name));
        Start {
            contact,
            origin: Origin::Anonymous,
            network: Network::parse("192.0.2.7").ok(),
            ..world.a_start()
        }
    };
    let first = contact(&mut world, "one");
    assert!(of_start(&mut world, &first).is_some());
    let second = contact(&mut world, "two");
    assert_eq!(
        of_start(&mut world, &second),
        None,
        "one live anonymous verification of a network is the most"
    );
}

#[test]
fn a_resend_says_where_it_goes_until_no_send_is_left() {
    let mut world = World::new();
    let command = Start {
        recipients: vec![MAIL.clone(), sms("+31612345678")],
        ..world.a_start()
    };
    let id = world.start(command).unwrap().verification.id;
    assert_eq!(of_resend(&mut world, id, None), None, "too early");
    let mut new = Vec::new();
    for channel in [None, Some(Channel::Sms), Some(Channel::Sms)] {
        world.pass(super::fixtures::MINUTE);
        let outgoing = of_resend(&mut world, id, channel).unwrap();
        assert_eq!(
            outgoing.recipient.channel(),
            channel.unwrap_or(Channel::Email)
        );
        new.push(outgoing.new_recipient);
    }
    assert_eq!(
        (new, world.find(id).deliveries.len()),
        (vec![false, true, false], usize::from(SENDS_MAX))
    );
    world.pass(super::fixtures::MINUTE);
    assert_eq!(of_resend(&mut world, id, None), None);
}

#[test]
fn a_recipient_is_known_for_a_day_and_is_then_forgotten() {
    let mut world = World::new();
    let reached = |world: &World| world.record.as_ref().unwrap().reached.as_slice().len();
    for n in 0..2 * KNOWN_MAX {
        let recipients = vec![sms(&format!("+316123456{n:02}"))];
        let command = Start {
            recipients,
            ..world.a_start()
        };
        assert!(of_start(&mut world, &command).unwrap().new_recipient);
        world.pass(super::fixtures::HOUR);
    }
    assert_eq!(reached(&world), KNOWN_MAX);
    world.pass(DAY);
    let command = world.a_start();
    assert!(of_start(&mut world, &command).unwrap().new_recipient);
    assert_eq!(reached(&world), 1, "the others are forgotten");
    world.sweep();
    assert!(world.record.is_none(), "nothing of it stays");
}

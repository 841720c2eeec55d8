//! Stories of receipts: in any order they change a delivery, and never a verdict.

use super::{
    fixtures::{LEASE, MINUTE, SECOND},
    world::World,
};
use crate::domain::{
    audit::event::What,
    decide::{CancelReason, Noted, Verdict, Work},
    delivery::{DeliveryStatus, HandOver, reason::Reason, receipt::Receipt},
    ids::{DeliveryId, ProviderReference, SenderName, VerificationId},
    verification::{Outcome, Status, rules::Origin},
};

fn undelivered(reason: &str) -> Receipt {
    Receipt::Undelivered {
        reason: Reason::from_word(reason),
    }
}

fn status(world: &World, id: VerificationId) -> &DeliveryStatus {
    &world.find(id).deliveries[0].status
}

/// A verification whose message the sender `mail` accepted.
fn sent() -> (World, VerificationId, Work) {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let [work] = world.tick()[..] else {
        panic!("one delivery")
    };
    world.report(work, HandOver::Taken { reference: None });
    (world, id, work)
}

#[test]
fn hook_05_a_receipt_changes_a_delivery_and_never_a_verdict() {
    let (mut world, id, work) = sent();
    let before = world.find(id).clone();
    assert_eq!(
        world.receipt(work.delivery, "mail", Receipt::Delivered),
        Noted::Changed
    );
    let after = world.find(id).clone();
    assert_eq!(after.deliveries[0].status, DeliveryStatus::Delivered);
    let rest = |v: &crate::domain::verification::Verification| {
        (v.phase.clone(), v.answers.clone(), v.requests.clone())
    };
    assert_eq!(
        rest(&after),
        rest(&before),
        "the guesses, the code and the phase are as they were"
    );
    assert!(
        matches!(&world.events.last().unwrap().what, What::Delivered { sender, .. } if sender.as_str() == "mail")
    );
    let code = world.code(id);
    assert_eq!(world.check(id, &code), Ok(Verdict::Approved));
}

#[test]
fn a_receipt_never_moves_a_delivery_backwards() {
    let (mut world, id, work) = sent();
    assert_eq!(
        world.receipt(work.delivery, "mail", undelivered("30003")),
        Noted::Changed
    );
    assert_eq!(
        status(&world, id),
        &DeliveryStatus::Undelivered {
            reason: Reason::from_word("30003")
        }
    );
    for late in [Receipt::Sent, undelivered("30005")] {
        assert_eq!(world.receipt(work.delivery, "mail", late), Noted::Unchanged);
    }
    assert_eq!(
        world.receipt(work.delivery, "mail", Receipt::Delivered),
        Noted::Changed,
        "it arrived in spite of it"
    );
    for late in [Receipt::Sent, Receipt::Delivered, undelivered("30003")] {
        assert_eq!(world.receipt(work.delivery, "mail", late), Noted::Unchanged);
    }
    assert_eq!(status(&world, id), &DeliveryStatus::Delivered);
}

#[test]
fn a_receipt_before_our_own_report_counts_and_the_report_adds_the_reference() {
    let reference = ProviderReference::parse("SM1").ok();
    for (said, expected) in [
        (Receipt::Sent, DeliveryStatus::Sent),
        (Receipt::Delivered, DeliveryStatus::Delivered),
        (
            undelivered("30003"),
            DeliveryStatus::Undelivered {
                reason: Reason::from_word("30003"),
            },
        ),
    ] {
        let mut world = World::new();
        let id = world.started(Origin::Vouched);
        let [work] = world.tick()[..] else {
            panic!("one delivery")
        };
        assert_eq!(world.receipt(work.delivery, "mail", said), Noted::Changed);
        let told = world.events.len();
        world.report(
            work,
            HandOver::Taken {
                reference: reference.clone(),
            },
        );
        assert_eq!(world.events.len(), told, "nothing is told twice");
        let delivery = &world.find(id).deliveries[0];
        assert_eq!(
            (
                &delivery.status,
                &delivery.reference,
                delivery.sender.as_ref().map(SenderName::as_str)
            ),
            (&expected, &reference, Some("mail"))
        );
        world.pass(LEASE);
        assert_eq!(world.tick(), [], "no other try");
    }
}

#[test]
fn a_lost_report_is_made_good_by_a_receipt() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let [work] = world.tick()[..] else {
        panic!("one delivery")
    };
    // The process that handed it over is gone.
    assert_eq!(
        world.receipt(work.delivery, "mail", Receipt::Sent),
        Noted::Changed
    );
    world.pass(LEASE);
    assert_eq!(
        world.tick(),
        [],
        "the message went out: nobody sends it again"
    );
    assert_eq!(status(&world, id), &DeliveryStatus::Sent);
}

#[test]
fn word_of_an_earlier_provider_does_not_end_what_a_later_one_took() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let [first] = world.tick()[..] else {
        panic!("one delivery")
    };
    world.report_by(
        "a",
        first,
        HandOver::Again {
            by: None,
            after: SECOND,
            position: 1,
        },
    );
    assert_eq!(
        world.receipt(first.delivery, "a", undelivered("late")),
        Noted::Unchanged,
        "it waits for another try"
    );
    world.pass(SECOND);
    let [second] = world.tick()[..] else {
        panic!("one delivery")
    };
    assert_eq!(
        world.receipt(first.delivery, "a", undelivered("late")),
        Noted::Unchanged,
        "another has it in hand"
    );
    world.report_by("b", second, HandOver::Taken { reference: None });
    assert_eq!(
        world.receipt(first.delivery, "a", undelivered("late")),
        Noted::Unchanged,
        "another took it"
    );
    assert_eq!(status(&world, id), &DeliveryStatus::Sent);
    assert_eq!(
        world.receipt(first.delivery, "a", Receipt::Delivered),
        Noted::Changed,
        "whoever brought it"
    );
    assert_eq!(status(&world, id), &DeliveryStatus::Delivered);
}

#[test]
fn the_report_of_a_later_provider_says_who_took_it_after_word_of_an_earlier_one() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let [first] = world.tick()[..] else {
        panic!("one delivery")
    };
    world.report_by(
        "a",
        first,
        HandOver::Again {
            by: None,
            after: SECOND,
            position: 1,
        },
    );
    world.pass(SECOND);
    let [second] = world.tick()[..] else {
        panic!("one delivery")
    };
    assert_eq!(
        world.receipt(first.delivery, "a", Receipt::Sent),
        Noted::Changed,
        "it did go out by the first"
    );
    world.report_by(
        "b",
        second,
        HandOver::Taken {
            reference: ProviderReference::parse("B1").ok(),
        },
    );
    assert_eq!(
        world.receipt(first.delivery, "a", undelivered("late")),
        Noted::Unchanged
    );
    assert_eq!(
        world.receipt(first.delivery, "b", undelivered("gone")),
        Noted::Changed
    );
    assert_eq!(
        status(&world, id),
        &DeliveryStatus::Undelivered {
            reason: Reason::from_word("gone")
        }
    );
}

#[test]
fn what_was_given_up_may_have_arrived() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let [work] = world.tick()[..] else {
        panic!("one delivery")
    };
    world.report(
        work,
        HandOver::GivenUp {
            reason: Reason::from_word("malformed_answer"),
        },
    );
    for nothing in [Receipt::Sent, undelivered("30003")] {
        assert_eq!(
            world.receipt(work.delivery, "mail", nothing),
            Noted::Unchanged
        );
    }
    assert_eq!(
        world.receipt(work.delivery, "mail", Receipt::Delivered),
        Noted::Changed
    );
    assert_eq!(status(&world, id), &DeliveryStatus::Delivered);
}

#[test]
fn an_unknown_delivery_is_ignored() {
    let (mut world, _, work) = sent();
    let before = world.record.clone();
    assert_eq!(
        world.receipt(DeliveryId([9; 16]), "mail", Receipt::Delivered),
        Noted::Unknown
    );
    assert_eq!(world.record, before);
    world.record = None;
    assert_eq!(
        world.receipt(work.delivery, "mail", Receipt::Delivered),
        Noted::Unknown
    );
    assert_eq!(world.record, None);
}

#[test]
fn hook_05_after_the_end_a_receipt_is_still_seen_and_the_end_stays() {
    let (mut world, id, work) = sent();
    world.cancel(id, CancelReason::NotMe).unwrap();
    world.pass(MINUTE);
    assert_eq!(
        world.receipt(work.delivery, "mail", undelivered("30003")),
        Noted::Changed
    );
    assert_eq!(
        world.receipt(work.delivery, "mail", Receipt::Delivered),
        Noted::Changed
    );
    assert_eq!(status(&world, id), &DeliveryStatus::Delivered);
    assert_eq!(
        world.find(id).status(world.now()),
        Status::Closed(Outcome::Denied)
    );
    assert_eq!(world.ends(id), [Outcome::Denied], "and there is one end");
}

#[test]
fn code_03_a_reason_that_holds_the_code_is_not_kept() {
    let (mut world, id, work) = sent();
    let reason = format!("rejected_{}", world.code(id));
    assert_eq!(
        world.receipt(work.delivery, "mail", undelivered(&reason)),
        Noted::Changed
    );
    assert_eq!(
        status(&world, id),
        &DeliveryStatus::Undelivered {
            reason: Reason::NotSaid
        }
    );
}

//! Stories of codes: what ends one, and which verification it is right for.

use super::{
    fixtures::{MAIL, MINUTE, SECOND, action, binding, contact, limits},
    world::World,
};
use crate::domain::{
    code::{
        CodeLength,
        guess::{Digits, Guess, Separators},
    },
    decide::{CancelReason, Check, Next, Start, Target, Verdict, verification::check},
    ids::{AttemptId, SubjectId, TenantId, VerificationId},
    recipient::{Channel, Recipient, test_recipients::TestRecipients},
    refusal::Refusal,
    verification::{
        CancelCause, Outcome, Status,
        rules::{CODE_LIFETIME_MAX, EntryMode, Limits, Origin},
    },
};

/// CODE-06 asks for 1,000 parallel guesses in each of 1,000 rounds; this test has fewer rounds.
const PARALLEL: usize = 1000;
const ROUNDS: usize = 100;

#[test]
fn code_04_a_resend_changes_neither_code_nor_expiry_nor_attempts() {
    let mut world = World::new();
    let number = Recipient::parse(Channel::Sms, "+31612345678").unwrap();
    let mut command = world.a_start();
    command.recipients.push(number);
    let first = world.start(command).unwrap().verification;
    let code = world.code(first.id);
    world.miss(first.id).unwrap();
    for channel in [Some(Channel::Sms), None, Some(Channel::Email)] {
        world.pass(30 * SECOND);
        let verification = world.resend(first.id, channel).unwrap().verification;
        assert_eq!(world.code(first.id), code);
        assert_eq!(verification.expires_at, first.expires_at);
        assert_eq!(
            verification.attempts_left(verification.live(world.now()).unwrap()),
            4
        );
    }
    let channels: Vec<_> = world
        .find(first.id)
        .deliveries
        .iter()
        .map(|delivery| delivery.channel)
        .collect();
    assert_eq!(
        channels,
        [Channel::Email, Channel::Sms, Channel::Sms, Channel::Email]
    );
    world.pass(30 * SECOND);
    assert!(matches!(
        world.resend(first.id, None),
        Err(Refusal::SendsExhausted { .. })
    ));
}

#[test]
fn a_resend_waits_for_its_cool_down_and_its_channel_must_be_permitted() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    world.pass(29 * SECOND);
    assert_eq!(
        world.resend(id, None).unwrap_err(),
        Refusal::ResendTooEarly {
            cooldown: 30 * SECOND,
            retry_after: SECOND
        }
    );
    world.pass(SECOND);
    let not_permitted = Refusal::ChannelNotPermitted {
        permitted: vec![Channel::Email],
    };
    assert_eq!(
        world.resend(id, Some(Channel::Whatsapp)).unwrap_err(),
        not_permitted
    );
    assert_eq!(
        world.resend(id, Some(Channel::Sms)).unwrap_err(),
        not_permitted,
        "no such recipient"
    );
    assert!(world.resend(id, None).is_ok());
}

#[test]
fn the_code_of_a_test_recipient_is_in_the_settings_and_its_guesses_are_counted() {
    let mut world = World::new();
    let code = Digits::from_ascii(b"246810").unwrap();
    world.tests = [(MAIL.clone(), code)].into_iter().collect();
    let id = world.started(Origin::Vouched);
    assert_eq!(world.code(id), "246810");
    assert_eq!(
        world.check(id, "246811").unwrap(),
        Verdict::Wrong { left: 4 }
    );
    assert_eq!(world.check(id, "246810").unwrap(), Verdict::Approved);
    let elsewhere = Recipient::parse(Channel::Email, "bert@example.org").unwrap();
    let command = Start {
        recipients: vec![elsewhere, MAIL.clone()],
        ..world.a_start()
    };
    let id = world.start(command).unwrap().verification.id;
    world.tests = TestRecipients::default();
    let derived = world.code(id);
    world.tests = [(MAIL.clone(), Digits::from_ascii(b"246810").unwrap())]
        .into_iter()
        .collect();
    assert_eq!(
        world.code(id),
        derived,
        "beside somebody else nothing is known beforehand"
    );
}

/// A verification with the longest life of a code, this many seconds after its start,
/// with this many resends.
fn aged(seconds: u32, resends: usize) -> (World, VerificationId) {
    let mut world = World::new();
    let command = Start {
        limits: Limits {
            code_lifetime: CODE_LIFETIME_MAX,
            ..limits()
        },
        ..world.a_start()
    };
    let started_at = world.at;
    let id = world.start(command).unwrap().verification.id;
    for _ in 0..resends {
        world.pass(30 * SECOND);
        world.resend(id, None).unwrap();
    }
    world.at = started_at.plus(seconds * SECOND);
    (world, id)
}

#[test]
fn code_05_a_code_dies_ten_minutes_after_its_start_also_after_resends() {
    for resends in [0, 3] {
        let (mut world, id) = aged(599, resends);
        let code = world.code(id);
        assert_eq!(world.check(id, &code), Ok(Verdict::Approved));
        let (mut world, id) = aged(600, resends);
        let code = world.code(id);
        world.pass(std::time::Duration::from_millis(1));
        assert_eq!(world.check(id, &code), Ok(Verdict::Expired));
    }
}

#[test]
fn code_06_of_parallel_right_guesses_one_approves() {
    for _ in 0..ROUNDS {
        let mut world = World::new();
        let id = world.started(Origin::Vouched);
        let code = world.code(id);
        // All of them load the same record, and all find the code right ...
        let stale = world.record.clone();
        let commands: Vec<_> = (0..PARALLEL)
            .map(|n| a_check(id, &format!("a{n}"), &code))
            .collect();
        let first = check(stale.clone(), &commands[0], &world.cx());
        let second = check(stale, &commands[1], &world.cx());
        assert_eq!(
            first.reply.as_ref().unwrap().verdict,
            second.reply.unwrap().verdict
        );
        // ... but only one commit succeeds; the others decide again on what it wrote.
        let mut approvals = usize::from(world.commit(first).unwrap().verdict == Verdict::Approved);
        for command in &commands[1..] {
            let decision = check(world.record.clone(), command, &world.cx());
            approvals += usize::from(world.commit(decision).unwrap().verdict == Verdict::Approved);
        }
        assert_eq!(approvals, 1);
    }
}

fn a_check(id: VerificationId, attempt: &str, text: &str) -> Check {
    Check {
        target: World::target(id),
        attempt: AttemptId::parse(attempt).unwrap(),
        guess: Guess::parse(text).unwrap(),
        entry_mode: EntryMode::Portal,
    }
}

#[test]
fn code_07_a_code_is_wrong_for_another_verification_and_takes_its_attempt() {
    let mut world = World::new();
    let one = world.started(Origin::Vouched);
    let command = Start {
        contact: Some(contact("call-2")),
        ..world.a_start()
    };
    let other = world.start(command).unwrap().verification.id;
    let code = world.code(one);
    assert_ne!(
        code,
        world.code(other),
        "equal by chance: choose another nonce"
    );
    assert_eq!(world.check(other, &code), Ok(Verdict::Wrong { left: 4 }));
    assert_eq!(world.check(one, &code), Ok(Verdict::Approved));
}

#[test]
fn code_08_whatever_is_swapped_the_code_is_wrong() {
    let mut world = World::new();
    let right = world.a_start();
    let id = world.start(right.clone()).unwrap().verification.id;
    let code = world.code(id);
    let swaps: [fn(&mut Start); 5] = [
        |start| start.tenant = TenantId::parse("insurer").unwrap(),
        |start| start.subject = SubjectId::parse("customer-2").unwrap(),
        |start| start.action = action("login"),
        |start| start.binding = binding("11"),
        |start| start.id.random = [7; 16],
    ];
    for swap in swaps {
        let mut swapped = right.clone();
        swap(&mut swapped);
        let mut world = World::new();
        let tenant = swapped.tenant.clone();
        let id = world.start(swapped).unwrap().verification.id;
        let command = Check {
            target: Target {
                tenant,
                ..World::target(id)
            },
            ..a_check(id, "a", &code)
        };
        let decision = check(world.record.clone(), &command, &world.cx());
        assert_eq!(
            world.commit(decision).unwrap().verdict,
            Verdict::Wrong { left: 4 }
        );
    }
    // The channel is not an input of the code.
    let mut world = World::new();
    let number = Recipient::parse(Channel::Sms, "+31612345678").unwrap();
    let id = world
        .start(Start {
            recipients: vec![number],
            ..right
        })
        .unwrap()
        .verification
        .id;
    assert_eq!(world.code(id), code);
}

#[test]
fn another_tenants_verification_is_not_found() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    let tenant = TenantId::parse("insurer").unwrap();
    let command = Check {
        target: Target {
            tenant,
            ..World::target(id)
        },
        ..a_check(id, "a", &code)
    };
    let decision = check(world.record.clone(), &command, &world.cx());
    assert_eq!(decision.next, Next::Same);
    assert_eq!(decision.reply.unwrap_err(), Refusal::NotFound);
}

#[test]
fn code_09_a_newer_start_of_the_same_contact_takes_the_place_of_the_older() {
    let mut world = World::new();
    let older = world.started(Origin::Vouched);
    let code = world.code(older);
    let newer = world.started(Origin::Vouched);
    assert_eq!(world.check(older, &code), Ok(Verdict::Closed));
    assert_eq!(
        world.ends(older),
        [Outcome::Canceled(CancelCause::Superseded)]
    );
    assert_eq!(world.find(newer).status(world.now()), Status::Pending);
}

#[test]
fn code_09_other_contacts_and_actions_live_beside_each_other_up_to_three() {
    let mut world = World::new();
    let ids: Vec<_> = ["call-1", "call-2"]
        .into_iter()
        .map(|name| {
            let command = Start {
                contact: Some(contact(name)),
                ..world.a_start()
            };
            world.start(command).unwrap().verification.id
        })
        .collect();
    let command = Start {
        contact: Some(contact("call-1")),
        action: action("login"),
        ..world.a_start()
    };
    let third = world.start(command).unwrap().verification.id;
    world.pass(MINUTE);
    let fourth = Start {
        contact: Some(contact("call-4")),
        ..world.a_start()
    };
    assert_eq!(
        world.start(fourth.clone()).unwrap_err(),
        Refusal::TooManyLive {
            origin: Origin::Vouched,
            of_network: false,
            limit: 3,
            retry_after: 4 * MINUTE
        }
    );
    for id in ids.into_iter().chain([third]) {
        let code = world.code(id);
        assert_eq!(world.check(id, &code), Ok(Verdict::Approved));
    }
    assert!(world.start(fourth).is_ok(), "there is room again");
}

#[test]
fn code_09_an_anonymous_start_supersedes_no_vouched_one() {
    let mut world = World::new();
    let vouched = world.started(Origin::Vouched);
    let anonymous = world.started(Origin::Anonymous);
    world.started(Origin::Anonymous);
    assert_eq!(
        world.find(anonymous).status(world.now()),
        Status::Closed(Outcome::Canceled(CancelCause::Superseded))
    );
    let code = world.code(vouched);
    assert_eq!(world.check(vouched, &code), Ok(Verdict::Approved));
}

#[test]
fn code_10_cancel_and_not_me_kill_the_code_at_once() {
    for (reason, outcome) in [
        (
            CancelReason::Requested,
            Outcome::Canceled(CancelCause::Requested),
        ),
        (CancelReason::NotMe, Outcome::Denied),
    ] {
        let mut world = World::new();
        let id = world.started(Origin::Vouched);
        let code = world.code(id);
        world.cancel(id, reason).unwrap();
        assert_eq!(world.check(id, &code), Ok(Verdict::Closed));
        assert_eq!(
            world
                .cancel(id, reason)
                .unwrap()
                .verification
                .status(world.now()),
            Status::Closed(outcome),
            "a repeat"
        );
        assert_eq!(world.ends(id), [outcome]);
    }
}

#[test]
fn a_cancel_after_another_end_is_refused() {
    let mut world = World::new();
    let id = world.started(Origin::Vouched);
    world.cancel(id, CancelReason::NotMe).unwrap();
    assert_eq!(
        world.cancel(id, CancelReason::Requested).unwrap_err(),
        Refusal::Closed
    );
}

#[test]
fn code_13_14_length_and_separators_of_the_action_take_no_attempt() {
    let mut world = World::new();
    let separators = Separators {
        space: false,
        hyphen: true,
    };
    let command = Start {
        limits: Limits {
            separators,
            ..limits()
        },
        ..world.a_start()
    };
    let id = world.start(command).unwrap().verification.id;
    let code = world.code(id);
    for malformed in [
        &format!("{code}0"),
        &format!("{} {}", &code[..3], &code[3..]),
    ] {
        for _ in 0..20 {
            assert_eq!(world.check(id, malformed), Err(Refusal::CodeMalformed));
        }
    }
    assert_eq!(world.find(id).answers, []);
    assert_eq!(
        world.check(id, &format!("{}-{}", &code[..3], &code[3..])),
        Ok(Verdict::Approved)
    );
}

#[test]
fn an_answer_where_none_may_be_given_takes_no_attempt() {
    let mut world = World::new();
    let command = Start {
        limits: Limits {
            entry_modes: vec![EntryMode::App],
            ..limits()
        },
        ..world.a_start()
    };
    let id = world.start(command).unwrap().verification.id;
    let code = world.code(id);
    let permitted = vec![EntryMode::App];
    assert_eq!(
        world.check(id, &code),
        Err(Refusal::EntryModeNotPermitted { permitted })
    );
    assert_eq!(world.find(id).answers, []);
}

#[test]
fn a_longer_code_is_asked_for_in_full() {
    let mut world = World::new();
    let code_length = CodeLength::new(8).unwrap();
    let command = Start {
        limits: Limits {
            code_length,
            ..limits()
        },
        ..world.a_start()
    };
    let id = world.start(command).unwrap().verification.id;
    let code = world.code(id);
    assert_eq!(world.check(id, &code[..6]), Err(Refusal::CodeMalformed));
    assert_eq!(world.check(id, &code), Ok(Verdict::Approved));
}

//! Stories of a key rotation (SEAL-06): what began under the old key can be finished under the new
//! one.

use std::sync::LazyLock;

use super::{
    fixtures::{MINUTE, wrong},
    world::World,
};
use crate::domain::{
    code::link::BrowserMark,
    crypto::keyring::{Keyring, Kid, SECRET_BYTES, Secret},
    decide::{Follow, Pressed, Start, Verdict, follow},
    ids::AttemptId,
    refusal::Refusal,
    verification::rules::Origin,
};

const BROWSER: &str = "a random value of the browser";

static BEFORE: LazyLock<Keyring> = LazyLock::new(|| ring_of(&["old"]));
static AFTER: LazyLock<Keyring> = LazyLock::new(|| ring_of(&["new", "old"]));
static DROPPED: LazyLock<Keyring> = LazyLock::new(|| ring_of(&["new"]));

/// A keyring whose secrets are made from their key ids.
fn ring_of(kids: &[&str]) -> Keyring {
    let secret = |kid: &&str| {
        (
            Kid::parse(kid).unwrap(),
            Secret::new([kid.as_bytes()[0]; SECRET_BYTES]),
        )
    };
    Keyring::new(
        &Secret::new([1; SECRET_BYTES]),
        &kids.iter().map(secret).collect::<Vec<_>>(),
    )
    .unwrap()
}

fn before() -> World {
    World::under(&BEFORE)
}

#[test]
fn seal_06_a_live_code_stays_right_when_a_new_key_becomes_current() {
    let mut world = before();
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    world.keyring = &AFTER;
    assert_eq!(
        world.code(id),
        code,
        "the mail that is still to be sent says the same"
    );
    assert_eq!(
        world.check(id, &wrong(&code)),
        Ok(Verdict::Wrong { left: 4 })
    );
    assert_eq!(world.check(id, &code), Ok(Verdict::Approved));
    let next = world.started(Origin::Vouched);
    assert_eq!(world.find(next).kid.as_str(), "new");
}

#[test]
fn seal_06_a_live_link_stays_right_when_a_new_key_becomes_current() {
    let mut world = before();
    let command = Start {
        browser: Some(BrowserMark::of(BROWSER)),
        ..world.a_start()
    };
    let id = world.start(command).unwrap().verification.id;
    let token = world.find(id).link(&BEFORE).unwrap();
    world.keyring = &AFTER;
    assert_eq!(world.find(id).link(&AFTER), Some(token.clone()));
    let attempt = AttemptId::parse("press").unwrap();
    let command = Follow {
        token,
        attempt,
        browser: Some(BrowserMark::of(BROWSER)),
    };
    let decision = follow(world.record.clone(), &command, &world.cx());
    assert_eq!(
        world.commit(decision),
        Ok(Pressed::Judged(Verdict::Approved))
    );
}

#[test]
fn seal_06_a_repeated_answer_is_recognised_after_a_rotation() {
    let mut world = before();
    let id = world.started(Origin::Vouched);
    let guess = wrong(&world.code(id));
    let first = world.check_as(id, "a", &guess).unwrap().verdict;
    world.keyring = &AFTER;
    assert_eq!(
        world.check_as(id, "a", &guess).unwrap().verdict,
        first,
        "no second attempt is taken"
    );
    let second = world.check_as(id, "b", &guess).unwrap().verdict;
    assert_eq!(
        world.check_as(id, "b", &guess).unwrap().verdict,
        second,
        "nor for one that was given since"
    );
    let code = world.code(id);
    assert_eq!(
        world.check_as(id, "a", &code).unwrap_err(),
        Refusal::AttemptIdReused
    );
}

#[test]
fn seal_06_a_resend_after_a_rotation_brings_the_same_code() {
    let mut world = before();
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    world.keyring = &AFTER;
    world.pass(MINUTE);
    world.resend(id, None).unwrap();
    assert_eq!(
        (world.code(id), world.find(id).kid.as_str()),
        (code.clone(), "old")
    );
    assert_eq!(world.check(id, &code), Ok(Verdict::Approved));
}

#[test]
fn seal_06_a_code_whose_key_left_the_ring_must_start_again_and_counts_nothing() {
    let mut world = before();
    let id = world.started(Origin::Vouched);
    let code = world.code(id);
    world.keyring = &DROPPED;
    assert_eq!(world.check(id, &code), Err(Refusal::StartAgain));
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

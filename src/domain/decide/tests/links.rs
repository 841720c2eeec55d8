//! Stories of links and decoys: which browser may press, and that a decoy has no right answer.

use super::{
    fixtures::{KEYRING, MINUTE, limits},
    world::World,
};
use crate::domain::{
    code::link::{BrowserMark, LinkToken},
    decide::{CancelReason, Follow, Pressed, Start, Verdict, verification::follow},
    ids::{AttemptId, VerificationId},
    refusal::Refusal,
    verification::rules::{EntryMode, Limits, Origin},
};

const BROWSER: &str = "a random value of the browser";

impl World {
    fn started_with_link(&mut self) -> VerificationId {
        let command = Start {
            browser: Some(BrowserMark::of(BROWSER)),
            ..self.a_start()
        };
        self.start(command).unwrap().verification.id
    }

    fn token(&self, id: VerificationId) -> LinkToken {
        self.find(id).link(&KEYRING).expect("it has a link")
    }

    fn press(&mut self, token: &LinkToken, browser: Option<&str>) -> Result<Pressed, Refusal> {
        let attempt = AttemptId::parse(&format!("link-{}", token.secret.expose())).unwrap();
        let command = Follow {
            token: token.clone(),
            attempt,
            browser: browser.map(BrowserMark::of),
        };
        let decision = follow(self.record.clone(), &command, &self.cx());
        self.commit(decision)
    }

    fn verdict(&mut self, token: &LinkToken) -> Verdict {
        match self.press(token, Some(BROWSER)).unwrap() {
            Pressed::Judged(verdict) => verdict,
            Pressed::OtherBrowser => panic!("it is the browser that asked"),
        }
    }

    fn attempts_left(&self, id: VerificationId) -> u8 {
        let verification = self.find(id);
        verification.attempts_left(verification.live(self.now()).unwrap())
    }
}

/// The same link with another secret.
fn forged(token: &LinkToken) -> LinkToken {
    let text = token.expose();
    let last = if text.ends_with('2') { "3" } else { "2" };
    LinkToken::parse(&format!("{}{last}", &text[..text.len() - 1])).unwrap()
}

#[test]
fn a_press_in_the_browser_that_asked_approves_once_and_its_repeat_says_so_again() {
    let mut world = World::new();
    let id = world.started_with_link();
    let token = world.token(id);
    let code = world.code(id);
    assert_eq!(world.verdict(&token), Verdict::Approved);
    assert_eq!(world.verdict(&token), Verdict::Approved, "pressed twice");
    assert_eq!(
        world.check(id, &code),
        Ok(Verdict::Closed),
        "and the code is spent with it"
    );
    assert_eq!(world.ends(id).len(), 1);
}

#[test]
fn mail_03_a_press_in_another_browser_changes_nothing() {
    let mut world = World::new();
    let id = world.started_with_link();
    let token = world.token(id);
    let before = world.record.clone();
    for browser in [None, Some("another"), Some("")] {
        for _ in 0..100 {
            assert_eq!(world.press(&token, browser), Ok(Pressed::OtherBrowser));
        }
    }
    assert_eq!(world.record, before);
    assert_eq!(world.verdict(&token), Verdict::Approved);
}

#[test]
fn guess_13_a_wrong_secret_takes_an_attempt_like_a_wrong_code() {
    let mut world = World::new();
    let id = world.started_with_link();
    let token = world.token(id);
    let forged = forged(&token);
    assert_eq!(world.verdict(&forged), Verdict::Wrong { left: 4 });
    assert_eq!(
        world.verdict(&forged),
        Verdict::Wrong { left: 4 },
        "a repeat takes no second one"
    );
    assert_eq!(world.attempts_left(id), 4);
    for left in (1..4).rev() {
        assert_eq!(world.miss(id), Ok(Verdict::Wrong { left }));
    }
    assert_eq!(world.miss(id), Ok(Verdict::AttemptsExhausted));
    assert_eq!(
        world.verdict(&token),
        Verdict::Closed,
        "the right one comes too late"
    );
}

#[test]
fn a_link_dies_with_its_verification() {
    let mut world = World::new();
    let id = world.started_with_link();
    let token = world.token(id);
    world.cancel(id, CancelReason::NotMe).unwrap();
    assert_eq!(world.verdict(&token), Verdict::Closed);
    let late = world.started_with_link();
    let token = world.token(late);
    world.pass(5 * MINUTE + MINUTE);
    assert_eq!(world.verdict(&token), Verdict::Expired);
    assert_eq!(
        world
            .find(late)
            .link(&KEYRING)
            .map(|token| token.verification),
        Some(late),
        "until it is swept"
    );
}

#[test]
fn without_a_browser_or_where_the_action_permits_none_there_is_no_link() {
    let mut world = World::new();
    let with = world.started_with_link();
    let known = world.token(with);
    let id = world.started(Origin::Vouched);
    assert!(world.find(id).link(&KEYRING).is_none());
    let guessed = LinkToken {
        verification: id,
        secret: known.secret.clone(),
    };
    assert_eq!(world.press(&guessed, Some(BROWSER)), Err(Refusal::NotFound));
    let typed = Limits {
        entry_modes: vec![EntryMode::Portal],
        ..limits()
    };
    let command = Start {
        browser: Some(BrowserMark::of(BROWSER)),
        limits: typed,
        ..world.a_start()
    };
    let id = world.start(command).unwrap().verification.id;
    let guessed = LinkToken {
        verification: id,
        secret: known.secret,
    };
    assert_eq!(world.press(&guessed, Some(BROWSER)), Err(Refusal::NotFound));
    assert_eq!(world.attempts_left(id), 5);
}

#[test]
fn mail_07_no_answer_to_a_decoy_is_right_and_it_counts_as_any_other() {
    let mut world = World::new();
    let command = Start {
        decoy: true,
        browser: Some(BrowserMark::of(BROWSER)),
        ..world.a_start()
    };
    let id = world.start(command).unwrap().verification.id;
    let (code, token) = (world.code(id), world.token(id));
    assert_eq!(world.check(id, &code), Ok(Verdict::Wrong { left: 4 }));
    assert_eq!(world.verdict(&token), Verdict::Wrong { left: 3 });
    for left in [2, 1] {
        assert_eq!(world.check(id, &code), Ok(Verdict::Wrong { left }));
    }
    assert_eq!(world.check(id, &code), Ok(Verdict::AttemptsExhausted));
    assert_eq!(world.check(id, &code), Ok(Verdict::Closed));
}

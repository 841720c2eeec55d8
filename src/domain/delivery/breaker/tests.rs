//! Stories of a breaker: when it opens, who probes, that it closes by itself, and what a refusal means to it.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const RULES: BreakerRules = BreakerRules {
    failures: 5,
    open: Duration::from_secs(10),
    open_max: Duration::from_secs(120),
    probe: Duration::from_secs(15),
};

fn at(seconds: u64) -> Now {
    let at = Timestamp::default().plus(Duration::from_secs(seconds));
    Now::new(at, at)
}

fn usual(n: u8) -> Passed {
    Passed {
        delivery: DeliveryId([n; 16]),
        area: [n; 16],
        role: PassedAs::Usual,
        seen: Vec::new(),
    }
}

fn probe(n: u8) -> Passed {
    Passed {
        role: PassedAs::Probe,
        ..usual(n)
    }
}

fn failed(breaker: &Breaker, passed: &Passed, now: Now) -> Breaker {
    breaker.after(passed, Sign::Fails, &RULES, now)
}

fn succeeded(breaker: &Breaker, passed: &Passed) -> Breaker {
    breaker.after(passed, Sign::Works, &RULES, at(0))
}

/// The breaker after refusals of these messages, each for the area with the number behind it.
fn refused(breaker: Breaker, messages: &[(u8, u8)]) -> Breaker {
    messages.iter().fold(breaker, |breaker, &(n, area)| {
        let passed = Passed {
            area: [area; 16],
            ..usual(n)
        };
        breaker.after(&passed, Sign::Refuses, &RULES, at(1))
    })
}

fn opened(seconds: u64) -> Breaker {
    (0..5).fold(Breaker::default(), |breaker, n| {
        failed(&breaker, &usual(n), at(seconds))
    })
}

#[test]
fn the_fifth_failure_in_a_row_opens_it() {
    let four = (0..4).fold(Breaker::default(), |breaker, n| {
        failed(&breaker, &usual(n), at(1))
    });
    assert_eq!(four.pass(at(1)), Pass::Free);
    let Pass::Shut { until } = failed(&four, &usual(4), at(1)).pass(at(1)) else {
        panic!("it is open")
    };
    assert_eq!(until, at(11).stamp());
    assert_eq!(
        succeeded(&four, &usual(5)),
        four,
        "what went out before they failed says nothing of them"
    );
    let reset = succeeded(
        &four,
        &Passed {
            seen: four.failures(),
            ..usual(5)
        },
    );
    assert_eq!(reset, Breaker::default());
    assert_eq!(
        failed(&reset, &usual(6), at(2)).pass(at(2)),
        Pass::Free,
        "the row begins anew"
    );
}

#[test]
fn one_message_that_fails_again_and_again_opens_nothing() {
    let poisoned = (0..100).fold(Breaker::default(), |breaker, _| {
        failed(&breaker, &usual(1), at(1))
    });
    assert_eq!(
        poisoned,
        Breaker::Closed {
            failed: vec![usual(1).delivery],
            refused: Refused::default()
        }
    );
    let two = (0..100).fold(Breaker::default(), |breaker, n| {
        failed(&breaker, &usual(n % 4), at(1))
    });
    assert_eq!(two.pass(at(1)), Pass::Free, "nor do four of them");
}

#[test]
fn after_its_time_one_message_probes_and_no_other() {
    let open = opened(0);
    assert_eq!(open.probe(&RULES, at(9)), None);
    assert_eq!(open.pass(at(10)), Pass::AsProbe);
    let half = open.probe(&RULES, at(10)).unwrap();
    assert_eq!(
        (half.pass(at(10)), half.probe(&RULES, at(10))),
        (
            Pass::Shut {
                until: at(10).stamp().plus(PROBE_PAUSE)
            },
            None
        )
    );
    assert_eq!(half.probe(&RULES, at(24)), None);
    assert_eq!(
        half.pass(at(25)),
        Pass::AsProbe,
        "the process that probed is gone"
    );
}

#[test]
fn a_probe_that_gets_through_closes_it() {
    let half = opened(0).probe(&RULES, at(10)).unwrap();
    assert_eq!(
        succeeded(&half, &usual(9)),
        half,
        "a straggler says nothing of now"
    );
    assert_eq!(succeeded(&half, &probe(9)), Breaker::default());
}

#[test]
fn each_probe_that_fails_opens_it_for_twice_as_long() {
    let (mut breaker, mut now, mut spans) = (opened(0), at(0), Vec::new());
    for _ in 0..6 {
        let Breaker::Open { until, .. } = breaker else {
            panic!("it is open")
        };
        spans.push(until.since(now.stamp()).as_secs());
        now = Now::new(until, until);
        breaker = failed(&breaker.probe(&RULES, now).unwrap(), &probe(9), now);
    }
    assert_eq!(spans, [10, 20, 40, 80, 120, 120]);
    let closed = succeeded(&breaker.probe(&RULES, at(10_000)).unwrap(), &probe(9));
    let again = (0..5).fold(closed, |breaker, n| failed(&breaker, &usual(n), at(0)));
    assert_eq!(
        again.pass(at(0)),
        Pass::Shut {
            until: at(10).stamp()
        },
        "a closed one forgets"
    );
}

#[test]
fn stragglers_do_not_prolong_it() {
    let open = opened(0);
    for sign in [Sign::Fails, Sign::Refuses, Sign::Nothing] {
        let late = open.after(&probe(7), sign, &RULES, at(5));
        assert_eq!(late, open, "a probe after whose time another one failed");
    }
    assert_eq!(succeeded(&open, &probe(7)), Breaker::default());
    assert_eq!(failed(&open, &usual(7), at(5)), open);
    assert_eq!(succeeded(&open, &usual(7)), open);
}

#[test]
fn with_clocks_apart_the_slower_one_lets_the_probe_go() {
    let apart = Now::new(at(12).stamp(), at(8).stamp());
    assert_eq!(
        opened(0).pass(apart),
        Pass::Shut {
            until: at(10).stamp()
        }
    );
}

#[test]
fn send_15_refusals_count_once_they_were_for_three_areas() {
    let one_area: Vec<_> = (0..100).map(|n| (n, 1)).collect();
    let two_areas: Vec<_> = (0..100).map(|n| (n, n % 2)).collect();
    for messages in [&one_area, &two_areas] {
        let breaker = refused(Breaker::default(), messages);
        assert_eq!(breaker.pass(at(1)), Pass::Free);
        assert!(breaker.failures().len() <= 10, "it keeps a bounded number");
    }
    let three = refused(Breaker::default(), &[(1, 1), (2, 2), (3, 3)]);
    assert_eq!(
        three.pass(at(1)),
        Pass::Free,
        "three messages are not yet five"
    );
    assert_eq!(
        refused(three.clone(), &[(1, 1), (2, 2), (3, 3)]).pass(at(1)),
        Pass::Free,
        "each message counts once"
    );
    assert_ne!(
        refused(three.clone(), &[(4, 1), (5, 1)]).pass(at(1)),
        Pass::Free
    );
    assert_ne!(
        failed(&failed(&three, &usual(8), at(1)), &usual(9), at(1)).pass(at(1)),
        Pass::Free,
        "together with what counts at once"
    );
    assert_ne!(
        refused(
            refused(Breaker::default(), &one_area),
            &[(101, 2), (102, 3)]
        )
        .pass(at(1)),
        Pass::Free,
        "the third area makes the others count"
    );
}

#[test]
fn send_15_a_success_between_refusals_clears_them_whenever_it_went_out() {
    let four = refused(Breaker::default(), &[(1, 1), (2, 2), (3, 3), (4, 4)]);
    assert_eq!(succeeded(&four, &usual(9)), Breaker::default());
    let failing = failed(&four, &usual(8), at(1));
    assert_ne!(failing.pass(at(1)), Pass::Free);
    let three = refused(Breaker::default(), &[(1, 1), (2, 2), (3, 3)]);
    let mixed = succeeded(&failed(&three, &usual(8), at(1)), &usual(9));
    assert_eq!(
        mixed.failures(),
        [usual(8).delivery],
        "what it went out before failed"
    );
}

#[test]
fn send_15_what_refusals_opened_still_takes_a_message_in_need() {
    let five = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)];
    let open = refused(Breaker::default(), &five);
    let until = at(11).stamp();
    assert_eq!(open.pass(at(1)), Pass::AtNeed { until });
    let half = open.probe(&RULES, at(11)).unwrap();
    assert!(matches!(half.pass(at(11)), Pass::AtNeed { .. }));
    for breaker in [&open, &half] {
        assert_eq!(
            succeeded(breaker, &usual(9)),
            Breaker::default(),
            "one on its way that succeeds shows that the recipients were at fault"
        );
        let repeat = Passed {
            role: PassedAs::Repeat,
            ..usual(9)
        };
        assert_eq!(
            breaker.after(&repeat, Sign::Refuses, &RULES, at(12)),
            *breaker
        );
    }
    let failing = failed(&half, &probe(9), at(12));
    assert!(
        matches!(failing.pass(at(12)), Pass::Shut { .. }),
        "a probe that fails shows that it is the sender"
    );
    let mixed = failed(&refused(Breaker::default(), &five[..4]), &usual(8), at(1));
    assert!(matches!(mixed.pass(at(1)), Pass::AtNeed { .. }));
}

#[test]
fn send_15_a_refusal_of_one_recipient_neither_closes_nor_reopens() {
    let half = opened(0).probe(&RULES, at(10)).unwrap();
    let about_recipient = half.after(&probe(1), Sign::Nothing, &RULES, at(11));
    assert_eq!(
        about_recipient.pass(at(11)),
        Pass::AsProbe,
        "the next message probes at once"
    );
    let mut breaker = half;
    for n in 1..=2 {
        breaker = breaker.after(&probe(n), Sign::Refuses, &RULES, at(11));
        assert_eq!(breaker.pass(at(11)), Pass::AsProbe);
        breaker = breaker.probe(&RULES, at(11)).unwrap();
        assert_eq!(
            breaker.pass(at(11)),
            Pass::Shut {
                until: at(11).stamp().plus(PROBE_PAUSE)
            }
        );
    }
    let Breaker::Open {
        until,
        times: 2,
        by_refusals: true,
    } = breaker.after(&probe(3), Sign::Refuses, &RULES, at(11))
    else {
        panic!("three areas refuse: the sender does not work yet")
    };
    assert_eq!(until, at(31).stamp());
    assert_eq!(succeeded(&breaker, &probe(4)), Breaker::default());
}

#[test]
fn send_15_a_message_that_was_refused_before_shows_at_most_that_the_sender_works() {
    let repeat = Passed {
        role: PassedAs::Repeat,
        ..usual(1)
    };
    let half = opened(0).probe(&RULES, at(10)).unwrap();
    for breaker in [opened(0), half] {
        for sign in [Sign::Fails, Sign::Refuses, Sign::Nothing] {
            assert_eq!(breaker.after(&repeat, sign, &RULES, at(10)), breaker);
        }
        assert_eq!(succeeded(&breaker, &repeat), Breaker::default());
    }
}

proptest! {
    /// In any order of events, it never stays open for ever, and a closed one always holds fewer
    /// failures than open it.
    #[test]
    fn it_always_comes_to_a_probe(steps in prop::collection::vec((0_u8..6, 0_u8..8, 0_u64..40), 0..200)) {
        let (mut breaker, mut seconds) = (Breaker::default(), 0);
        for (step, n, passed) in steps {
            seconds += passed;
            breaker = match step {
                0 => failed(&breaker, &usual(n), at(seconds)),
                1 => failed(&breaker, &probe(n), at(seconds)),
                2 => breaker.after(&usual(n), Sign::Refuses, &RULES, at(seconds)),
                3 => breaker.after(&probe(n), Sign::Refuses, &RULES, at(seconds)),
                4 => succeeded(&breaker, &if n % 2 == 0 { usual(n) } else { probe(n) }),
                _ => breaker.probe(&RULES, at(seconds)).unwrap_or(breaker),
            };
            match &breaker {
                Breaker::Closed { failed, refused } => {
                    prop_assert!(failed.len() + refused.count() < 5);
                    prop_assert!(refused.messages().len() <= 10);
                }
                Breaker::Open { until, .. } | Breaker::HalfOpen { until, .. } => {
                    prop_assert!(until.since(at(seconds).stamp()) <= 120 * SECOND);
                }
            }
        }
    }
}

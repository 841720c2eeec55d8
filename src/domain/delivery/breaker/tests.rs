//! Stories of a breaker: when it opens, who probes, and that it closes by itself.

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
        as_probe: false,
        seen: Vec::new(),
    }
}

fn probe(n: u8) -> Passed {
    Passed {
        as_probe: true,
        ..usual(n)
    }
}

fn opened(seconds: u64) -> Breaker {
    (0..5).fold(Breaker::default(), |breaker, n| {
        breaker.failed(&usual(n), &RULES, at(seconds))
    })
}

#[test]
fn the_fifth_failure_in_a_row_opens_it() {
    let four = (0..4).fold(Breaker::default(), |breaker, n| {
        breaker.failed(&usual(n), &RULES, at(1))
    });
    assert_eq!(four.pass(at(1)), Pass::Free);
    let Pass::Shut { until } = four.failed(&usual(4), &RULES, at(1)).pass(at(1)) else {
        panic!("it is open")
    };
    assert_eq!(until, at(11).stamp());
    assert_eq!(
        four.succeeded(&usual(5)),
        four,
        "what went out before they failed says nothing of them"
    );
    let reset = four.succeeded(&Passed {
        seen: four.failures().to_vec(),
        ..usual(5)
    });
    assert_eq!(reset, Breaker::default());
    assert_eq!(
        reset.failed(&usual(6), &RULES, at(2)).pass(at(2)),
        Pass::Free,
        "the row begins anew"
    );
}

#[test]
fn one_message_that_fails_again_and_again_opens_nothing() {
    let poisoned = (0..100).fold(Breaker::default(), |breaker, _| {
        breaker.failed(&usual(1), &RULES, at(1))
    });
    assert_eq!(
        poisoned,
        Breaker::Closed {
            failed: vec![usual(1).delivery]
        }
    );
    let two = (0..100).fold(Breaker::default(), |breaker, n| {
        breaker.failed(&usual(n % 4), &RULES, at(1))
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
                until: at(11).stamp()
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
        half.succeeded(&usual(9)),
        half,
        "a straggler says nothing of now"
    );
    assert_eq!(half.succeeded(&probe(9)), Breaker::default());
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
        breaker = breaker
            .probe(&RULES, now)
            .unwrap()
            .failed(&probe(9), &RULES, now);
    }
    assert_eq!(spans, [10, 20, 40, 80, 120, 120]);
    let closed = breaker
        .probe(&RULES, at(10_000))
        .unwrap()
        .succeeded(&probe(9));
    let again = (0..5).fold(closed, |breaker, n| {
        breaker.failed(&usual(n), &RULES, at(0))
    });
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
    assert_eq!(open.failed(&usual(7), &RULES, at(5)), open);
    assert_eq!(open.succeeded(&usual(7)), open);
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

proptest! {
    /// In any order of events, it never stays open for ever, and a closed one always holds fewer
    /// failures than open it.
    #[test]
    fn it_always_comes_to_a_probe(steps in prop::collection::vec((0_u8..4, 0_u8..8, 0_u64..40), 0..200)) {
        let (mut breaker, mut seconds) = (Breaker::default(), 0);
        for (step, n, passed) in steps {
            seconds += passed;
            breaker = match step {
                0 => breaker.failed(&usual(n), &RULES, at(seconds)),
                1 => breaker.failed(&probe(n), &RULES, at(seconds)),
                2 => breaker.succeeded(&if n % 2 == 0 { usual(n) } else { probe(n) }),
                _ => breaker.probe(&RULES, at(seconds)).unwrap_or(breaker),
            };
            match &breaker {
                Breaker::Closed { failed } => prop_assert!(failed.len() < 5),
                Breaker::Open { until, .. } | Breaker::HalfOpen { until, .. } => {
                    prop_assert!(until.since(at(seconds).stamp()) <= 120 * SECOND);
                }
            }
        }
    }
}

//! Stories of routes: order of senders, breakers, refusals, pauses.

use proptest::prelude::*;

use super::*;

const FREE: Pass = Pass::Free;

fn now() -> Now {
    let at = Timestamp::from_micros(1_000_000_000);
    Now::new(at, at)
}

fn shut(seconds: u64) -> Pass {
    Pass::Shut {
        until: now().stamp().plus(Duration::from_secs(seconds)),
    }
}

fn route_state(position: usize) -> RouteState {
    RouteState {
        position,
        refusals: Refusals::default(),
        deferrals: Refusals::default(),
        tries: 1,
    }
}

fn ask(place: usize) -> Choice {
    Choice::Ask {
        place,
        as_probe: false,
    }
}

fn hold(seconds: u64) -> Choice {
    Choice::Hold {
        until: now().stamp().plus(Duration::from_secs(seconds)),
    }
}

fn ids(count: u32) -> impl Iterator<Item = DeliveryId> {
    (0..count).map(|n| {
        let half = mixed(u64::from(n)).to_be_bytes();
        DeliveryId(std::array::from_fn(|at| {
            half[at % 8].wrapping_add(u8::try_from(at).unwrap())
        }))
    })
}

#[test]
fn each_sender_comes_first_as_often_as_its_weight_says() {
    let firsts = ids(10_000).filter(|id| order(&[3, 1], id)[0] == 0).count();
    assert!((7300..7700).contains(&firsts), "{firsts} of 10000");
    let seconds = ids(10_000)
        .filter(|id| order(&[8, 1, 1], id)[1] == 0)
        .count();
    // Sender 0 comes second if it is not first (2 of 10) and then beats the other one that is left
    // (8 of 9).
    assert!((1600..1950).contains(&seconds), "{seconds} of 10000");
}

#[test]
fn without_weights_the_order_is_that_of_the_list() {
    for id in ids(100) {
        assert_eq!(order(&[0, 0, 0], &id), [0, 1, 2]);
        assert_eq!(
            order(&[0, 1, 0], &id),
            [1, 0, 2],
            "those without weight are spares"
        );
    }
}

proptest! {
    #[test]
    fn an_order_holds_every_sender_once_and_is_the_same_for_every_try(weights in prop::collection::vec(0_u16..1000, 0..8), id: [u8; 16]) {
        let first = order(&weights, &DeliveryId(id));
        prop_assert_eq!(&first, &order(&weights, &DeliveryId(id)));
        let mut sorted = first;
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..weights.len()).collect::<Vec<_>>());
    }

    /// A breaker delays a message and never fails it, and no sender is asked that refused the
    /// message or has an open breaker.
    #[test]
    fn a_breaker_never_fails_a_message(kinds in prop::collection::vec(0_u8..3, 1..8), bits: u8, position in 0_usize..9) {
        let passes: Vec<Pass> = kinds.iter().map(|kind| [FREE, Pass::AsProbe, shut(7)][usize::from(*kind)]).collect();
        let refusals = Refusals::from_bits(bits);
        let all_refused = (0..passes.len()).all(|place| !refusals.allow(place));
        match choose(&passes, RouteState { refusals, ..route_state(position) }, now()) {
            Choice::Ask { place, as_probe } => {
                prop_assert!(place >= position && refusals.allow(place));
                prop_assert_eq!(passes[place], if as_probe { Pass::AsProbe } else { FREE });
            }
            Choice::Hold { until } => prop_assert!(until > now().stamp()),
            Choice::Nobody => prop_assert!(all_refused),
        }
    }

    #[test]
    fn hook_04_a_pause_is_spread_within_its_bounds(millis in 1_u64..600_000, random: [u8; 2]) {
        let pause = Duration::from_millis(millis);
        let spread = spread(pause, random);
        prop_assert!(spread >= pause && spread <= pause.mul_f64(1.2) + Duration::from_nanos(2));
    }
}

#[test]
fn hook_04_pauses_of_messages_that_failed_together_differ() {
    let pause = Duration::from_secs(10);
    assert_eq!(
        [[0, 0], [128, 0], [255, 255]].map(|random| spread(pause, random).as_millis()),
        [10_000, 11_000, 12_000]
    );
}

#[test]
fn an_open_sender_is_passed_over_while_another_may_take_the_message() {
    assert_eq!(choose(&[FREE, FREE], route_state(0), now()), ask(0));
    assert_eq!(choose(&[shut(9), FREE], route_state(0), now()), ask(1));
    assert_eq!(
        choose(&[shut(9), shut(5), FREE], route_state(0), now()),
        ask(2)
    );
}

#[test]
fn with_none_left_it_waits_for_the_first_that_opens() {
    assert_eq!(choose(&[shut(9), shut(5)], route_state(0), now()), hold(5));
    assert_eq!(choose(&[shut(9)], route_state(0), now()), hold(9));
    assert_eq!(
        choose(&[Pass::AsProbe], route_state(0), now()),
        Choice::Ask {
            place: 0,
            as_probe: true
        }
    );
}

#[test]
fn send_15_a_message_that_a_sender_refused_before_is_never_its_probe() {
    let state = RouteState {
        deferrals: Refusals::default().with(0),
        tries: 2,
        ..route_state(0)
    };
    let passes = [Pass::AsProbe, Pass::AsProbe];
    assert_eq!(
        choose(&passes, state, now()),
        ask(0),
        "it goes as one of many"
    );
    let second = RouteState {
        position: 1,
        ..state
    };
    assert_eq!(
        choose(&passes, second, now()),
        Choice::Ask {
            place: 1,
            as_probe: true
        },
        "the other sender has not refused it"
    );
}

#[test]
fn one_that_was_asked_in_this_round_gets_its_pause() {
    assert_eq!(choose(&[FREE, shut(9)], route_state(1), now()), hold(2));
    assert_eq!(
        choose(
            &[FREE, shut(9)],
            RouteState {
                tries: 3,
                ..route_state(1)
            },
            now()
        ),
        hold(8)
    );
    assert_eq!(
        choose(
            &[FREE, shut(1)],
            RouteState {
                tries: 3,
                ..route_state(1)
            },
            now()
        ),
        hold(1)
    );
}

#[test]
fn one_that_was_passed_over_is_waited_for_when_the_others_refuse() {
    let refused = Refusals::default().with(1);
    assert_eq!(
        choose(
            &[shut(9), FREE],
            RouteState {
                refusals: refused,
                ..route_state(1)
            },
            now()
        ),
        hold(9)
    );
    assert_eq!(
        choose(
            &[shut(9), FREE],
            RouteState {
                refusals: refused.with(0),
                ..route_state(0)
            },
            now()
        ),
        Choice::Nobody
    );
    assert_eq!(choose(&[], route_state(0), now()), Choice::Nobody);
}

#[test]
fn after_the_last_sender_the_first_comes_again_with_rising_pauses() {
    let after = Some(Duration::from_secs(3));
    assert_eq!(onward(2, route_state(0), after), Onward::To(1));
    let pauses: Vec<_> = [1, 2, 3, 6, 8]
        .map(|tries| {
            onward(
                2,
                RouteState {
                    tries,
                    ..route_state(1)
                },
                after,
            )
        })
        .into();
    assert_eq!(
        pauses,
        [3, 6, 12, 96, 96].map(|seconds| Onward::Round(Duration::from_secs(seconds)))
    );
}

#[test]
fn what_every_sender_refused_goes_nowhere() {
    let refusals = Refusals::default().with(1);
    assert_eq!(
        onward(
            2,
            RouteState {
                refusals,
                ..route_state(1)
            },
            None
        ),
        Onward::Round(PAUSE),
        "the first only failed"
    );
    assert_eq!(
        onward(
            2,
            RouteState {
                refusals: refusals.with(0),
                ..route_state(1)
            },
            None
        ),
        Onward::Nowhere
    );
    assert_eq!(
        onward(
            1,
            RouteState {
                refusals: refusals.with(0),
                ..route_state(0)
            },
            None
        ),
        Onward::Nowhere
    );
}

#[test]
fn refusals_survive_being_stored() {
    let refusals = Refusals::default().with(0).with(7).with(8);
    assert_eq!(Refusals::from_bits(refusals.bits()), refusals);
    assert_eq!(
        [0, 1, 7, 8].map(|place| refusals.allow(place)),
        [false, true, false, true],
        "there is no ninth"
    );
}

#[test]
fn send_15_a_sender_that_refusals_opened_is_asked_if_no_other_can_be() {
    let at_need = Pass::AtNeed {
        until: now().stamp().plus(Duration::from_secs(7)),
    };
    for (passes, chosen) in [
        (vec![at_need], ask(0)),
        (vec![at_need, FREE], ask(1)),
        (vec![at_need, shut(3)], ask(0)),
        (vec![shut(3), at_need], ask(1)),
    ] {
        assert_eq!(choose(&passes, route_state(0), now()), chosen, "{passes:?}");
    }
    let deferred = RouteState {
        deferrals: Refusals::default().with(0),
        ..route_state(0)
    };
    assert!(
        matches!(choose(&[at_need], deferred, now()), Choice::Hold { .. }),
        "what it has deferred waits"
    );
}

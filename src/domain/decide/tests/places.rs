//! Stories of the places for live verifications that anybody may start: one for each network, three in all.

use super::{
    fixtures::{MINUTE, action, contact},
    world::World,
};
use crate::domain::{
    decide::{Start, Verdict},
    limit::quota::Network,
    refusal::Refusal,
    verification::{CancelCause, Outcome, Status, binding::Binding, rules::Origin},
};

/// An anonymous start from this address on this contact; empty: none.
fn from(world: &mut World, address: &str, on: &str) -> Start {
    Start {
        origin: Origin::Anonymous,
        network: Network::parse(address).ok(),
        contact: (!on.is_empty()).then(|| contact(on)),
        ..world.a_start()
    }
}

fn too_many(of_network: bool, limit: usize) -> Refusal {
    Refusal::TooManyLive {
        origin: Origin::Anonymous,
        of_network,
        limit,
        retry_after: 5 * MINUTE,
    }
}

#[test]
fn guess_12_one_network_has_one_anonymous_verification_and_all_have_three() {
    let mut world = World::new();
    let mut started = Vec::new();
    for address in ["192.0.2.7", "198.51.100.7", "2001:db8:1:2::7"] {
        let command = from(&mut world, address, "");
        started.push(world.start(command).unwrap().verification.id);
    }
    for (address, of_network, limit) in [
        // A neighbour on another contact: the place of that network is taken.
        ("192.0.2.99", true, 1),
        ("2001:db8:1:2:ffff::1", true, 1),
        ("2001:db8:1:ff02::7", true, 1),
        // A fourth network: all places are taken.
        ("203.0.113.7", false, 3),
        ("2001:db8:2:2::7", false, 3),
        ("", false, 3),
    ] {
        let command = from(&mut world, address, "another");
        let refused = world.start(command).unwrap_err();
        assert_eq!(refused, too_many(of_network, limit), "{address:?}");
    }
    for id in started {
        assert_eq!(world.find(id).status(world.now()), Status::Pending);
    }
    let command = world.a_start();
    world
        .start(command)
        .expect("vouched ones have places of their own");
}

#[test]
fn guess_12_a_start_from_another_network_does_not_end_the_customers_verification() {
    let mut world = World::new();
    let command = from(&mut world, "192.0.2.7", "");
    let customers = world.start(command).unwrap().verification.id;
    let command = from(&mut world, "198.51.100.7", "");
    let strangers = world.start(command).unwrap().verification.id;
    assert_eq!(world.find(customers).status(world.now()), Status::Pending);
    // Another address of the customer's own network, such as a second device.
    let command = from(&mut world, "192.0.2.99", "");
    let again = world.start(command).unwrap().verification.id;
    assert_eq!(
        world.find(customers).status(world.now()),
        Status::Closed(Outcome::Canceled(CancelCause::Superseded))
    );
    assert_eq!(world.find(strangers).status(world.now()), Status::Pending);
    let code = world.code(again);
    assert_eq!(world.check(again, &code), Ok(Verdict::Approved));
}

#[test]
fn guess_12_a_dropped_call_that_comes_back_is_a_contact_of_its_own() {
    let mut world = World::new();
    for call in ["call-1", "call-2", "call-3"] {
        let command = from(&mut world, "", call);
        world.start(command).unwrap();
    }
    let command = from(&mut world, "", "call-4");
    assert_eq!(world.start(command).unwrap_err(), too_many(false, 3));
    let command = from(&mut world, "", "call-2");
    world
        .start(command)
        .expect("it takes the place of the older one");
    // Without a network and without a contact, all starts share one place.
    let mut world = World::new();
    let command = from(&mut world, "", "");
    world.start(command).unwrap();
    let login = Start {
        action: action("login"),
        ..from(&mut world, "", "")
    };
    assert_eq!(world.start(login).unwrap_err(), too_many(true, 1));
}

#[test]
fn guess_12_a_stranger_cannot_fill_the_record_with_long_starts() {
    let mut world = World::new();
    let long = |name: &str| (name.to_owned(), "x".repeat(500));
    let long = Binding::parse(["a", "b", "c", "d", "e", "f", "g", "h"].map(long).into()).unwrap();
    let mut start = |address: &str| {
        let command = Start {
            binding: long.clone(),
            ..from(&mut world, address, "")
        };
        world.start(command)
    };
    start("192.0.2.7").unwrap();
    assert!(start("198.51.100.7").is_ok(), "about 4 KiB each");
    assert_eq!(start("203.0.113.7").unwrap_err(), too_many(false, 2));
    // A customer's start of usual length finds its place.
    let usual = from(&mut world, "203.0.113.7", "");
    assert!(world.start(usual).is_ok());
}

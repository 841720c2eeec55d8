//! Finds free ports.

use std::{
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

/// Below the range that the system uses for outgoing connections. A server that was killed then finds its port free,
/// and a client that reconnects to it in a loop cannot connect to itself.
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

/// Each process begins at another port, so that two at the same time seldom try the same one.
#[expect(
    clippy::cast_possible_truncation,
    reason = "any part of a hash is random"
)]
static NEXT: LazyLock<AtomicU16> =
    LazyLock::new(|| AtomicU16::new(RandomState::new().hash_one(0) as u16));

/// A port that was free a moment ago; retry with another if it is taken by now.
pub fn free() -> u16 {
    let candidate = || FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
    let free = |port: &u16| TcpListener::bind(loopback(*port)).is_ok();
    (0..COUNT)
        .map(|_| candidate())
        .find(free)
        .expect("one of all ports is free")
}

pub fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

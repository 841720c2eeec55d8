//! Counts connections by the address of the peer, so that one peer cannot take those of others.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// Refused because the listener has as many connections as it admits.
pub(super) const LISTENER_FULL: &str = "listener_full";
/// Refused because the peer has as many connections as one may have.
pub(super) const PEER_FULL: &str = "peer_full";
/// Closed while on trial or idle, because a newer connection needed its place.
pub(super) const DISPLACED: &str = "displaced";

/// A peer as connections and bodies are counted: an IPv4 address, or the /64 prefix of an IPv6 address, because one
/// machine can use all addresses in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(IpAddr);

impl Peer {
    /// The peer to which this address belongs.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(long) => IpAddr::V6((u128::from(long) & !u128::from(u64::MAX)).into()),
            short @ IpAddr::V4(_) => short,
        })
    }
}

/// The length of the prefix of IPv6 addresses that stand for IPv4 addresses (RFC 4291, section 2.5.5.2).
const MAPPED_PREFIX: u32 = 96;

/// A range of addresses in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    first: IpAddr,
    prefix: u32,
}

impl AddressRange {
    /// Parses an address, or an address with the length of a prefix, such as `10.0.0.0/8`.
    ///
    /// # Errors
    /// The end of a sentence that says what the text must be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "must be an IP address or a range such as 10.0.0.0/8";
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| FORM)?;
        let bits = if first.is_ipv4() { 32 } else { 128 };
        let prefix: u32 = match prefix {
            None => bits,
            Some(digits) => digits.parse().map_err(|_| FORM)?,
        };
        if prefix > bits {
            return Err("has a prefix that is longer than its address");
        }
        match (first.to_canonical(), prefix.checked_sub(MAPPED_PREFIX)) {
            // Addresses are compared in their canonical form.
            (short @ IpAddr::V4(_), Some(prefix)) if first.is_ipv6() => Ok(Self {
                first: short,
                prefix,
            }),
            _ => Ok(Self { first, prefix }),
        }
    }

    /// Whether the address is in this range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(other)) => {
                let differ = u32::from(first) ^ u32::from(other);
                differ.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(first), IpAddr::V6(other)) => {
                let differ = u128::from(first) ^ u128::from(other);
                differ.leading_zeros() >= self.prefix
            }
            _ => false,
        }
    }
}

/// The places for the connections of one listener.
pub(super) struct Seats {
    total_max: usize,
    peer_max: Option<usize>,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    /// The number of the next connection, or of the next change of one; numbers rise with time.
    next: u64,
    /// All connections, by their numbers.
    all: HashMap<u64, Place>,
    by_peer: HashMap<Peer, OfPeer>,
    /// The connections that yield their places, those first that have yielded for longest.
    yielding: BTreeMap<u64, u64>,
}

/// The place of one connection.
struct Place {
    /// `None` for a trusted proxy, whose connections belong to no peer.
    peer: Option<Peer>,
    /// Since when it yields its place; `None` while it does not.
    yields_since: Option<u64>,
    /// Canceled when the connection must make room for a newer one.
    closes: CancellationToken,
}

#[derive(Default)]
struct OfPeer {
    open: usize,
    /// As that of all peers.
    yielding: BTreeMap<u64, u64>,
}

impl Seats {
    pub(super) fn new(total_max: usize, peer_max: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            total_max,
            peer_max,
            taken: Mutex::default(),
        })
    }

    /// Takes a place for a connection of this peer; `None` for a trusted proxy, which is not counted as a peer. If
    /// there is no place, the connection is closed for it that has been on trial or idle for longest: of the same
    /// peer if that one has too many.
    ///
    /// # Errors
    /// The reason for the metric, if nobody can be closed.
    pub(super) fn take(self: &Arc<Self>, peer: Option<Peer>) -> Result<Seat, &'static str> {
        let mut taken = self.lock();
        let of_peer = peer.and_then(|peer| taken.by_peer.get(&peer));
        let peer_is_full =
            of_peer.is_some_and(|of| self.peer_max.is_some_and(|max| of.open >= max));
        if peer_is_full {
            let longest = of_peer.and_then(|of| of.yielding.values().next().copied());
            taken.displace(longest).ok_or(PEER_FULL)?;
        } else if taken.all.len() >= self.total_max {
            let longest = taken.yielding.values().next().copied();
            taken.displace(longest).ok_or(LISTENER_FULL)?;
        }
        let number = taken.number();
        let closes = CancellationToken::new();
        let place = Place {
            peer,
            yields_since: None,
            closes: closes.clone(),
        };
        taken.all.insert(number, place);
        if let Some(peer) = peer {
            taken.by_peer.entry(peer).or_default().open += 1;
        }
        taken.rest(number);
        drop(taken);
        Ok(Seat {
            seats: self.clone(),
            number,
            is_of_proxy: peer.is_none(),
            displaced: closes,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        // Every change is complete before anything can panic.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Closes a connection and frees its place at once.
    fn displace(&mut self, number: Option<u64>) -> Option<()> {
        let number = number?;
        let closes = self.all.get(&number)?.closes.clone();
        self.remove(number);
        closes.cancel();
        Some(())
    }

    /// The connection keeps its place.
    fn keep(&mut self, number: u64) {
        let Some(place) = self.all.get_mut(&number) else {
            return;
        };
        let Some(since) = place.yields_since.take() else {
            return;
        };
        self.yielding.remove(&since);
        if let Some(of_peer) = place.peer.and_then(|peer| self.by_peer.get_mut(&peer)) {
            of_peer.yielding.remove(&since);
        }
    }

    /// The connection yields its place from now on.
    fn rest(&mut self, number: u64) {
        self.keep(number);
        let since = self.number();
        let Some(place) = self.all.get_mut(&number) else {
            return;
        };
        place.yields_since = Some(since);
        self.yielding.insert(since, number);
        if let Some(of_peer) = place.peer.and_then(|peer| self.by_peer.get_mut(&peer)) {
            of_peer.yielding.insert(since, number);
        }
    }

    fn remove(&mut self, number: u64) {
        self.keep(number);
        let Some(peer) = self.all.remove(&number).and_then(|place| place.peer) else {
            return;
        };
        let Some(of_peer) = self.by_peer.get_mut(&peer) else {
            return;
        };
        of_peer.open -= 1;
        if of_peer.open == 0 {
            self.by_peer.remove(&peer);
        }
    }
}

/// The place of one open connection; free again when dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    /// Whether a trusted proxy has it.
    pub(super) is_of_proxy: bool,
    /// Canceled when the connection must make room for a newer one.
    pub(super) displaced: CancellationToken,
}

impl Seat {
    /// The connection is in use: until it rests it is never closed for a newer one.
    pub(super) fn keep(&self) {
        self.seats.lock().keep(self.number);
    }

    /// The connection is idle: it may be closed for a newer one, after those that have been idle for longer.
    pub(super) fn rest(&self) {
        self.seats.lock().rest(self.number);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::of(text.parse().unwrap())
    }

    #[test]
    fn net_15_a_full_peer_displaces_its_own_trials_and_touches_nobody_else() {
        let seats = Seats::new(10, Some(2));
        let first = seats.take(Some(peer("192.0.2.1"))).unwrap();
        let other = seats.take(Some(peer("192.0.2.2"))).unwrap();
        let second = seats.take(Some(peer("192.0.2.1"))).unwrap();
        let third = seats.take(Some(peer("192.0.2.1"))).unwrap();
        assert!(
            first.displaced.is_cancelled(),
            "the oldest of the same peer"
        );
        assert!(!second.displaced.is_cancelled() && !other.displaced.is_cancelled());
        second.keep();
        third.keep();
        assert_eq!(seats.take(Some(peer("192.0.2.1"))).err(), Some(PEER_FULL));
        drop(first);
        assert_eq!(
            seats.take(Some(peer("192.0.2.1"))).err(),
            Some(PEER_FULL),
            "its place was free already"
        );
        drop(second);
        assert!(seats.take(Some(peer("192.0.2.1"))).is_ok());
        assert!(!other.displaced.is_cancelled());
    }

    #[test]
    fn net_15_a_full_listener_closes_the_oldest_trial_and_never_a_proved_connection() {
        let seats = Seats::new(2, Some(2));
        let proved = seats.take(Some(peer("192.0.2.1"))).unwrap();
        proved.keep();
        let on_trial = seats.take(Some(peer("192.0.2.2"))).unwrap();
        let newer = seats.take(Some(peer("192.0.2.3"))).unwrap();
        assert!(on_trial.displaced.is_cancelled() && !proved.displaced.is_cancelled());
        newer.keep();
        assert_eq!(
            seats.take(Some(peer("192.0.2.4"))).err(),
            Some(LISTENER_FULL)
        );
        drop((proved, on_trial, newer));
        let taken = seats.lock();
        assert!(taken.all.is_empty() && taken.by_peer.is_empty() && taken.yielding.is_empty());
    }

    #[test]
    fn net_15_the_connection_that_is_idle_for_longest_yields_its_place() {
        let seats = Seats::new(3, None);
        let all: Vec<_> = (1..4)
            .map(|n| seats.take(Some(peer(&format!("192.0.2.{n}")))).unwrap())
            .collect();
        for seat in &all {
            seat.keep();
        }
        // The second has been idle for longer than the first, which had one more request; the third is in use.
        for idle in [&all[0], &all[1], &all[0]] {
            idle.keep();
            idle.rest();
        }
        let newer = seats.take(Some(peer("192.0.2.9"))).unwrap();
        let closed: Vec<_> = all
            .iter()
            .map(|seat| seat.displaced.is_cancelled())
            .collect();
        assert_eq!(closed, [false, true, false]);
        let newest = seats.take(Some(peer("192.0.2.9"))).unwrap();
        assert!(all[0].displaced.is_cancelled() && !newer.displaced.is_cancelled());
        // What was displaced has no place to return to.
        all[0].rest();
        newer.keep();
        newest.keep();
        assert_eq!(seats.take(None).err(), Some(LISTENER_FULL));
    }

    #[test]
    fn net_15_a_trusted_proxy_and_a_limit_of_zero_are_not_counted_per_peer() {
        for (max, peer) in [(Some(1), None), (None, Some(peer("192.0.2.1")))] {
            let seats = Seats::new(10, max);
            let all: Vec<_> = (0..10).map(|_| seats.take(peer).unwrap()).collect();
            assert!(all.iter().all(|seat| !seat.displaced.is_cancelled()));
        }
    }

    #[test]
    fn a_peer_is_an_address_or_a_network_of_64_bits() {
        assert_eq!(peer("192.0.2.7"), peer("::ffff:192.0.2.7"));
        assert_ne!(peer("192.0.2.7"), peer("192.0.2.8"));
        assert_eq!(peer("2001:db8:1:2::1"), peer("2001:db8:1:2:ffff::"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
    }

    #[test]
    fn a_range_has_the_addresses_of_its_prefix() {
        for (range, address, is_in) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("0.0.0.0/0", "192.0.2.2", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
            ("::/0", "::1", true),
            ("::ffff:10.0.0.0/104", "10.255.0.1", true),
            ("::ffff:10.0.0.0/104", "11.0.0.1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
        ] {
            let range = AddressRange::parse(range).unwrap();
            assert_eq!(
                range.contains(address.parse().unwrap()),
                is_in,
                "{range:?} {address}"
            );
        }
        for text in [
            "",
            "proxy",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/-1",
        ] {
            assert!(AddressRange::parse(text).is_err(), "{text}");
        }
    }
}

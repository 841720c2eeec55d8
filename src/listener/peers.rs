//! Counts connections by the address of the peer, so that one peer cannot take those of others.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// Refused because the listener has as many connections as it admits.
pub(super) const LISTENER_FULL: &str = "listener_full";
/// Refused because the peer has as many connections as one may have.
pub(super) const PEER_FULL: &str = "peer_full";
/// Closed while on trial, because a newer connection needed its place.
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
        let prefix = match prefix {
            None => bits,
            Some(digits) => digits.parse().map_err(|_| FORM)?,
        };
        if prefix > bits {
            return Err("has a prefix that is longer than its address");
        }
        Ok(Self { first, prefix })
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
    /// The number of the next connection; numbers rise with time.
    next: u64,
    /// All connections; those of trusted proxies belong to no peer.
    all: HashMap<u64, Option<Peer>>,
    by_peer: HashMap<Peer, OfPeer>,
    /// The connections on trial, oldest first, with what closes them.
    on_trial: BTreeMap<u64, CancellationToken>,
}

#[derive(Default)]
struct OfPeer {
    open: usize,
    /// The connections on trial, oldest first.
    on_trial: BTreeSet<u64>,
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
    /// there is no place, the oldest connection on trial is closed for it: of the same peer if that one has too many.
    ///
    /// # Errors
    /// The reason for the metric, if nobody can be closed.
    pub(super) fn take(self: &Arc<Self>, peer: Option<Peer>) -> Result<Seat, &'static str> {
        let mut taken = self.lock();
        let of_peer = peer.and_then(|peer| taken.by_peer.get(&peer));
        let peer_is_full =
            of_peer.is_some_and(|of| self.peer_max.is_some_and(|max| of.open >= max));
        if peer_is_full {
            let oldest = of_peer.and_then(|of| of.on_trial.first().copied());
            taken.displace(oldest).ok_or(PEER_FULL)?;
        } else if taken.all.len() >= self.total_max {
            let oldest = taken.on_trial.keys().next().copied();
            taken.displace(oldest).ok_or(LISTENER_FULL)?;
        }
        let number = taken.next;
        let displaced = CancellationToken::new();
        taken.next += 1;
        taken.all.insert(number, peer);
        taken.on_trial.insert(number, displaced.clone());
        if let Some(peer) = peer {
            let of_peer = taken.by_peer.entry(peer).or_default();
            of_peer.open += 1;
            of_peer.on_trial.insert(number);
        }
        drop(taken);
        Ok(Seat {
            seats: self.clone(),
            number,
            displaced,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        // Every change is complete before anything can panic.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Closes a connection on trial and frees its place at once.
    fn displace(&mut self, number: Option<u64>) -> Option<()> {
        let number = number?;
        let closes = self.on_trial.get(&number)?.clone();
        self.remove(number);
        closes.cancel();
        Some(())
    }

    fn end_trial(&mut self, number: u64) {
        if self.on_trial.remove(&number).is_none() {
            return;
        }
        if let Some(Some(peer)) = self.all.get(&number)
            && let Some(of_peer) = self.by_peer.get_mut(peer)
        {
            of_peer.on_trial.remove(&number);
        }
    }

    fn remove(&mut self, number: u64) {
        self.end_trial(number);
        let Some(Some(peer)) = self.all.remove(&number) else {
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
    /// Canceled when the connection must make room for a newer one.
    pub(super) displaced: CancellationToken,
}

impl Seat {
    /// The connection is no longer on trial: from now on it is never closed for a newer one.
    pub(super) fn keep(&self) {
        self.seats.lock().end_trial(self.number);
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
        assert!(taken.all.is_empty() && taken.by_peer.is_empty() && taken.on_trial.is_empty());
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

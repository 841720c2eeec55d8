//! What a request carries of its connection: the peer, the trial, and the bytes of its body.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::HeaderMap;

use super::{
    bodies::{Cut, Share},
    peers::AddressRange,
    trial::Trial,
};

/// The header in which proxies tell the address of the client.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Why the listener itself refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The connection is on trial and has as many requests in progress as that allows.
    Crowded,
    /// The body was cut.
    Body(Cut),
    /// The service did not answer in time.
    Late,
}

/// What a request carries of its connection, among its extensions.
#[derive(Clone)]
pub struct Inbound {
    pub(super) peer: SocketAddr,
    pub(super) client: IpAddr,
    pub(super) trial: Arc<Trial>,
    pub(super) share: Share,
}

impl Inbound {
    /// The other end of the connection.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The address of the client: that of the peer, or what a trusted proxy says.
    #[must_use]
    pub const fn client(&self) -> IpAddr {
        self.client
    }

    /// The call is admitted: its body is that of a proved sender, and the connection is no longer on trial.
    pub fn admit(&self) {
        self.share.prove();
        self.trial.pass();
    }

    /// The sender of the body has proved itself, though not that the rest of the request is right.
    pub fn prove_body(&self) {
        self.share.prove();
    }

    /// Why the body was cut; `None` if it was not.
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        self.share.cut()
    }
}

/// The address of the client. If the peer is a trusted proxy, that is the last address in `x-forwarded-for` that is not
/// of a trusted proxy; addresses before it are only claimed.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[AddressRange]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address| trusted.iter().any(|range| range.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let told: Vec<_> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut nearest = peer;
    for text in told.iter().rev() {
        let Some(address) = address(text.trim()) else {
            return nearest;
        };
        nearest = address;
        if !is_trusted(address) {
            return address;
        }
    }
    nearest
}

/// Parses an address; some proxies add a port, or write IPv6 addresses in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address: IpAddr = text.parse().ok().or_else(with_port).or_else(in_brackets)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_trusted_proxy_tells_who_the_client_is() {
        let trusted = ["10.0.0.0/8", "::1"].map(|range| AddressRange::parse(range).unwrap());
        let of = |peer: &str, told: &[&'static str]| {
            let headers = told.iter().map(|value| {
                (
                    FORWARDED_FOR.parse().unwrap(),
                    HeaderValue::from_static(value),
                )
            });
            client(peer.parse().unwrap(), &headers.collect(), &trusted).to_string()
        };
        for (peer, told, expected) in [
            ("192.0.2.1", &["198.51.100.1"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            // What the client itself claims stands before what the proxy adds.
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            (
                "10.0.0.1",
                &["203.0.113.9", "198.51.100.1, 10.2.3.4"],
                "198.51.100.1",
            ),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, unknown, 10.9.9.9"], "10.9.9.9"),
        ] {
            assert_eq!(of(peer, told), expected, "{peer} {told:?}");
        }
    }
}

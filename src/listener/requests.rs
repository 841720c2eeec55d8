//! Bounds what the requests of strangers hold together, from their arrival until their responses are taken.
//!
//! A stream that waits for its body, or whose peer does not take the response, costs memory although it has few bytes
//! of a body. Who holds for longest gives way: its connection is closed. So whoever sends and reads normally is served
//! at any time, because its requests are always among the newest.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::body::Body;
use http::Response;
use hyper::body::Body as _;
use tokio_util::sync::CancellationToken;

use super::{peers::Peer, taken::Taken};

/// Closed because its requests held too much, for longer than those of others.
pub(super) const OVERDRAWN: &str = "overdrawn";
/// What all requests may hold, in bytes.
const TOTAL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What the requests of one peer may hold, in bytes. A single response may be larger.
const PEER_BYTES_MAX: usize = 3 * 1024 * 1024;
/// What a request holds apart from its response, in bytes: the stream, its task, its headers, a small body.
pub(super) const REQUEST_BYTES: usize = 8 * 1024;

/// The requests in progress on the listeners that ask for no credential.
#[derive(Default)]
pub struct Requests(Mutex<InProgress>);

#[derive(Default)]
struct InProgress {
    /// The number of the next request; numbers rise with time.
    next: u64,
    bytes: usize,
    all: BTreeMap<u64, Entry>,
    by_peer: HashMap<Peer, OfPeer>,
}

struct Entry {
    peer: Peer,
    bytes: usize,
    /// Canceled when the connection of the request must be closed.
    closes: CancellationToken,
}

#[derive(Default)]
struct OfPeer {
    bytes: usize,
    /// The numbers of its requests, oldest first.
    numbers: BTreeSet<u64>,
}

impl Requests {
    /// Counts a request of this peer; `closes` ends its connection.
    pub(super) fn enter(self: &Arc<Self>, peer: Peer, closes: CancellationToken) -> Held {
        let mut in_progress = self.lock();
        in_progress.next += 1;
        let number = in_progress.next;
        let entry = Entry {
            peer,
            bytes: 0,
            closes,
        };
        in_progress.all.insert(number, entry);
        let of_peer = in_progress.by_peer.entry(peer).or_default();
        of_peer.numbers.insert(number);
        in_progress.grow(number, REQUEST_BYTES);
        drop(in_progress);
        Held(Arc::new(Request {
            requests: self.clone(),
            number,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, InProgress> {
        // Every change is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InProgress {
    /// Adds to what a request holds, and closes the connections of older ones that now hold too much.
    fn grow(&mut self, number: u64, bytes: usize) {
        let Some(entry) = self.all.get_mut(&number) else {
            return;
        };
        let peer = entry.peer;
        entry.bytes += bytes;
        self.bytes += bytes;
        self.by_peer.entry(peer).or_default().bytes += bytes;
        while let Some(oldest) = self.too_old(peer, number) {
            if let Some(entry) = self.remove(oldest) {
                entry.closes.cancel();
            }
        }
    }

    /// The oldest request that must give way, other than this one; `None` if nothing is too much.
    fn too_old(&self, peer: Peer, number: u64) -> Option<u64> {
        let of_peer = self.by_peer.get(&peer)?;
        let other = |oldest: &&u64| **oldest != number;
        if of_peer.bytes > PEER_BYTES_MAX {
            let oldest = of_peer.numbers.iter().find(other);
            if oldest.is_some() {
                return oldest.copied();
            }
        }
        if self.bytes > TOTAL_BYTES_MAX {
            self.all.keys().find(other).copied()
        } else {
            None
        }
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.all.remove(&number)?;
        self.bytes -= entry.bytes;
        if let Some(of_peer) = self.by_peer.get_mut(&entry.peer) {
            of_peer.bytes -= entry.bytes;
            of_peer.numbers.remove(&number);
            if of_peer.numbers.is_empty() {
                self.by_peer.remove(&entry.peer);
            }
        }
        Some(entry)
    }
}

/// What one request holds; given back when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Held(Arc<Request>);

struct Request {
    requests: Arc<Requests>,
    number: u64,
}

impl Drop for Request {
    fn drop(&mut self) {
        self.requests.lock().remove(self.number);
    }
}

impl Held {
    /// The response counts too, until the last byte of its body is written to the socket.
    pub(super) fn until_taken(self, response: Response<Body>) -> Response<Body> {
        let bytes = usize::try_from(response.body().size_hint().lower()).unwrap_or(usize::MAX);
        self.0.requests.lock().grow(self.0.number, bytes);
        response.map(|body| Body::new(Taken::new(body, self)))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    fn peer(n: u8) -> Peer {
        Peer::of([192, 0, 2, n].into())
    }

    fn entered(requests: &Arc<Requests>, n: u8) -> (Held, CancellationToken) {
        let closes = CancellationToken::new();
        (requests.enter(peer(n), closes.clone()), closes)
    }

    #[test]
    fn net_15_who_holds_too_much_for_longest_is_closed_of_the_same_peer_first() {
        let requests = Arc::<Requests>::default();
        let other = entered(&requests, 1);
        let of_peer_max = PEER_BYTES_MAX / REQUEST_BYTES;
        let mut held: Vec<_> = (0..of_peer_max).map(|_| entered(&requests, 2)).collect();
        assert!(held.iter().all(|(_, closes)| !closes.is_cancelled()));
        held.push(entered(&requests, 2));
        let closed = held.iter().filter(|(_, closes)| closes.is_cancelled());
        assert_eq!(closed.count(), 1);
        assert!(held[0].1.is_cancelled() && !other.1.is_cancelled());
        let of_all_max = TOTAL_BYTES_MAX / REQUEST_BYTES;
        let many = of_all_max - of_peer_max;
        for n in 0..many {
            held.push(entered(&requests, u8::try_from(3 + n % 200).unwrap()));
        }
        assert!(other.1.is_cancelled(), "the oldest of all");
        assert!(!held[1].1.is_cancelled() && !held[of_peer_max + 1].1.is_cancelled());
        drop((held, other));
        let in_progress = requests.lock();
        assert_eq!((in_progress.bytes, in_progress.all.len()), (0, 0));
        assert!(in_progress.by_peer.is_empty());
    }

    #[tokio::test]
    async fn net_15_a_response_counts_until_its_bytes_are_gone_and_may_be_large_alone() {
        let requests = Arc::<Requests>::default();
        let (older, older_closes) = entered(&requests, 1);
        let (held, closes) = entered(&requests, 1);
        let large = Response::new(Body::from(vec![b'x'; PEER_BYTES_MAX]));
        let response = held.until_taken(large);
        assert!(older_closes.is_cancelled() && !closes.is_cancelled());
        drop(older);
        let taken = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert_eq!(taken.len(), PEER_BYTES_MAX);
        let in_progress = || requests.lock().bytes;
        assert_eq!(in_progress(), PEER_BYTES_MAX + REQUEST_BYTES);
        let part = taken.slice(..1);
        drop(taken);
        assert_ne!(in_progress(), 0);
        drop(part);
        assert_eq!(in_progress(), 0);
    }
}

//! Bounds the bytes of all request bodies in flight, over all listeners.
//!
//! Bytes are taken as they arrive and given back when the request is answered. A body counts as *unproved* until its
//! sender has shown a credential; those together, and those of one peer, have smaller bounds, so that strangers can
//! take neither the memory of the process nor the room of callers and providers.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::peers::Peer;

/// The largest total size of all bodies in flight, in bytes.
const BODIES_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The part of it that bodies without a credential may take, in bytes.
const UNPROVED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The part of it that the bodies of one peer without a credential may take, in bytes.
const PEER_BYTES_MAX: usize = 3 * 1024 * 1024;
/// The longest time between two parts of a body.
pub const PAUSE_MAX: Duration = Duration::from_secs(5);
/// The time for the rest of a body that nobody reads. That of a good client comes together with its headers.
const DISCARD_MAX: Duration = Duration::from_millis(100);
/// The longest time that a whole body may take.
const ARRIVAL_MAX: Duration = Duration::from_secs(30);

/// Why a body was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    /// The bodies in flight take as many bytes as they may.
    #[error("the bodies in flight take as many bytes as they may")]
    Full,
    /// It is larger than the bodies of a peer without a credential may be together, so that it never has room.
    #[error("the body is larger than that of a peer without a credential may be")]
    TooLarge,
    /// It did not arrive in time.
    #[error("the body did not arrive in time")]
    Stalled,
}

/// The bytes of all request bodies in flight.
#[derive(Default)]
pub struct Bodies(Mutex<InFlight>);

#[derive(Default)]
struct InFlight {
    total: usize,
    unproved: usize,
    unproved_by_peer: HashMap<Peer, usize>,
}

impl Bodies {
    /// The share of a request of this peer, still without any bytes.
    #[must_use]
    pub fn share(self: &Arc<Self>, peer: Peer) -> Share {
        Share(Arc::new(Held {
            bodies: self.clone(),
            peer,
            holding: Mutex::default(),
            is_complete: AtomicBool::new(false),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, InFlight> {
        // Every change is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFlight {
    fn take(&mut self, peer: Peer, bytes: usize, is_proved: bool) -> Result<(), Cut> {
        if self.total + bytes > BODIES_BYTES_MAX {
            return Err(Cut::Full);
        }
        if !is_proved {
            let of_peer = self
                .unproved_by_peer
                .get(&peer)
                .copied()
                .unwrap_or_default();
            if self.unproved + bytes > UNPROVED_BYTES_MAX || of_peer + bytes > PEER_BYTES_MAX {
                return Err(Cut::Full);
            }
            self.unproved += bytes;
            *self.unproved_by_peer.entry(peer).or_default() += bytes;
        }
        self.total += bytes;
        Ok(())
    }

    /// Bytes that were unproved are so no longer.
    fn prove(&mut self, peer: Peer, bytes: usize) {
        self.unproved -= bytes;
        if let Some(of_peer) = self.unproved_by_peer.get_mut(&peer) {
            *of_peer -= bytes;
            if *of_peer == 0 {
                self.unproved_by_peer.remove(&peer);
            }
        }
    }
}

/// The bytes that one request holds; given back when the last clone is dropped.
#[derive(Clone)]
pub struct Share(Arc<Held>);

struct Held {
    bodies: Arc<Bodies>,
    peer: Peer,
    holding: Mutex<Holding>,
    is_complete: AtomicBool,
}

#[derive(Default)]
struct Holding {
    bytes: usize,
    is_proved: bool,
    cut: Option<Cut>,
    /// Whether the rest of the body is left alone if the service does not want it.
    leaves_rest: bool,
    /// The bytes that do not count, because the request itself counts with them.
    free: usize,
    /// The rest of the body, if the service answered without reading it to its end.
    unread: Option<Body>,
}

impl Share {
    /// The first so many bytes of the body do not count: a small body has room even if strangers take all there is for
    /// large ones.
    pub(super) fn set_free(&self, bytes: usize) {
        self.0.lock().free = bytes;
    }

    /// The sender of this body has shown a credential.
    pub(super) fn prove(&self) {
        let mut held = self.0.lock();
        if !held.is_proved {
            held.is_proved = true;
            self.0.bodies.lock().prove(self.0.peer, held.bytes);
        }
    }

    /// Why the body was cut; `None` if it was not.
    pub(super) fn cut(&self) -> Option<Cut> {
        self.0.lock().cut
    }

    /// Reads the rest of a body that the service did not want, and drops it at once. To answer without that ends the
    /// stream by a reset, and a connection with many resets is closed, although its peer only sends what clients send.
    pub(super) async fn discard_rest(&self) {
        let Some(mut body) = self.0.lock().unread.take() else {
            return;
        };
        let rest = async {
            while let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {}
        };
        let is_here = tokio::time::timeout(DISCARD_MAX, rest).await.is_ok();
        if is_here {
            self.complete();
        }
    }

    /// The peer sends the body only if it is asked to, which reading would do; so nobody reads what is not wanted.
    pub(super) fn leave_rest(&self) {
        self.0.lock().leaves_rest = true;
    }

    /// Whether the body has arrived completely.
    pub(super) fn is_complete(&self) -> bool {
        self.0.is_complete.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> Result<(), Cut> {
        let mut held = self.0.lock();
        let is_proved = held.is_proved;
        let free = held.free.min(bytes);
        held.free -= free;
        let bytes = bytes - free;
        let taken = if !is_proved && held.bytes + bytes > PEER_BYTES_MAX {
            Err(Cut::TooLarge)
        } else {
            self.0.bodies.lock().take(self.0.peer, bytes, is_proved)
        };
        match taken {
            Ok(()) => held.bytes += bytes,
            Err(cut) => held.cut = Some(cut),
        }
        taken
    }

    fn stall(&self) -> Cut {
        self.0.lock().cut = Some(Cut::Stalled);
        Cut::Stalled
    }

    fn complete(&self) {
        self.0.is_complete.store(true, Ordering::Relaxed);
    }
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, Holding> {
        // Every change is complete before anything can panic.
        self.holding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (bytes, is_proved) = {
            let held = self.lock();
            (held.bytes, held.is_proved)
        };
        let mut in_flight = self.bodies.lock();
        in_flight.total -= bytes;
        if !is_proved {
            in_flight.prove(self.peer, bytes);
        }
    }
}

/// A request body whose bytes count, and which must arrive in time.
pub(super) struct Metered {
    body: Body,
    share: Share,
    /// The end of the wait for the next part; made when there is something to wait for.
    wait: Option<Pin<Box<Sleep>>>,
    /// When the whole body must be here.
    end: Instant,
}

impl Metered {
    pub(super) fn new(body: Body, share: Share) -> Self {
        if body.is_end_stream() {
            share.complete();
        }
        Self {
            body,
            share,
            wait: None,
            end: Instant::now() + ARRIVAL_MAX,
        }
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        let mut holding = self.share.0.lock();
        let is_wanted = holding.cut.is_none() && !holding.leaves_rest;
        if is_wanted && !self.share.is_complete() {
            holding.unread = Some(std::mem::take(&mut self.body));
        }
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        let Poll::Ready(next) = Pin::new(&mut this.body).poll_frame(cx) else {
            let end = this.end.min(Instant::now() + PAUSE_MAX);
            let wait = this.wait.get_or_insert_with(|| Box::pin(sleep_until(end)));
            ready!(wait.as_mut().poll(cx));
            return Poll::Ready(Some(Err(this.share.stall().into())));
        };
        this.wait = None;
        Poll::Ready(match next {
            None => {
                this.share.complete();
                None
            }
            Some(Err(error)) => Some(Err(error.into())),
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let taken = this.share.take(bytes);
                if this.body.is_end_stream() {
                    this.share.complete();
                }
                Some(taken.map(|()| frame).map_err(Into::into))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use futures_util::stream;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn peer(n: u8) -> Peer {
        Peer::of([192, 0, 2, n].into())
    }

    #[test]
    fn net_15_strangers_have_eight_mib_and_three_a_peer_and_all_together_thirty_two() {
        let bodies = Arc::new(Bodies::default());
        let shares: Vec<_> = (0..4).map(|n| bodies.share(peer(n))).collect();
        assert_eq!(shares[0].take(3 * MIB), Ok(()));
        assert_eq!(
            bodies.share(peer(0)).take(1),
            Err(Cut::Full),
            "3 MiB a peer"
        );
        assert_eq!(shares[1].take(3 * MIB), Ok(()));
        assert_eq!(shares[2].take(2 * MIB), Ok(()));
        assert_eq!(shares[3].take(1), Err(Cut::Full), "8 MiB unproved");
        assert_eq!(shares[3].cut(), Some(Cut::Full));
        let proved: Vec<_> = (0..4).map(|_| bodies.share(peer(0))).collect();
        for share in &proved {
            share.prove();
            assert_eq!(
                share.take(6 * MIB),
                Ok(()),
                "a proved sender has its own room"
            );
        }
        assert_eq!(proved[0].take(1), Err(Cut::Full), "32 MiB in all");
        drop((shares, proved));
        let in_flight = bodies.lock();
        assert_eq!((in_flight.total, in_flight.unproved), (0, 0));
        assert!(in_flight.unproved_by_peer.is_empty());
    }

    #[test]
    fn net_15_strangers_with_large_bodies_leave_room_for_small_ones() {
        let bodies = Arc::new(Bodies::default());
        let shares: Vec<_> = (0..3).map(|n| bodies.share(peer(n))).collect();
        for (share, bytes) in shares.iter().zip([3 * MIB, 3 * MIB, 2 * MIB]) {
            assert_eq!(share.take(bytes), Ok(()));
        }
        let small = bodies.share(peer(3));
        small.set_free(1000);
        assert_eq!((small.take(600), small.take(400)), (Ok(()), Ok(())));
        assert_eq!(small.take(1), Err(Cut::Full));
    }

    #[test]
    fn net_15_a_body_that_is_proved_while_it_arrives_makes_room_for_strangers() {
        let bodies = Arc::new(Bodies::default());
        let share = bodies.share(peer(0));
        share.take(3 * MIB).unwrap();
        share.prove();
        share.prove();
        assert_eq!(bodies.share(peer(0)).take(3 * MIB), Ok(()));
        assert_eq!(share.take(3 * MIB), Ok(()));
    }

    #[test]
    fn net_15_a_body_that_never_has_room_is_too_large_and_one_that_has_none_now_is_not() {
        let bodies = Arc::new(Bodies::default());
        let large = bodies.share(peer(0));
        large.take(2 * MIB).unwrap();
        let other = bodies.share(peer(0));
        assert_eq!(other.take(2 * MIB), Err(Cut::Full), "a repeat has room");
        assert_eq!(large.take(MIB + 1), Err(Cut::TooLarge));
        assert_eq!(large.cut(), Some(Cut::TooLarge));
        large.prove();
        assert_eq!(large.take(MIB + 1), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn net_15_a_body_that_stalls_or_trickles_is_cut() {
        let bodies = Arc::new(Bodies::default());
        for (pause_s, parts, cut_after_s) in [(6, 1, 5), (4, 100, 30)] {
            let share = bodies.share(peer(0));
            let slow = stream::unfold(0, move |n| async move {
                tokio::time::sleep(Duration::from_secs(pause_s)).await;
                (n < parts).then(|| (Ok::<_, std::io::Error>(Bytes::from_static(b"x")), n + 1))
            });
            let begun = Instant::now();
            let metered = Metered::new(Body::from_stream(slow), share.clone());
            assert!(to_bytes(Body::new(metered), 1000).await.is_err());
            assert_eq!(begun.elapsed().as_secs(), cut_after_s);
            assert_eq!(share.cut(), Some(Cut::Stalled));
            assert!(!share.is_complete());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_body_that_nobody_reads_is_waited_for_but_not_for_long() {
        let bodies = Arc::new(Bodies::default());
        for (parts_come, is_complete, waits_ms) in [(true, true, 0), (false, false, 100)] {
            let share = bodies.share(peer(0));
            let part = move |n| async move {
                if !parts_come {
                    std::future::pending::<()>().await;
                }
                (n < 3).then(|| (Ok::<_, std::io::Error>(Bytes::from_static(b"x")), n + 1))
            };
            let body = Body::from_stream(stream::unfold(0, part));
            drop(Metered::new(body, share.clone()));
            let begun = Instant::now();
            share.discard_rest().await;
            assert_eq!(share.is_complete(), is_complete);
            let waited = begun.elapsed().as_millis();
            assert!((waits_ms..waits_ms + 2).contains(&waited), "{waited} ms");
            assert_eq!(bodies.lock().total, 0, "nothing is kept");
        }
    }
}

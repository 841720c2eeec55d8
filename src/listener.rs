//! What the three listeners have in common: connections, TLS, bodies, and what a peer may take before it has proved
//! itself.
//!
//! A connection is on trial until its first admitted call. A request is judged by its path, method and headers
//! before its body is read, and the bytes of all bodies in flight are bounded ([`bodies`]). What the requests of
//! strangers hold until their responses are taken is bounded too ([`requests`]).

mod accept;
pub mod bodies;
mod connection;
pub mod inbound;
pub mod peers;
pub mod requests;
mod socket;
pub mod taken;
pub mod throttle;
pub mod tls;
mod trial;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Body;
use http::{Request, Response};
use hyper::body::{Body as HttpBody, Bytes};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service;

use self::{
    bodies::Bodies, inbound::Refused, peers::AddressRange, requests::Requests, tls::TlsIdentity,
};

/// How one listener treats connections, from its table in the settings.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// The address and port to bind.
    pub listen: SocketAddr,
    /// The certificate and key for TLS; `None` for plaintext.
    pub tls: Option<TlsIdentity>,
    /// The maximum number of open connections.
    pub connections_max: usize,
    /// The maximum number of open connections of one peer address; `None` for no such limit.
    pub peer_connections_max: Option<usize>,
    /// Proxies in front of this listener: their connections do not count per peer.
    pub trusted_proxies: Vec<AddressRange>,
}

/// When a connection is no longer on trial, and who bounds its requests.
#[derive(Clone, Copy, Debug)]
pub enum ProvedBy {
    /// By a call that the service admitted: it says so by [`inbound::Inbound::admit`]. What it does not admit, it refuses
    /// at once and without the body; calls have their own deadlines.
    AdmittedCall,
    /// By a request that arrived completely and was answered, on a listener that asks for no credential.
    CompleteRequest {
        /// The longest time that a request may take until its response begins.
        deadline: Duration,
        /// The response to a request that the listener itself refuses.
        refuse: fn(Refused) -> Response<Body>,
    },
}

/// One listener, apart from its socket and its service.
pub struct Listener {
    /// Its section in the settings, which is also its label in metrics and its name in the log.
    pub name: &'static str,
    /// How it treats connections.
    pub settings: ListenerSettings,
    /// The encryption of its connections; `None` for plaintext.
    pub tls: Option<TlsAcceptor>,
    /// When a connection is no longer on trial.
    pub proved_by: ProvedBy,
    /// The maximum number of concurrent HTTP/2 streams in one connection.
    pub streams_max: u32,
    /// The bytes of request bodies in flight, shared by all listeners.
    pub bodies: Arc<Bodies>,
    /// What requests hold on the listeners that ask for no credential, shared by those.
    pub requests: Arc<Requests>,
}

impl Listener {
    /// Serves connections until `drain` is canceled, and then until the open ones have ended.
    ///
    /// The service is called without being asked whether it is ready, so it must always be.
    pub async fn serve<S, B>(self, socket: TcpListener, service: S, drain: CancellationToken)
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        accept::serve(Arc::new(self), socket, service, drain).await;
    }
}

/// Counts a connection that was refused or closed early.
fn count_shed(listener: &'static str, reason: &'static str) {
    metrics::counter!("countersign_connections_shed_total", "listener" => listener, "reason" => reason)
        .increment(1);
}

/// Why a connection was refused or closed early: the values of that metric's label `reason`.
pub const SHED_REASONS: [&str; 7] = [
    peers::LISTENER_FULL,
    peers::PEER_FULL,
    peers::DISPLACED,
    trial::NO_CALL,
    socket::SILENT,
    socket::UNREAD,
    requests::OVERDRAWN,
];

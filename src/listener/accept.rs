//! Accepts connections: a limited number, of each peer too; no failing connection ends the loop.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Body;
use http::{Request, Response};
use hyper::body::{Body as HttpBody, Bytes};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use super::{
    Listener, ProvedBy,
    connection::{Connection, protocol},
    count_shed,
    peers::{DISPLACED, LISTENER_FULL, Peer, Seat, Seats},
    requests::OVERDRAWN,
    socket::HANDSHAKE_MAX,
    throttle::Throttle,
    trial::Trial,
};

/// The pause after an error of the listening socket, such as too many open files.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// The log lines that strangers can cause, limited by kind.
#[derive(Default)]
struct Throttles {
    listener_full: Throttle,
    peer_full: Throttle,
    handshake: Throttle,
}

/// Accepts connections until `drain` is canceled; then closes the socket and waits for the open connections to end.
/// After an error of the socket it logs and waits.
pub(super) async fn serve<S, B>(
    listener: Arc<Listener>,
    socket: TcpListener,
    service: S,
    drain: CancellationToken,
) where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    let settings = &listener.settings;
    let seats = Seats::new(settings.connections_max, settings.peer_connections_max);
    let throttles = Arc::new(Throttles::default());
    let protocol = protocol(listener.streams_max);
    // Who has shown no credential keeps no place without using it.
    let yields_when_idle = matches!(listener.proved_by, ProvedBy::CompleteRequest { .. });
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = drain.cancelled() => break,
            accepted = socket.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(listener = listener.name, %error, "connection not accepted");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                continue;
            }
        };
        let Some(seat) = seat(&listener, &seats, peer, &throttles) else {
            continue;
        };
        let connection = Connection {
            listener: listener.clone(),
            protocol: protocol.clone(),
            peer,
            trial: Trial::new(seat, yields_when_idle),
            service: service.clone(),
            drain: drain.clone(),
        };
        let throttles = throttles.clone();
        open.spawn(async move {
            let (trial, name) = (connection.trial.clone(), connection.listener.name);
            tokio::select! {
                () = trial.displaced() => count_shed(name, DISPLACED),
                () = trial.overdrawn().cancelled() => count_shed(name, OVERDRAWN),
                () = serve_one(connection, stream, &throttles) => {}
            }
        });
    }
    drop(socket);
    open.close();
    open.wait().await;
}

/// A place for a connection of this peer; `None` if it is refused, which is counted and logged at a limited rate.
fn seat(
    listener: &Listener,
    seats: &Arc<Seats>,
    peer: SocketAddr,
    throttles: &Throttles,
) -> Option<Seat> {
    let trusted = &listener.settings.trusted_proxies;
    let is_proxy = trusted.iter().any(|range| range.contains(peer.ip()));
    let reason = match seats.take((!is_proxy).then(|| Peer::of(peer.ip()))) {
        Ok(seat) => return Some(seat),
        Err(reason) => reason,
    };
    count_shed(listener.name, reason);
    let name = listener.name;
    if reason == LISTENER_FULL {
        if let Some(held_back) = throttles.listener_full.pass() {
            tracing::warn!(listener = name, %peer, held_back, "connection refused: too many are open");
        }
    } else if let Some(held_back) = throttles.peer_full.pass() {
        tracing::warn!(listener = name, %peer, held_back, "connection refused: too many of this peer are open");
    }
    None
}

/// Serves one connection, after its TLS handshake if there is one.
async fn serve_one<S, B>(connection: Connection<S>, stream: TcpStream, throttles: &Throttles)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    let peer = connection.peer;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "connection lost at once");
        return;
    }
    let Some(tls) = connection.listener.tls.clone() else {
        return connection.serve(stream).await;
    };
    let drain = connection.drain.clone();
    let encrypted = tokio::select! {
        encrypted = handshake(&tls, stream, &connection, throttles) => encrypted,
        () = drain.cancelled() => None,
    };
    if let Some(encrypted) = encrypted {
        connection.serve(encrypted).await;
    }
}

/// Performs the TLS handshake; a failure is counted, and logged at a limited rate.
async fn handshake<S>(
    tls: &TlsAcceptor,
    stream: TcpStream,
    connection: &Connection<S>,
    throttles: &Throttles,
) -> Option<TlsStream<TcpStream>> {
    let ended = tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream)).await;
    let error = match ended {
        Ok(Ok(encrypted)) => return Some(encrypted),
        Ok(Err(error)) => error,
        Err(_late) => io::ErrorKind::TimedOut.into(),
    };
    let (listener, peer) = (connection.listener.name, connection.peer);
    metrics::counter!("countersign_tls_handshakes_failed_total", "listener" => listener)
        .increment(1);
    if error.kind() == io::ErrorKind::UnexpectedEof {
        // Probably a load balancer checking whether the port is open.
        tracing::debug!(listener, %peer, "tls handshake not begun");
    } else if let Some(held_back) = throttles.handshake.pass() {
        tracing::warn!(listener, %peer, %error, held_back, "tls handshake failed");
    }
    None
}

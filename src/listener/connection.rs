//! Serves one connection with the limits of the transport, the same for every listener.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Request, Response, header::EXPECT};
use hyper::body::{Body as HttpBody, Bytes, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::{
    Listener, ProvedBy,
    bodies::Metered,
    count_shed,
    inbound::{self, Inbound, Refused},
    peers::Peer,
    requests::REQUEST_BYTES,
    socket::{Timely, UNREAD},
    trial::{FIRST_CALL_MAX, NO_CALL, Trial},
};

/// The largest total size of the headers of a request, in bytes.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// The largest buffer for an HTTP/1 connection, in bytes; a request's headers must fit.
const HTTP1_BUFFER_MAX: usize = 32 * 1024;
/// The time for the headers of an HTTP/1 request; an idle connection is closed after it too.
const HTTP1_HEADERS_MAX: Duration = Duration::from_secs(30);
/// The bytes that a peer may send on all HTTP/2 streams together, and on each, before they are read. The library's
/// default is 1 MiB, which a stranger could fill on every connection.
const WINDOW_BYTES: u32 = 64 * 1024 - 1;
/// The largest part of a response that is buffered for a slow HTTP/2 stream, in bytes.
const SEND_BUFFER_MAX: usize = 64 * 1024;
/// The number of streams that a peer may reset before they are accepted; then the connection ends.
const PENDING_RESETS_MAX: usize = 20;
/// The number of streams that may be reset because of a peer's errors; then the connection ends.
const LOCAL_RESETS_MAX: usize = 1024;
/// How often a silent peer is pinged, and how long it may then take to answer.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// After this time a connection is closed gracefully, so that load moves to new instances.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(30 * 60);
/// The time that an old connection then has for the calls still in progress. They have their own deadlines, and a watch
/// ends with its verification, after ten minutes at most; what lasts longer has a peer that does not take its answers.
const LAST_CALLS_MAX: Duration = Duration::from_secs(15 * 60);
/// The time that a peer without an admitted call has to go after it was told to.
const GOODBYE: Duration = Duration::from_secs(1);

/// The protocol settings of a listener. The library leaves several of its limits off by default.
pub(super) fn protocol(streams_max: u32) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP1_HEADERS_MAX)
        .max_buf_size(HTTP1_BUFFER_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_connection_window_size(WINDOW_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_MAX)
        .max_concurrent_streams(streams_max)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE);
    builder
}

/// A connection whose socket is open, and encrypted if it should be.
pub(super) struct Connection<S> {
    pub(super) listener: Arc<Listener>,
    pub(super) protocol: Builder<TokioExecutor>,
    pub(super) peer: SocketAddr,
    pub(super) trial: Arc<Trial>,
    pub(super) service: S,
    pub(super) drain: CancellationToken,
}

impl<S, B> Connection<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    /// Serves the requests of a socket until it ends. It is told to go when it is old, when the process drains, and
    /// when it makes no admitted call in time.
    pub(super) async fn serve<IO>(self, socket: IO)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (trial, drain, listener) = (self.trial.clone(), self.drain.clone(), self.listener.name);
        let protocol = self.protocol.clone();
        let socket = TokioIo::new(Timely::new(socket, listener));
        let mut served = pin!(protocol.serve_connection(socket, Requests(self)));
        let mut old = pin!(sleep(CONNECTION_AGE_MAX));
        let mut too_old = pin!(sleep(CONNECTION_AGE_MAX + LAST_CALLS_MAX));
        let mut first_call = pin!(sleep(FIRST_CALL_MAX));
        let (mut is_told, mut is_tried) = (false, false);
        loop {
            tokio::select! {
                ended = served.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection failed");
                    }
                    return;
                }
                () = &mut old, if !is_told => is_told = true,
                () = &mut too_old => {
                    count_shed(listener, UNREAD);
                    return;
                }
                () = drain.cancelled(), if !is_told => is_told = true,
                () = &mut first_call, if !is_tried => {
                    is_tried = true;
                    if trial.is_passed() {
                        continue;
                    }
                    served.as_mut().graceful_shutdown();
                    let ended = tokio::time::timeout(GOODBYE, served.as_mut()).await;
                    // A call may have come meanwhile.
                    if ended.is_ok() || !trial.is_passed() {
                        count_shed(listener, NO_CALL);
                        return;
                    }
                    continue;
                }
            }
            served.as_mut().graceful_shutdown();
        }
    }
}

/// The requests of one connection, as the library hands them over.
struct Requests<S>(Connection<S>);

impl<S, B> hyper::service::Service<Request<Incoming>> for Requests<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    /// Calls the service at once, in the order of the requests: so the first admitted call ends the trial before the
    /// next request of the same connection is looked at.
    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let listener = self.0.listener.clone();
        let entered = self.0.trial.enter();
        let client = self.0.client(&request);
        let share = listener.bodies.share(Peer::of(client));
        if request.headers().contains_key(EXPECT) {
            share.leave_rest();
        }
        let inbound = Inbound {
            peer: self.0.peer,
            client,
            trial: self.0.trial.clone(),
            share: share.clone(),
        };
        let mut request = request.map(|body| Body::new(Metered::new(Body::new(body), share)));
        request.extensions_mut().insert(inbound.clone());
        let work = self.0.service.clone().call(request);
        match listener.proved_by {
            ProvedBy::AdmittedCall => Box::pin(async move {
                let _entered = entered;
                let response = work.await?;
                if !inbound.trial.is_crowded() {
                    inbound.share.discard_rest().await;
                }
                Ok(response.map(Body::new))
            }),
            ProvedBy::CompleteRequest { refuse, .. } if inbound.trial.is_crowded() => {
                // Nothing of `work` has run yet.
                Box::pin(async move { Ok(refuse(Refused::Crowded)) })
            }
            ProvedBy::CompleteRequest { deadline, refuse } => {
                let closes = inbound.trial.overdrawn().clone();
                let held = listener.requests.enter(Peer::of(client), closes);
                inbound.share.set_free(REQUEST_BYTES);
                Box::pin(async move {
                    let _entered = entered;
                    let closes = inbound.trial.overdrawn();
                    let answer = tokio::select! {
                        // The library keeps the work of a connection that is gone, and a flood makes much of it.
                        biased;
                        () = closes.cancelled() => Err(Refused::Crowded),
                        answer = answered(work, &inbound, deadline) => answer,
                    };
                    Ok(held.until_taken(answer.unwrap_or_else(refuse)))
                })
            }
        }
    }
}

impl<S> Connection<S> {
    fn client(&self, request: &Request<Incoming>) -> IpAddr {
        let trusted = &self.listener.settings.trusted_proxies;
        inbound::client(self.peer.ip(), request.headers(), trusted)
    }
}

/// The response of the service, which ends the trial if the request arrived completely.
///
/// # Errors
/// The body was cut, or the service is late.
async fn answered<B>(
    work: impl Future<Output = Result<Response<B>, Infallible>>,
    inbound: &Inbound,
    deadline: Duration,
) -> Result<Response<Body>, Refused>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    let answer = tokio::time::timeout(deadline, work).await;
    let Ok(response) = answer.map_err(|_late| Refused::Late)?;
    if let Some(cut) = inbound.cut() {
        return Err(Refused::Body(cut));
    }
    inbound.share.discard_rest().await;
    if inbound.share.is_complete() {
        inbound.trial.pass();
    }
    Ok(response.map(Body::new))
}

#[cfg(test)]
mod tests;

//! Accepts connections: a limited number, none that stays silent; no failing connection ends the loop.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::Sleep,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::grpc::throttle::Throttle;

/// A connection that has not completed its TLS handshake, or has not sent its first bytes after it, is
/// closed after this time.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// The HTTP/2 connection preface has 24 bytes, and no HTTP/1 request is shorter.
const FIRST_BYTES: usize = 24;
/// The pause after an error of the listening socket, such as too many open files.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// The connections of a listener, at most `connections_max` at once; further ones are closed at once. With `tls` they
/// are encrypted; a failed handshake is only logged.
///
/// The stream ends only when dropped: after an error of the socket it logs and waits.
pub fn accept(
    listener: TcpListener,
    connections_max: usize,
    tls: Option<TlsAcceptor>,
) -> impl Stream<Item = io::Result<Connection>> + Send {
    let door = Door {
        listener,
        tls,
        room: Arc::new(Semaphore::new(connections_max)),
        handshakes: JoinSet::new(),
        throttle: Arc::new(Throttle::new()),
    };
    stream::unfold(door, |mut door| async move {
        let connection = door.next().await;
        Some((Ok(connection), door))
    })
}

/// A listener with its TLS handshakes in progress. They count as connections, so their number is limited too.
struct Door {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    room: Arc<Semaphore>,
    handshakes: JoinSet<Option<Connection>>,
    throttle: Arc<Throttle>,
}

impl Door {
    async fn next(&mut self) -> Connection {
        loop {
            let accepted = tokio::select! {
                Some(ended) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = ended {
                        return connection;
                    }
                    continue;
                }
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                    continue;
                }
            };
            let Ok(permit) = self.room.clone().try_acquire_owned() else {
                metrics::counter!("countersign_connections_shed_total").increment(1);
                if let Some(held_back) = self.throttle.pass() {
                    tracing::warn!(%peer, held_back, "connection refused: too many are open");
                }
                continue;
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, %peer, "connection lost at once");
                continue;
            }
            match self.tls.clone() {
                None => return Connection::new(Socket::Plain(stream), permit),
                Some(tls) => {
                    let throttle = self.throttle.clone();
                    self.handshakes.spawn(async move {
                        let encrypted = handshake(&tls, stream, peer, &throttle).await?;
                        Some(Connection::new(Socket::Tls(Box::new(encrypted)), permit))
                    });
                }
            }
        }
    }
}

/// Performs the TLS handshake; a failure is counted, and logged at a limited rate.
async fn handshake(
    tls: &TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    throttle: &Throttle,
) -> Option<TlsStream<TcpStream>> {
    let ended = tokio::time::timeout(HANDSHAKE_DEADLINE, tls.accept(stream)).await;
    let error = match ended {
        Ok(Ok(encrypted)) => return Some(encrypted),
        Ok(Err(error)) => error,
        Err(_late) => io::ErrorKind::TimedOut.into(),
    };
    metrics::counter!("countersign_tls_handshakes_failed_total").increment(1);
    if error.kind() == io::ErrorKind::UnexpectedEof {
        // Probably a load balancer checking whether the port is open.
        tracing::debug!(%peer, "tls handshake not begun");
    } else if let Some(held_back) = throttle.pass() {
        tracing::warn!(%peer, %error, held_back, "tls handshake failed");
    }
    None
}

/// The stream of a connection, encrypted or not.
enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

/// Applies the same expression to either kind of stream.
macro_rules! each {
    ($socket:expr, $stream:ident => $does:expr) => {
        match $socket {
            Socket::Plain($stream) => {
                let $stream = Pin::new($stream);
                $does
            }
            Socket::Tls($stream) => {
                let $stream = Pin::new(&mut **$stream);
                $does
            }
        }
    };
}

/// An open connection that counts towards the limit. Reading fails if the first bytes do not arrive in time.
pub struct Connection {
    socket: Socket,
    silence: Option<(Pin<Box<Sleep>>, usize)>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn new(socket: Socket, permit: OwnedSemaphorePermit) -> Self {
        let silence = Some((Box::pin(tokio::time::sleep(HANDSHAKE_DEADLINE)), 0));
        Self {
            socket,
            silence,
            _permit: permit,
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        let tcp = self.socket.tcp();
        TcpConnectInfo {
            local_addr: tcp.local_addr().ok(),
            remote_addr: tcp.peer_addr().ok(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = each!(&mut self.socket, stream => stream.poll_read(cx, buf));
        let Some((deadline, seen)) = &mut self.silence else {
            return read;
        };
        *seen += buf.filled().len() - before;
        if *seen >= FIRST_BYTES {
            self.silence = None;
            return read;
        }
        match (&read, deadline.as_mut().poll(cx)) {
            (Poll::Pending, Poll::Ready(())) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            _ => read,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(&mut self.socket, stream => stream.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut self.socket, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut self.socket, stream => stream.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(&mut self.socket, stream => stream.poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(stream) => stream.is_write_vectored(),
            Socket::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

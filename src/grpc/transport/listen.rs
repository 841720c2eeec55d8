//! Accepts connections: a bounded number, none that stays silent, and none of them ends the loop.

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
    time::Sleep,
};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// A connection that has not sent its first bytes by then is cut.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// The connection preface of HTTP/2 has 24 bytes; no request of HTTP/1 is shorter.
const FIRST_BYTES: usize = 24;
/// The pause after an error of the listener itself, such as too many open files.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// The connections of a listener, at most `connections_max` at once: what is above is closed at once.
///
/// It ends only when dropped: an error of the socket is logged and waited out.
pub fn accept(
    listener: TcpListener,
    connections_max: usize,
) -> impl Stream<Item = io::Result<Connection>> + Send {
    let room = Arc::new(Semaphore::new(connections_max));
    stream::unfold((listener, room), |(listener, room)| async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let Ok(permit) = room.clone().try_acquire_owned() else {
                        metrics::counter!("countersign_connections_shed_total").increment(1);
                        continue;
                    };
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "A connection was lost at once.");
                        continue;
                    }
                    return Some((Ok(Connection::new(stream, permit)), (listener, room)));
                }
                Err(error) => {
                    tracing::warn!(%error, "A connection could not be accepted.");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    })
}

/// A connection that counts, and that must begin to speak in time.
pub struct Connection {
    stream: TcpStream,
    silence: Option<(Pin<Box<Sleep>>, usize)>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TcpStream, permit: OwnedSemaphorePermit) -> Self {
        let silence = Some((Box::pin(tokio::time::sleep(HANDSHAKE_DEADLINE)), 0));
        Self {
            stream,
            silence,
            _permit: permit,
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        let addr = |found: io::Result<SocketAddr>| found.ok();
        TcpConnectInfo {
            local_addr: addr(self.stream.local_addr()),
            remote_addr: addr(self.stream.peer_addr()),
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
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
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
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

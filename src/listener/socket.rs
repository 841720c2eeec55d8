//! A socket whose peer must send its first bytes in time, and must go on reading what is written to it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::count_shed;

/// Closed because its first bytes did not come in time.
pub(super) const SILENT: &str = "silent";
/// Closed because it did not read what was written to it.
pub(super) const UNREAD: &str = "unread";
/// A connection that has not sent its first bytes is closed after this time.
pub(super) const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// A connection that takes no byte of what is written to it is closed after this time.
const UNREAD_MAX: Duration = Duration::from_secs(20);
/// The HTTP/2 connection preface has 24 bytes, and no HTTP/1 request is shorter.
const FIRST_BYTES: usize = 24;

/// A socket that fails if its peer falls silent at the start, or stops reading.
pub(super) struct Timely<IO> {
    socket: IO,
    /// The end of the wait for the first bytes, and how many have come.
    silence: Option<(Pin<Box<Sleep>>, usize)>,
    /// The end of the wait for a write; made when there is something to wait for.
    unread: Option<Pin<Box<Sleep>>>,
    listener: &'static str,
}

impl<IO> Timely<IO> {
    pub(super) fn new(socket: IO, listener: &'static str) -> Self {
        Self {
            socket,
            silence: Some((Box::pin(sleep(HANDSHAKE_MAX)), 0)),
            unread: None,
            listener,
        }
    }

    /// Passes on what became of a write, unless the peer has taken nothing for too long.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.unread = None;
            return written;
        }
        let wait = self
            .unread
            .get_or_insert_with(|| Box::pin(sleep(UNREAD_MAX)));
        if wait.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        count_shed(self.listener, UNREAD);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Timely<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        let Some((deadline, seen)) = &mut self.silence else {
            return read;
        };
        *seen += buf.filled().len() - before;
        if *seen >= FIRST_BYTES {
            self.silence = None;
            return read;
        }
        match (&read, deadline.as_mut().poll(cx)) {
            (Poll::Pending, Poll::Ready(())) => {
                count_shed(self.listener, SILENT);
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            _ => read,
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Timely<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.written(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.socket).poll_shutdown(cx);
        self.written(cx, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bytes);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::Instant,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn net_05_a_peer_that_stops_reading_is_cut_and_one_that_reads_slowly_is_not() {
        let (_ours, theirs) = duplex(16);
        let mut socket = Timely::new(theirs, "test");
        let begun = Instant::now();
        assert!(socket.write_all(&[0; 17]).await.is_err());
        assert_eq!(begun.elapsed().as_secs(), 20);

        let (mut ours, theirs) = duplex(16);
        let mut socket = Timely::new(theirs, "test");
        let reads = async {
            for _ in 0..10 {
                sleep(UNREAD_MAX - Duration::from_secs(1)).await;
                ours.read_u8().await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(socket.write_all(&[0; 26]), reads);
        assert!(written.is_ok(), "{written:?}");
    }
}

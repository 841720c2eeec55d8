//! The two directions of SMPP: what we say, each time in one write within a time limit, and what is said to us, bounded.

use std::time::Duration;

use futures_util::StreamExt as _;
use rusmpp::{Command, CommandStatus, Pdu, tokio_codec::CommandCodec};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split},
    time::timeout,
};
use tokio_util::{
    bytes::BytesMut,
    codec::{Encoder as _, FramedRead},
};

/// What SMPP runs over: a socket, or TLS over one.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// The session is of no more use: it ended, or what came is not SMPP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost;

/// What is said to us. The codec refuses what is longer than 8 KiB.
pub(super) struct Ear(FramedRead<ReadHalf<Box<dyn Stream>>, CommandCodec>);

/// What we say.
pub(super) struct Mouth {
    to: WriteHalf<Box<dyn Stream>>,
    buffer: BytesMut,
    patience: Duration,
}

/// Both directions of a stream; no single write takes longer than `patience`.
pub(super) fn open(stream: Box<dyn Stream>, patience: Duration) -> (Ear, Mouth) {
    let (from, to) = split(stream);
    (Ear(FramedRead::new(from, CommandCodec::new())), Mouth { to, buffer: BytesMut::new(), patience })
}

impl Ear {
    /// The next that is said. Whoever stops waiting misses nothing.
    pub(super) async fn hear(&mut self) -> Result<Command, Lost> {
        self.0.next().await.and_then(Result::ok).ok_or(Lost)
    }
}

impl Mouth {
    /// Says something under this number.
    pub(super) async fn say(&mut self, status: CommandStatus, sequence: u32, pdu: impl Into<Pdu>) -> Result<(), Lost> {
        self.buffer.clear();
        let command = Command::new(status, sequence, pdu);
        CommandCodec::new().encode(&command, &mut self.buffer).map_err(|_| Lost)?;
        let write = async {
            self.to.write_all(&self.buffer).await?;
            self.to.flush().await
        };
        timeout(self.patience, write).await.map_err(|_| Lost)?.map_err(|_| Lost)
    }
}

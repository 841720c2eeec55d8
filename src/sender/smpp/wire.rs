//! The SMPP protocol: commands, each sent in one write within a time limit, and incoming commands, bounded in size.

use std::{io, time::Duration};

use futures_util::StreamExt as _;
use rusmpp::{Command, CommandId, CommandStatus, Pdu, tokio_codec::CommandCodec};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split},
    time::timeout,
};
use tokio_util::{
    bytes::{Bytes, BytesMut},
    codec::{Decoder, Encoder as _, FramedRead},
};

/// Length of the header: length, command id, status and sequence number, four octets each.
const HEAD: usize = 16;
/// Longest command that is accepted: a message with all its optional fields is far shorter.
const LENGTH_MAX: usize = 8192;

/// The transport of SMPP: a socket, or TLS over one.
pub(super) trait SessionStream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> SessionStream for S {}

/// The session can no longer be used: it ended, or the peer did not speak SMPP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionLost;

/// The incoming direction of a session.
pub(super) struct CommandReader(FramedRead<ReadHalf<Box<dyn SessionStream>>, Frames>);

/// An incoming command. Its body is read by whoever needs it, because strict reading loses receipts.
pub(super) struct Received {
    pub(super) id: CommandId,
    pub(super) status: CommandStatus,
    pub(super) sequence: u32,
    pub(super) body: Bytes,
}

/// Splits the stream by the length fields, so that a command that cannot be read does not end the session.
struct Frames;

impl Decoder for Frames {
    type Item = Received;
    type Error = io::Error;

    fn decode(&mut self, from: &mut BytesMut) -> io::Result<Option<Received>> {
        let Some(head) = from.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let [length, id, status, sequence] = [0, 4, 8, 12]
            .map(|at| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        let length = usize::try_from(length)
            .ok()
            .filter(|length| (HEAD..=LENGTH_MAX).contains(length));
        let length = length.ok_or(io::ErrorKind::InvalidData)?;
        if from.len() < length {
            return Ok(None);
        }
        let body = from.split_to(length).split_off(HEAD).freeze();
        Ok(Some(Received {
            id: id.into(),
            status: status.into(),
            sequence,
            body,
        }))
    }
}

/// The outgoing direction of a session.
pub(super) struct CommandWriter {
    to: WriteHalf<Box<dyn SessionStream>>,
    buffer: BytesMut,
    patience: Duration,
}

/// Both directions of a stream; no single write may take longer than `patience`.
pub(super) fn open(
    stream: Box<dyn SessionStream>,
    patience: Duration,
) -> (CommandReader, CommandWriter) {
    let (from, to) = split(stream);
    (
        CommandReader(FramedRead::new(from, Frames)),
        CommandWriter {
            to,
            buffer: BytesMut::new(),
            patience,
        },
    )
}

impl CommandReader {
    /// Reads the next command. If this future is dropped, no bytes are lost.
    pub(super) async fn read(&mut self) -> Result<Received, SessionLost> {
        self.0.next().await.and_then(Result::ok).ok_or(SessionLost)
    }
}

impl CommandWriter {
    /// Sends a command with this sequence number, in one write.
    pub(super) async fn write(
        &mut self,
        status: CommandStatus,
        sequence: u32,
        pdu: impl Into<Pdu>,
    ) -> Result<(), SessionLost> {
        self.buffer.clear();
        let command = Command::new(status, sequence, pdu);
        CommandCodec::new()
            .encode(&command, &mut self.buffer)
            .map_err(|_| SessionLost)?;
        let write = async {
            self.to.write_all(&self.buffer).await?;
            self.to.flush().await
        };
        timeout(self.patience, write)
            .await
            .map_err(|_| SessionLost)?
            .map_err(|_| SessionLost)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The ids of all commands, and some unknown ids.
    fn id() -> impl Strategy<Value = u32> {
        prop_oneof![0_u32..0x120, 0x8000_0000_u32..0x8000_0120, any::<u32>()]
    }

    proptest! {
        #[test]
        fn no_command_is_too_strange_to_be_cut_off(id in id(), body in prop::collection::vec(any::<u8>(), 0..300), rest: [u8; 3]) {
            let length = u32::try_from(HEAD + body.len()).unwrap();
            let head = [length, id, 0, 7].map(u32::to_be_bytes).concat();
            let mut bytes = BytesMut::from([&head, body.as_slice(), &rest].concat().as_slice());
            let heard = Frames.decode(&mut bytes).unwrap().unwrap();
            prop_assert_eq!((u32::from(heard.id), heard.sequence), (id, 7));
            prop_assert_eq!(&heard.body[..], &body);
            prop_assert_eq!(&bytes[..], &rest, "what follows is as it was");
        }

        #[test]
        fn a_length_that_none_can_have_ends_it(length in prop_oneof![0_u32..9000, any::<u32>()], rest: [u8; 12]) {
            let mut bytes = BytesMut::from([length.to_be_bytes().as_slice(), &rest].concat().as_slice());
            let is_possible = (16..=8192).contains(&length);
            prop_assert_eq!(Frames.decode(&mut bytes).is_ok(), is_possible);
        }
    }
}

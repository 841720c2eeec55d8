//! The SMTP protocol (RFC 5321): commands, each sent in one write, and the server's replies, bounded in size.

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};

/// Longest line of a reply, in bytes. The limit of RFC 5321 §4.5.3.1.5 is 512, but
/// some servers send more.
const LINE_BYTES_MAX: u64 = 4096;
/// Most lines of a reply.
const LINES_MAX: usize = 100;

/// The transport of SMTP: a socket, or TLS over one.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// The connection can no longer be used: it ended, or the server did not speak SMTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost;

/// A reply of the server. Its texts tend to contain the address, so it has no `Debug`.
pub(super) struct ServerReply {
    pub(super) code: u16,
    /// The texts of its lines; at least one.
    pub(super) lines: Vec<String>,
}

impl ServerReply {
    /// Whether the code begins with this digit.
    pub(super) fn is(&self, hundred: u16) -> bool {
        self.code / 100 == hundred
    }
}

/// One connection to a server.
pub(super) struct Wire(BufReader<Box<dyn Stream>>);

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self(BufReader::new(stream))
    }

    /// Sends a text in one write: two writes would be two packets.
    pub(super) async fn say(&mut self, text: &str) -> Result<(), Lost> {
        self.0.write_all(text.as_bytes()).await.map_err(|_| Lost)?;
        self.0.flush().await.map_err(|_| Lost)
    }

    /// Reads the next reply, with all its lines.
    pub(super) async fn hear(&mut self) -> Result<ServerReply, Lost> {
        let (code, text, mut more) = self.line().await?;
        let mut reply = ServerReply {
            code,
            lines: vec![text],
        };
        while more {
            let (code, text, follows) = self.line().await?;
            if code != reply.code || reply.lines.len() == LINES_MAX {
                return Err(Lost);
            }
            reply.lines.push(text);
            more = follows;
        }
        Ok(reply)
    }

    /// Sends a command and reads its reply.
    pub(super) async fn ask(&mut self, command: &str) -> Result<ServerReply, Lost> {
        self.say(command).await?;
        self.hear().await
    }

    /// The stream, if nothing is buffered: what arrived in plaintext must never be taken for part
    /// of the encrypted session.
    pub(super) fn into_stream(self) -> Option<Box<dyn Stream>> {
        self.0.buffer().is_empty().then(|| self.0.into_inner())
    }

    /// The code and the text of a line, and whether another line follows: `250-text` or `250 text`.
    async fn line(&mut self) -> Result<(u16, String, bool), Lost> {
        let mut line = Vec::new();
        (&mut self.0)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .await
            .map_err(|_| Lost)?;
        let line = line.strip_suffix(b"\n").ok_or(Lost)?;
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        let (code, rest) = line.split_at_checked(3).ok_or(Lost)?;
        let code = code
            .parse()
            .ok()
            .filter(|code| (200..600).contains(code))
            .ok_or(Lost)?;
        match rest.bytes().next() {
            None | Some(b' ') => Ok((code, rest.get(1..).unwrap_or_default().to_owned(), false)),
            Some(b'-') => Ok((code, rest[1..].to_owned(), true)),
            Some(_) => Err(Lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn heard(bytes: &[u8]) -> Result<(u16, Vec<String>), Lost> {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        theirs.write_all(bytes).await.unwrap();
        drop(theirs);
        Wire::new(Box::new(ours))
            .hear()
            .await
            .map(|reply| (reply.code, reply.lines))
    }

    #[tokio::test]
    async fn a_reply_is_one_line_or_many_of_one_code() {
        let lines = |texts: &[&str]| {
            texts
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            heard(b"220 hello there\r\n").await,
            Ok((220, lines(&["hello there"])))
        );
        assert_eq!(heard(b"250\r\n").await, Ok((250, lines(&[""]))));
        assert_eq!(
            heard(b"250-a\r\n250-PIPELINING\n250 b\r\n354 next").await,
            Ok((250, lines(&["a", "PIPELINING", "b"])))
        );
        assert_eq!(
            heard("550 f\u{fc}r\r\n".as_bytes()).await,
            Ok((550, lines(&["f\u{fc}r"])))
        );
    }

    #[tokio::test]
    async fn what_is_no_reply_or_has_no_end_is_refused() {
        let endless = [b"250-".to_vec(), vec![b'a'; 1 << 16]].concat();
        let many = b"250-more\r\n".repeat(1000);
        for bytes in [
            b"".as_slice(),
            b"250",
            b"250 cut",
            b"25\r\n",
            b"HTTP/1.1 400 Bad Request\r\n",
            b"250-a\r\n251 b\r\n",
            b"250_a\r\n",
            b"100 a\r\n",
            b"+50 a\r\n",
            b"\xff\xff\xff\r\n",
            &endless,
            &many,
        ] {
            assert_eq!(
                heard(bytes).await,
                Err(Lost),
                "{:?}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(20)])
            );
        }
    }

    #[tokio::test]
    async fn chan_08_what_came_in_the_clear_is_never_taken_for_encrypted() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let mut wire = Wire::new(Box::new(ours));
        theirs
            .write_all(b"220 go\r\n250 injected\r\n")
            .await
            .unwrap();
        assert!(wire.hear().await.is_ok());
        assert!(wire.into_stream().is_none());
    }
}

//! One blocking connection to a Redis server.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::{
    PATIENCE,
    resp::{Reply, encode, parse},
};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// A connection; it cannot be used after its first error.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    /// # Errors
    /// Those of the connection.
    pub fn connect(addr: SocketAddr) -> io::Result<Self> {
        Self::connect_within(addr, PATIENCE)
    }

    /// Connects, with a limit for the time of the connection attempt and of each reply.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn connect_within(addr: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self {
            stream,
            read: Vec::new(),
        })
    }

    /// Sends a command and waits for its reply; skips pushes.
    ///
    /// # Errors
    /// Those of the connection, and its end.
    pub fn call<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> io::Result<Reply> {
        self.send(&encode(arguments))?;
        loop {
            let reply = self.receive()?;
            if !matches!(reply, Reply::Push(_)) {
                return Ok(reply);
            }
        }
    }

    /// Sends bytes without encoding them; see [`encode`].
    ///
    /// # Errors
    /// Those of the connection.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Waits for the next reply or push.
    ///
    /// # Errors
    /// Those of the connection, and its end.
    pub fn receive(&mut self) -> io::Result<Reply> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            if let Some((reply, used)) = parse(&self.read).map_err(io::Error::other)? {
                self.read.drain(..used);
                return Ok(reply);
            }
            match self.stream.read(&mut chunk)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.read.extend(&chunk[..count]),
            }
        }
    }
}

//! The connections of the proxy, and how requests pass through them.

use std::{
    future,
    io::{self, ErrorKind},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::Instant,
};

use super::super::resp::parse;
use super::{
    deliver::{Event, Slot, deliver},
    rules::{Control, Fate, Mode, Shared, name},
};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// The number of events that may wait for delivery on one connection.
const EVENTS_MAX: usize = 1024;

/// A client's connection together with its connection to Redis.
pub struct Link {
    pub shared: Arc<Shared>,
    /// The number of requests without a reply.
    pub outstanding: AtomicUsize,
    /// Whether bytes are forwarded without parsing: TLS, or a replication link.
    opaque: AtomicBool,
    /// Whether it speaks RESP3, which marks pushes as such.
    pub marks_pushes: AtomicBool,
    control: watch::Receiver<Control>,
    cuts: u64,
}

/// Counts a connection as open while it exists.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.state().open -= 1;
    }
}

/// Accepts connections until it is told to stop, which also closes those that are open.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, ended: oneshot::Receiver<()>) {
    listener.set_nonblocking(true).expect("a socket is set");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket is registered");
    let accept = async {
        let mut links = JoinSet::new();
        loop {
            let Ok((client, _)) = listener.accept().await else {
                continue;
            };
            while links.try_join_next().is_some() {}
            let control = shared.control.subscribe();
            let Control { cuts, mode, .. } = *control.borrow();
            shared.state().connections += 1;
            if mode != Mode::Cut {
                shared.state().open += 1;
                let open = Open(Arc::clone(&shared));
                let link = Link::new(Arc::clone(&shared), control, cuts);
                links.spawn(async move {
                    let _open = open;
                    link.run(client).await
                });
            }
        }
    };
    tokio::select! {
        () = accept => {}
        _ = ended => {}
    }
}

impl Link {
    fn new(shared: Arc<Shared>, control: watch::Receiver<Control>, cuts: u64) -> Self {
        let (opaque, marks_pushes) = (AtomicBool::new(false), AtomicBool::new(false));
        Self {
            shared,
            outstanding: AtomicUsize::new(0),
            opaque,
            marks_pushes,
            control,
            cuts,
        }
    }

    /// Runs until one side closes, or a fault closes both.
    async fn run(self, client: TcpStream) -> io::Result<()> {
        self.open_gate().await?;
        let upstream = self.shared.state().upstream;
        let upstream = TcpStream::connect(upstream).await?;
        client.set_nodelay(true)?;
        upstream.set_nodelay(true)?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = upstream.into_split();
        let (events, happening) = mpsc::channel(EVENTS_MAX);
        let mut control = self.control.clone();
        tokio::select! {
            result = self.ask(from_client, to_server, events.clone()) => result,
            () = self.answer(from_server, events) => Ok(()),
            result = deliver(&self, to_client, happening) => result,
            _ = control.wait_for(|control| self.is_cut(*control)) => Ok(()),
        }
    }

    fn is_cut(&self, control: Control) -> bool {
        control.mode == Mode::Cut || control.cuts != self.cuts
    }

    /// Waits while forwarding is blocked.
    ///
    /// # Errors
    /// The connection was cut.
    pub async fn open_gate(&self) -> io::Result<Control> {
        let mut control = self.control.clone();
        let now = control
            .wait_for(|control| control.mode != Mode::Blackhole)
            .await
            .map(|now| *now);
        now.ok()
            .filter(|now| !self.is_cut(*now))
            .ok_or_else(|| ErrorKind::ConnectionAborted.into())
    }

    /// Forwards requests to Redis.
    async fn ask(
        &self,
        from: OwnedReadHalf,
        to: OwnedWriteHalf,
        events: mpsc::Sender<Event>,
    ) -> io::Result<()> {
        let mut waiting = Vec::new();
        while read(&from, &mut waiting).await? > 0 {
            self.open_gate().await?;
            if !waiting.starts_with(b"*") {
                self.opaque.store(true, Ordering::SeqCst);
            }
            let mut forward = Vec::new();
            let mut first = self.outstanding.load(Ordering::SeqCst) == 0;
            while !self.opaque.load(Ordering::SeqCst)
                && let Some((request, used)) = parse(&waiting).map_err(io::Error::other)?
            {
                let arguments: Vec<_> = request
                    .list()
                    .iter()
                    .map(|argument| argument.bytes().to_vec())
                    .collect();
                let fate = self.shared.judge(&arguments, first);
                first = false;
                let bytes: Vec<_> = waiting.drain(..used).collect();
                self.note(&arguments);
                let lost = matches!(fate, Fate::DropRequest);
                if matches!(fate, Fate::Pass | Fate::DropReply) {
                    forward.extend(bytes);
                }
                self.outstanding.fetch_add(1, Ordering::SeqCst);
                // Recorded before its bytes are sent, so that the reply finds it.
                send(&events, Event::Asked(Slot::new(&arguments, fate))).await?;
                if lost {
                    write(&to, &forward).await?;
                    return future::pending().await;
                }
            }
            if self.opaque.load(Ordering::SeqCst) {
                forward.append(&mut waiting);
            }
            write(&to, &forward).await?;
        }
        Ok(())
    }

    /// Notes requests that change how the connection must be parsed.
    fn note(&self, arguments: &[Vec<u8>]) {
        match name(arguments).as_str() {
            "PSYNC" | "SYNC" => self.opaque.store(true, Ordering::SeqCst),
            "HELLO" if arguments.get(1).is_some_and(|version| version == b"3") => {
                self.marks_pushes.store(true, Ordering::SeqCst);
            }
            _ => {}
        }
    }

    /// Reads replies from Redis. The end of the connection is an event too, because earlier replies must be delivered
    /// first.
    async fn answer(&self, from: OwnedReadHalf, events: mpsc::Sender<Event>) {
        let mut waiting = Vec::new();
        while read(&from, &mut waiting).await.is_ok_and(|count| count > 0) {
            let came = Instant::now();
            if self.opaque.load(Ordering::SeqCst) {
                let bytes = std::mem::take(&mut waiting);
                let _ = events.send(Event::Opaque { bytes, came }).await;
            }
            let wrong = loop {
                match parse(&waiting) {
                    Ok(Some((frame, used))) => {
                        let bytes = waiting.drain(..used).collect();
                        let _ = events.send(Event::Answered { frame, bytes, came }).await;
                    }
                    Ok(None) => break None,
                    Err(wrong) => break Some(wrong),
                }
            };
            if let Some(wrong) = wrong {
                eprintln!("the proxy does not understand what Redis says: {wrong}");
                break;
            }
        }
        let _ = events.send(Event::Ended).await;
        future::pending::<()>().await;
    }
}

async fn send(events: &mpsc::Sender<Event>, event: Event) -> io::Result<()> {
    events
        .send(event)
        .await
        .map_err(|_| ErrorKind::BrokenPipe.into())
}

/// Reads what has arrived; zero bytes mean the end.
async fn read(from: &OwnedReadHalf, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        from.readable().await?;
        match from.try_read(&mut chunk) {
            Ok(count) => {
                bytes.extend(&chunk[..count]);
                return Ok(count);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

pub async fn write(to: &OwnedWriteHalf, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

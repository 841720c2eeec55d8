//! A proxy between a service and one Redis server that makes faults and counts.
//!
//! It understands what goes through it. A connection that is not RESP (TLS), or that becomes a replication link, goes
//! through as bytes: for those there are cuts, black holes and delays, but no rules and no counts. It runs on a thread of
//! its own, so a test may block, or stop the time of its own runtime.

mod deliver;
mod link;
mod rules;

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use tokio::{runtime, sync::oneshot};

use super::port::loopback;
pub use rules::{ALWAYS, Fault, command, command_with};
use rules::{Fate, Mode, Shared};

/// The proxy; its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port; nobody need listen at the other end yet.
    pub fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind(loopback(0)).expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::new(upstream));
        let (end, ended) = oneshot::channel();
        let serving = link::serve(listener, Arc::clone(&shared), ended);
        let thread = std::thread::spawn(|| {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime is made");
            runtime.block_on(serving);
        });
        Self {
            addr,
            shared,
            end: Some(end),
            thread: Some(thread),
        }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.addr)
    }

    /// New connections go there; those that are open stay: see [`Self::drop_connections`].
    pub fn retarget(&self, upstream: SocketAddr) {
        self.shared.state().upstream = upstream;
    }

    /// Ends [`Self::cut`], [`Self::blackhole`] and [`Self::delay`]; not the rules.
    pub fn pass(&self) {
        self.shared
            .control(|control| (control.mode, control.delay) = (Mode::Pass, Duration::ZERO));
    }

    /// Closes all connections, and closes each new one at once.
    pub fn cut(&self) {
        self.shared.control(|control| control.mode = Mode::Cut);
    }

    /// Closes all connections once; new ones are welcome.
    pub fn drop_connections(&self) {
        self.shared.control(|control| control.cuts += 1);
    }

    /// Takes connections and keeps them, but forwards nothing in either direction. What arrives meanwhile is held, and
    /// goes through after [`Self::pass`]: as when a network heals.
    pub fn blackhole(&self) {
        self.shared
            .control(|control| control.mode = Mode::Blackhole);
    }

    /// Holds each reply for so long after it came.
    pub fn delay(&self, delay: Duration) {
        self.shared.control(|control| control.delay = delay);
    }

    /// The next `times` requests that match are executed; in place of the reply the connection ends.
    pub fn drop_replies(
        &self,
        times: usize,
        matching: impl Fn(&[Vec<u8>]) -> bool + Send + 'static,
    ) -> Fault {
        self.shared.add(times, Fate::DropReply, Box::new(matching))
    }

    /// The next `times` requests that match do not reach Redis; when all before them on the connection are answered, the
    /// connection ends.
    pub fn drop_requests(
        &self,
        times: usize,
        matching: impl Fn(&[Vec<u8>]) -> bool + Send + 'static,
    ) -> Fault {
        self.shared
            .add(times, Fate::DropRequest, Box::new(matching))
    }

    /// The next `times` requests that match do not reach Redis and are answered by this error, in their turn. The error
    /// begins with its code: `READONLY You can't write against a read only replica.`
    pub fn inject_error(
        &self,
        times: usize,
        matching: impl Fn(&[Vec<u8>]) -> bool + Send + 'static,
        error: &str,
    ) -> Fault {
        self.shared
            .add(times, Fate::Error(error.to_owned()), Box::new(matching))
    }

    /// Ends all rules.
    pub fn clear(&self) {
        self.shared.state().rules.clear();
    }

    /// Requests since the start, by the name of the command in capitals.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.shared.state().counts.clone()
    }

    /// Requests of this command since the start.
    pub fn count(&self, name: &str) -> u64 {
        self.shared
            .state()
            .counts
            .get(&name.to_ascii_uppercase())
            .copied()
            .unwrap_or_default()
    }

    /// Connections that were accepted since the start.
    pub fn connections(&self) -> u64 {
        self.shared.state().connections
    }

    /// Connections that are open.
    pub fn open_connections(&self) -> u64 {
        self.shared.state().open
    }

    /// How often a client wrote while it waited for no reply on that connection: however many requests it wrote at once,
    /// it waited for the network once.
    pub fn round_trips(&self) -> u64 {
        self.shared.state().round_trips
    }

    /// The names of the commands since the last call, in the order in which they came; the latest 65,536 of them.
    pub fn take_log(&self) -> Vec<String> {
        self.shared.state().log.drain(..).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.end.take());
        self.thread.take().map(|thread| thread.join());
    }
}

//! A proxy before a Redis server that injects faults and counts commands.
//!
//! It parses RESP. Other connections (TLS, and replication links) are forwarded as bytes: they can be cut, blocked and
//! delayed, but rules and counts do not apply. The proxy runs on a thread of its own, so a test may block, or stop the
//! time of its own runtime.

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
use rules::{Fate, Mode, Shared, name};

/// The proxy; its connections are closed when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port; the server behind it need not be running yet.
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

    /// Forwards new connections to this server; open connections stay: see [`Self::drop_connections`].
    pub fn retarget(&self, upstream: SocketAddr) {
        self.shared.state().upstream = upstream;
    }

    /// Ends [`Self::cut`], [`Self::blackhole`] and [`Self::delay`], but not the rules.
    pub fn pass(&self) {
        self.shared
            .control(|control| (control.mode, control.delay) = (Mode::Pass, Duration::ZERO));
    }

    /// Closes all connections, and each new one at once.
    pub fn cut(&self) {
        self.shared.control(|control| control.mode = Mode::Cut);
    }

    /// Closes all connections once; new ones are accepted.
    pub fn drop_connections(&self) {
        self.shared.control(|control| control.cuts += 1);
    }

    /// Accepts connections but forwards nothing in either direction. What arrives meanwhile is held, and forwarded
    /// after [`Self::pass`], as when a network recovers.
    pub fn blackhole(&self) {
        self.shared
            .control(|control| control.mode = Mode::Blackhole);
    }

    /// Delays each reply by this time.
    pub fn delay(&self, delay: Duration) {
        self.shared.control(|control| control.delay = delay);
    }

    /// The next `times` requests that match are executed, but the connection is closed instead of sending the reply.
    pub fn drop_replies(
        &self,
        times: usize,
        matching: impl Fn(&[Vec<u8>]) -> bool + Send + 'static,
    ) -> Fault {
        self.shared.add(times, Fate::DropReply, Box::new(matching))
    }

    /// The next `times` requests that match do not reach Redis; the connection is closed after all earlier requests on
    /// it were answered.
    pub fn drop_requests(
        &self,
        times: usize,
        matching: impl Fn(&[Vec<u8>]) -> bool + Send + 'static,
    ) -> Fault {
        self.shared
            .add(times, Fate::DropRequest, Box::new(matching))
    }

    /// The next `times` requests that match do not reach Redis and are answered with this error, in order. The error
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

    /// Removes all rules.
    pub fn clear(&self) {
        self.shared.state().rules.clear();
    }

    /// The number of requests since the start, by command name in capitals.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.shared.state().counts.clone()
    }

    /// The number of requests with this command since the start.
    pub fn count(&self, name: &str) -> u64 {
        self.shared
            .state()
            .counts
            .get(&name.to_ascii_uppercase())
            .copied()
            .unwrap_or_default()
    }

    /// The number of connections accepted since the start.
    pub fn connections(&self) -> u64 {
        self.shared.state().connections
    }

    /// The number of open connections.
    pub fn open_connections(&self) -> u64 {
        self.shared.state().open
    }

    /// The number of round trips: how often a client wrote while no reply was outstanding on that connection. Several
    /// requests in one write are one round trip.
    pub fn round_trips(&self) -> u64 {
        self.shared.state().round_trips
    }

    /// The names of the commands since the last call, in order of arrival; at most the latest 65,536.
    pub fn take_log(&self) -> Vec<String> {
        self.take_requests()
            .iter()
            .map(|request| name(request))
            .collect()
    }

    /// The requests since the last call, each with its command and arguments, in order of arrival; at most the latest
    /// 65,536.
    pub fn take_requests(&self) -> Vec<Vec<Vec<u8>>> {
        self.shared.state().log.drain(..).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.end.take());
        self.thread.take().map(|thread| thread.join());
    }
}

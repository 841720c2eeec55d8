//! One Redis server with a port and a directory of its own.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    PATIENCE,
    client::Client,
    options::{Kind, Options, Ports, QUICKEN},
    poll::until,
    port,
    process::Process,
    resp::Reply,
};

/// Ports that are tried until one stays free.
const ATTEMPTS_MAX: usize = 20;
/// The time limit of a command that is repeated anyway: a frozen server does not answer.
const QUESTION_MAX: Duration = Duration::from_secs(2);
const CLASH: &str = "Address already in use";

/// A `redis-server` process with its port, running or not. Killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    process: Process,
    ports: Ports,
    login: Option<(String, String)>,
    sentinel: bool,
}

impl RedisServer {
    /// Starts a server; returns when it answers.
    pub fn start(options: &Options) -> Self {
        for _ in 0..ATTEMPTS_MAX {
            let server = Self::new(options);
            match server.launch() {
                Ok(()) => return server,
                Err(log) => assert!(log.contains(CLASH), "redis-server ended: {log}"),
            }
        }
        panic!("of {ATTEMPTS_MAX} ports none stayed free");
    }

    fn new(options: &Options) -> Self {
        let ports = Ports {
            plain: port::free(),
            tls: port::free(),
            bus: port::free(),
        };
        let sentinel = matches!(options.kind, Kind::Sentinel(_));
        let arguments = if sentinel {
            vec!["--sentinel".to_owned()]
        } else {
            Vec::new()
        };
        // A sentinel logs in at the servers, but itself needs no login.
        let login = options.login.clone().filter(|_| !sentinel);
        let process = Process::new(
            &options.config(ports),
            arguments,
            options.environment.clone(),
        );
        Self {
            process,
            ports,
            login,
            sentinel,
        }
    }

    /// Starts the process and waits for an answer; if it ends instead, returns its log.
    fn launch(&self) -> Result<(), String> {
        self.process.launch();
        until("redis-server to answer", || match self.process.id() {
            None => Ok(Err(self.log())),
            Some(id) => self.ready(id).map(Ok),
        })?;
        if self.sentinel {
            self.cmd(&QUICKEN).ok();
        }
        Ok(())
    }

    /// Whether this very process answers and has loaded its data.
    fn ready(&self, id: u32) -> Result<(), String> {
        let info = self.try_cmd(&["INFO"]).map_err(|error| error.to_string())?;
        let answers = field(&info.text(), "process_id") == Some(id.to_string());
        let loading = field(&info.text(), "loading").is_some_and(|loading| loading != "0");
        if answers && !loading {
            Ok(())
        } else {
            Err(format!("{info:?}"))
        }
    }

    /// Waits until it answers and has loaded its data.
    pub fn wait_ready(&self) {
        until("redis-server to answer", || {
            self.process
                .id()
                .ok_or_else(|| self.log())
                .and_then(|id| self.ready(id))
        });
    }

    pub fn port(&self) -> u16 {
        self.ports.plain
    }

    pub fn addr(&self) -> SocketAddr {
        port::loopback(self.ports.plain)
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.addr())
    }

    /// The port with TLS, opened by [`Options::tls`].
    pub fn tls_port(&self) -> u16 {
        self.ports.tls
    }

    pub fn tls_url(&self) -> String {
        format!("rediss://localhost:{}", self.ports.tls)
    }

    /// The port on which the servers of a cluster communicate.
    pub fn bus_port(&self) -> u16 {
        self.ports.bus
    }

    pub fn dir(&self) -> &Path {
        self.process.dir()
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    pub fn runs(&self) -> bool {
        self.process.id().is_some()
    }

    /// Kills it as `kill -9` does; does nothing if it is not running.
    pub fn kill9(&self) {
        self.process.kill9();
    }

    /// Ends it with SIGTERM, as a shutdown of the machine does.
    pub fn stop_gracefully(&self) {
        self.process.stop_gracefully();
    }

    /// Freezes it: connections stay open, nothing is answered.
    pub fn sigstop(&self) {
        self.process.signal("STOP");
    }

    pub fn sigcont(&self) {
        self.process.signal("CONT");
    }

    /// Starts it again on the same port and in the same directory; first kills it if it is still running.
    pub fn restart(&self) {
        self.kill9();
        let begun = Instant::now();
        while let Err(log) = self.launch() {
            assert!(
                log.contains(CLASH) && begun.elapsed() < PATIENCE,
                "redis-server ended: {log}"
            );
        }
    }

    /// Deletes its data files while it is not running, so that the next start is an empty one.
    pub fn wipe(&self) {
        assert!(!self.runs(), "a running server keeps its files");
        self.process.wipe();
    }

    /// Opens a new connection and logs in.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn client(&self) -> io::Result<Client> {
        self.client_within(PATIENCE)
    }

    fn client_within(&self, patience: Duration) -> io::Result<Client> {
        let mut client = Client::connect_within(self.addr(), patience)?;
        if let Some((user, password)) = &self.login {
            let reply = client.call(&["AUTH", user, password])?;
            reply
                .error()
                .map_or(Ok(()), |error| Err(io::Error::other(error)))?;
        }
        Ok(client)
    }

    /// Sends one command on a connection of its own. The reply may be an error: see [`Reply::ok`].
    pub fn cmd<A: AsRef<[u8]>>(&self, arguments: &[A]) -> Reply {
        let reply = self.client().and_then(|mut client| client.call(arguments));
        reply.unwrap_or_else(|error| {
            panic!(
                "redis-server on port {} does not answer: {error}",
                self.port()
            )
        })
    }

    /// Sends one command that will be repeated if it fails.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn try_cmd<A: AsRef<[u8]>>(&self, arguments: &[A]) -> io::Result<Reply> {
        self.client_within(QUESTION_MAX)?.call(arguments)
    }

    /// A field of `INFO`; `None` if there is no such field, or no answer.
    pub fn info(&self, name: &str) -> Option<String> {
        self.try_cmd(&["INFO", "everything"])
            .ok()
            .and_then(|info| field(&info.text(), name))
    }
}

fn field(info: &str, name: &str) -> Option<String> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(|value| value.trim().to_owned())
}

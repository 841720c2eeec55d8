//! One Redis server.

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
/// How long a question may take when it is asked again anyway: a frozen server gives no answer.
const QUESTION_MAX: Duration = Duration::from_secs(2);
const CLASH: &str = "Address already in use";

/// A process of `redis-server` on its port, running or not. Killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    process: Process,
    ports: Ports,
    login: Option<(String, String)>,
    sentinel: bool,
}

impl RedisServer {
    /// Returns when it answers.
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
        // A sentinel logs in at the servers, and itself lets everybody in.
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

    /// Starts the process and waits for an answer; if it ends instead, gives its log.
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

    /// Does this very process answer, with its data loaded?
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

    /// Waits until it answers, with its data loaded.
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

    /// The port that [`Options::tls`] opens.
    pub fn tls_port(&self) -> u16 {
        self.ports.tls
    }

    pub fn tls_url(&self) -> String {
        format!("rediss://localhost:{}", self.ports.tls)
    }

    /// The port on which the servers of a cluster speak to each other.
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

    /// As `kill -9`; nothing if it does not run.
    pub fn kill9(&self) {
        self.process.kill9();
    }

    /// As the machine's `shutdown` does it.
    pub fn stop_gracefully(&self) {
        self.process.stop_gracefully();
    }

    /// Freezes it: connections stay, nothing is answered.
    pub fn sigstop(&self) {
        self.process.signal("STOP");
    }

    pub fn sigcont(&self) {
        self.process.signal("CONT");
    }

    /// Starts it again on the same port, with the same folder, after `kill -9` if it still runs.
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

    /// Forgets its files, while it does not run: the next start is an empty one.
    pub fn wipe(&self) {
        assert!(!self.runs(), "a running server keeps its files");
        self.process.wipe();
    }

    /// A new connection, logged in.
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

    /// One command on a connection of its own. The reply may be an error: see [`Reply::ok`].
    pub fn cmd<A: AsRef<[u8]>>(&self, arguments: &[A]) -> Reply {
        let reply = self.client().and_then(|mut client| client.call(arguments));
        reply.unwrap_or_else(|error| {
            panic!(
                "redis-server on port {} does not answer: {error}",
                self.port()
            )
        })
    }

    /// One command that is asked again if it fails.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn try_cmd<A: AsRef<[u8]>>(&self, arguments: &[A]) -> io::Result<Reply> {
        self.client_within(QUESTION_MAX)?.call(arguments)
    }

    /// A field of `INFO`; none if there is no such field, or no answer.
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

//! The configuration of a Redis server.

use std::{net::SocketAddr, path::PathBuf};

/// How long a master must be silent before a sentinel considers it dead. With half of it, a busy machine causes
/// failovers.
const DOWN_AFTER_MS: &str = "800";
/// The name of the master at the sentinels.
pub const MASTER_NAME: &str = "main";

const SERVER: [&str; 4] = [
    "save \"\"",
    "appendonly no",
    "repl-diskless-sync-delay 0",
    "enable-debug-command local",
];
/// A short timeout, no replica that is too old to be elected, and replicas that stay with their masters.
const CLUSTER: [&str; 5] = [
    "cluster-enabled yes",
    "cluster-config-file nodes.conf",
    "cluster-node-timeout 1000",
    "cluster-replica-validity-factor 0",
    "cluster-allow-replica-migration no",
];

/// Sent to a sentinel after its start, to make it react faster. It pings several times within [`DOWN_AFTER_MS`],
/// because a new link counts as silent since it was made; but not too often, because a replica whose `INFO`, asked for
/// once a second, is older than five ping periods is not promoted. It learns of the others sooner, and does not pause
/// for half a minute because the machine was slow.
pub(super) const QUICKEN: [&str; 16] = [
    "SENTINEL",
    "DEBUG",
    "ping-period",
    "300",
    "publish-period",
    "200",
    "info-period",
    "500",
    "ask-period",
    "200",
    "min-link-reconnect-period",
    "500",
    "tilt-trigger",
    "10000",
    "tilt-period",
    "1000",
];

/// Builds the configuration; later settings win.
#[derive(Clone, Debug, Default)]
pub struct Options {
    settings: Vec<(String, String)>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) login: Option<(String, String)>,
    pub(super) tls: Option<Tls>,
    pub(super) kind: Kind,
}

/// The certificate files for a second port with TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub ca: PathBuf,
    /// Whether a client must present a certificate.
    pub auth_clients: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Single,
    Cluster,
    /// A sentinel that watches the master at this address.
    Sentinel(SocketAddr),
}

/// The ports of one attempt to start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub plain: u16,
    pub tls: u16,
    pub bus: u16,
}

impl Options {
    /// Adds a line of `redis.conf`; a value with spaces is several values unless it is quoted.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Keeps the data over a restart; up to a second of it may be lost, unless `appendfsync` is set.
    pub fn appendonly(self) -> Self {
        self.set("appendonly", "yes")
    }

    /// Sets an environment variable of the process.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the user as whom the test bed itself logs in. [`Self::set`] must create it, with all commands, keys and
    /// channels.
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Opens a port with TLS in addition to the plain one, which the test bed continues to use.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    pub(super) fn clustered(&self) -> Self {
        Self {
            kind: Kind::Cluster,
            ..self.clone()
        }
    }

    /// The options of a sentinel for such servers.
    pub(super) fn watching(&self, master: SocketAddr) -> Self {
        Self {
            kind: Kind::Sentinel(master),
            login: self.login.clone(),
            ..Self::default()
        }
    }

    /// The configuration file, without the directory.
    pub(super) fn config(&self, ports: Ports) -> String {
        let mut lines = vec![format!("port {}", ports.plain)];
        lines.extend(["bind 127.0.0.1", "protected-mode no", "daemonize no"].map(str::to_owned));
        match self.kind {
            Kind::Sentinel(master) => lines.extend(self.sentinel(master)),
            Kind::Single => lines.extend(SERVER.map(str::to_owned)),
            Kind::Cluster => {
                lines.extend(SERVER.iter().chain(&CLUSTER).map(|line| (*line).to_owned()));
                lines.push(format!("cluster-port {}", ports.bus));
            }
        }
        if let Some(tls) = &self.tls {
            let demand = if tls.auth_clients { "yes" } else { "no" };
            let files = [("cert", &tls.cert), ("key", &tls.key), ("ca-cert", &tls.ca)];
            lines.extend(
                files.map(|(name, path)| format!("tls-{name}-file \"{}\"", path.display())),
            );
            lines.extend([
                format!("tls-port {}", ports.tls),
                format!("tls-auth-clients {demand}"),
            ]);
        }
        lines.extend(
            self.settings
                .iter()
                .map(|(name, value)| format!("{name} {value}")),
        );
        lines.join("\n") + "\n"
    }

    fn sentinel(&self, master: SocketAddr) -> Vec<String> {
        let line = |name: &str, value: &str| format!("sentinel {name} {MASTER_NAME} {value}");
        let mut lines = vec![
            line("monitor", &format!("{} {} 2", master.ip(), master.port())),
            line("down-after-milliseconds", DOWN_AFTER_MS),
            line("failover-timeout", "2000"),
            line("parallel-syncs", "1"),
        ];
        if let Some((user, password)) = &self.login {
            lines.extend([line("auth-user", user), line("auth-pass", password)]);
        }
        lines
    }
}

//! The built binary as a separate process: started on free ports, killed when dropped.
#![allow(dead_code, reason = "each target uses a part of it")]
#![allow(clippy::unwrap_used, reason = "what fails here is to fail the test")]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use countersign::{
    domain::limit::quota::Dimension, pb::v1::verification_service_client::VerificationServiceClient,
};
use tonic::transport::Channel;

use super::sink::Sink;

/// The binary that was built with these tests.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.env_clear();
    command
}

/// Settings that switch the quotas of `[quotas]` off, and the alarm of guesses over many subjects.
pub fn no_quotas() -> impl Iterator<Item = (String, String)> {
    let no_alarm = (
        "GUESSES__ALARM_FAILURES_PER_H".to_owned(),
        "1000000000".to_owned(),
    );
    let counted = Dimension::ALL
        .into_iter()
        .filter(|dimension| dimension.is_plain());
    let names = counted.map(|dimension| dimension.as_str().to_uppercase());
    names
        .map(|name| (format!("QUOTAS__{name}__COUNT"), "0".to_owned()))
        .chain([no_alarm])
}

/// A running process; killed when dropped.
pub struct Process {
    child: Child,
    pub grpc: String,
    pub http: String,
    pub admin: String,
    pub key: String,
}

impl Process {
    /// Starts on free ports in a directory, with settings as `SECTION__KEY` and value.
    pub fn start(dir: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_with(dir, settings, &[])
    }

    pub fn start_with(dir: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut command = binary();
        for listener in ["GRPC", "HTTP", "ADMIN"] {
            command.env(format!("COUNTERSIGN__{listener}__LISTEN"), "127.0.0.1:0");
        }
        command.env("COUNTERSIGN__DATA_DIR", dir.join("data"));
        command.env("COUNTERSIGN__STORE__DEADLINE_MS", "5000");
        command.envs(no_quotas().map(|(key, value)| (format!("COUNTERSIGN__{key}"), value)));
        command.envs(
            settings
                .iter()
                .map(|(key, value)| (format!("COUNTERSIGN__{key}"), value)),
        );
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.join("log"))
            .unwrap();
        let mut child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut of = |name: &str| {
            let line = lines
                .by_ref()
                .map_while(Result::ok)
                .find(|line| line.trim_start().starts_with(name));
            let line = line.unwrap_or_else(|| {
                panic!(
                    "no line {name}: {}",
                    std::fs::read_to_string(dir.join("log")).unwrap()
                )
            });
            line.split_whitespace()
                .nth(1)
                .unwrap()
                .trim_start_matches("http://")
                .to_owned()
        };
        let (grpc, http, admin) = (of("gRPC"), of("HTTP"), of("admin"));
        // The rest of its output is read too, so that it never blocks on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let key = std::fs::read_to_string(dir.join("data/development.key"))
            .unwrap_or_default()
            .trim()
            .to_owned();
        Self {
            child,
            grpc,
            http,
            admin,
            key,
        }
    }

    /// Starts another process with the same keys; its data directory is a copy of this one's.
    pub fn beside(&self, from: &Path, dir: &Path, settings: &[(&str, &str)]) -> Self {
        std::fs::create_dir_all(dir.join("data/keys")).unwrap();
        for file in ["development.key", "keys/names.key", "keys/dev.key"] {
            std::fs::copy(from.join("data").join(file), dir.join("data").join(file)).unwrap();
        }
        let other = Self::start(dir, settings);
        assert_eq!(other.key, self.key, "the same keys");
        other
    }

    pub async fn client(&self) -> VerificationServiceClient<Channel> {
        VerificationServiceClient::connect(format!("http://{}", self.grpc))
            .await
            .unwrap()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Uses the shell's built-in `kill`, because not every system has the program.
    pub fn signal(&self, name: &str) {
        let told = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status();
        assert!(told.unwrap().success());
    }

    pub fn terminate(mut self) -> i32 {
        self.signal("TERM");
        self.child
            .wait()
            .unwrap()
            .code()
            .expect("it ends by itself")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn mail_settings(sink: &Sink) -> Vec<(String, String)> {
    let port = sink.address.port().to_string();
    [
        ("SENDERS__MAIL__KIND", "smtp"),
        ("SENDERS__MAIL__HOST", "127.0.0.1"),
        ("SENDERS__MAIL__PORT", &port),
        ("SENDERS__MAIL__TLS", "none"),
        ("SENDERS__MAIL__FROM", "Countersign <noreply@example.org>"),
        ("ROUTES__EMAIL__SENDERS", "mail"),
        // A lease then ends after six seconds.
        ("WORKER__SEND_DEADLINE_MS", "1000"),
        ("WORKER__POLL_MS", "100"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec()
}

pub fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

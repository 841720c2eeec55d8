//! The kit of `deploy/` as an operator brings it up: servers, sentinels and two services, with TLS and all users.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use countersign::pb::v1::{Verdict, verification_service_client::VerificationServiceClient};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use crate::{
    harness::{check_request, http::get, login, unique, with_key},
    rig::free_port,
};

const KIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kit");
/// The ports that a kit uses, counted from its first.
const PORTS: u16 = 26;
/// How long a failover may take until the services are ready again.
const FAILOVER: Duration = Duration::from_secs(60);

/// A kit that runs; it is ended when dropped.
struct Kit {
    dir: tempfile::TempDir,
    port: u16,
}

impl Kit {
    fn up() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        let port = (0..100)
            .map(|_| free_port())
            .find(|first| (*first..first + PORTS).all(is_free))
            .expect("some ports in a row are free");
        let kit = Self { dir, port };
        let output = kit.run("up");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}{error}");
        kit
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("kit").join(name)
    }

    fn run(&self, verb: &str) -> Output {
        Command::new(KIT)
            .arg(verb)
            .arg(self.dir.path().join("kit"))
            .env("PORT", self.port.to_string())
            .env("COUNTERSIGN", env!("CARGO_BIN_EXE_countersign"))
            .output()
            .expect("bash is installed")
    }

    fn master(&self) -> u16 {
        let said = String::from_utf8(self.run("status").stdout).unwrap();
        let line = said.lines().next().unwrap();
        line.split_whitespace().last().unwrap().parse().unwrap()
    }

    /// The first port of a service.
    fn service(&self, number: u16) -> u16 {
        self.port + 17 + 3 * number
    }

    async fn client(&self, number: u16) -> VerificationServiceClient<Channel> {
        let ca = fs::read(self.path("tls/ca.pem")).unwrap();
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        let url = format!("https://localhost:{}", self.service(number));
        let channel = Channel::from_shared(url).unwrap().tls_config(tls).unwrap();
        VerificationServiceClient::new(channel.connect().await.unwrap())
    }

    fn api_key(&self) -> String {
        let text = fs::read_to_string(self.path("api.key")).unwrap();
        let line = text.lines().find(|line| line.starts_with("key")).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    }

    /// Starts a verification at one service, and checks its code at the other.
    async fn approve(&self, (from, at): (u16, u16)) -> Result<(), String> {
        let (key, subject) = (self.api_key(), unique("kit"));
        let told = |status: tonic::Status| status.to_string();
        let mut client = self.client(from).await;
        let started = client
            .start_verification(with_key(&key, login(&subject)))
            .await
            .map_err(told)?;
        let id = started.into_inner().verification.unwrap().verification_id;
        let code = self.code(from, &id).await;
        let request = with_key(&key, check_request(&id, &code, &unique("a")));
        let answer = self.client(at).await.check_code(request).await;
        let verdict = answer.map_err(told)?.into_inner().verdict();
        assert_eq!(verdict, Verdict::Approved);
        Ok(())
    }

    /// The code of a verification, from the page of the service that sent it.
    async fn code(&self, service: u16, id: &str) -> String {
        let at = ([127, 0, 0, 1], self.service(service) + 1).into();
        let begun = Instant::now();
        loop {
            let page = get(at, "/dev/outbox").await;
            let (_, body) = page.split_once("\r\n\r\n").unwrap();
            let all: serde_json::Value = serde_json::from_str(body).unwrap();
            let messages = all.as_array().unwrap();
            if let Some(found) = messages.iter().find(|one| one["verification_id"] == id) {
                return found["code"].as_str().unwrap().to_owned();
            }
            assert!(begun.elapsed() < FAILOVER, "{id} is not in {all}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn pids(&self) -> Vec<u32> {
        let files = fs::read_dir(self.path("run")).unwrap();
        let pid = |file: std::io::Result<fs::DirEntry>| {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            text.trim().parse().unwrap()
        };
        files.map(pid).collect()
    }
}

impl Drop for Kit {
    fn drop(&mut self) {
        let _ = self.run("down");
    }
}

fn runs(pid: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A process that nobody waited for is a zombie, not a running one.
    !state.is_empty() && !state.contains(") Z ")
}

#[tokio::test(flavor = "multi_thread")]
async fn store_12_to_14_the_kit_comes_up_approves_and_survives_its_master() {
    let kit = Kit::up();
    assert_eq!(kit.pids().iter().filter(|pid| runs(**pid)).count(), 8);
    let checked = fs::read_to_string(kit.path("log/check-config")).unwrap();
    let warned: Vec<&str> = checked
        .lines()
        .filter(|line| line.starts_with("warning: ") && !line.contains("old_version"))
        .collect();
    assert!(warned.is_empty(), "{warned:?}");
    for folder in ["tls", "passwords", "keys"] {
        assert!(is_private(&kit.path(folder)) > 1);
    }
    kit.approve((1, 2)).await.expect("an approval");
    let old = kit.master();
    assert_eq!(old, kit.port);
    let file = kit.path(&format!("run/redis-{old}.pid"));
    let pid = fs::read_to_string(file).unwrap();
    kill9(pid.trim());
    let begun = Instant::now();
    while kit.approve((2, 1)).await.is_err() || kit.master() == old {
        assert!(begun.elapsed() < FAILOVER, "no approval after the failover");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let pids = kit.pids();
    assert!(kit.run("down").status.success());
    let left: Vec<_> = pids.iter().filter(|pid| runs(**pid)).collect();
    assert!(left.is_empty(), "{left:?} still run");
    let again = kit.run("up");
    assert!(!again.status.success(), "a used directory is refused");
}

/// Uses the shell's built-in `kill`, because not every system has the program.
fn kill9(pid: &str) {
    let told = Command::new("sh")
        .args(["-c", &format!("kill -9 {pid}")])
        .status();
    assert!(told.unwrap().success());
}

/// Checks that nobody else can read what is below a directory; returns how much that is.
fn is_private(dir: &Path) -> usize {
    use std::os::unix::fs::PermissionsExt as _;
    let mut seen = 0;
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
        seen += 1;
        if entry.file_type().unwrap().is_dir() {
            seen += is_private(&entry.path());
        }
    }
    seen
}

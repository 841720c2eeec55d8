//! Postfix's `smtp-sink`: an independent mail server for tests that fails on demand.

use std::{
    fs::{self, Permissions},
    io::ErrorKind,
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{poll::until, port, watchdog};

/// The path on Debian, which is in the `PATH` of root only.
const PROGRAM: &str = "/usr/sbin/smtp-sink";

/// A running server; killed when dropped.
pub struct SmtpSink {
    pub port: u16,
    child: Child,
    dir: TempDir,
}

impl SmtpSink {
    /// Starts a server that fails as the arguments say: `-r DATA` temporarily, `-f RCPT` permanently, `-q .` by closing
    /// the connection. Mails are discarded.
    pub fn start(arguments: &[&str]) -> Self {
        let dir = TempDir::with_prefix("smtp-sink-").expect("a folder is made");
        Self::start_in(dir, arguments)
    }

    /// The same, but each mail is kept.
    pub fn keeping(arguments: &[&str]) -> Self {
        let dir = TempDir::with_prefix("smtp-sink-").expect("a folder is made");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777))
            .expect("nobody may write there");
        let template = dir.path().join("mail.").display().to_string();
        Self::start_in(dir, &[arguments, &["-d", &template]].concat())
    }

    fn start_in(dir: TempDir, arguments: &[&str]) -> Self {
        watchdog::watch(dir.path().display());
        let port = port::free();
        let mut command = Command::new(PROGRAM);
        // It refuses to run as root.
        let is_root = fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        command.args(if is_root { &["-u", "nobody"][..] } else { &[] });
        command
            .args(arguments)
            .args([&format!("inet:127.0.0.1:{port}"), "256"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound => {
                panic!("{PROGRAM} is missing; on Debian: apt-get install postfix")
            }
            _ => panic!("{PROGRAM} does not start: {error}"),
        });
        watchdog::watch(child.id());
        let sink = Self { port, child, dir };
        until("smtp-sink to listen", || {
            TcpStream::connect(port::loopback(port)).map_err(|error| error.to_string())
        });
        sink
    }

    /// The mails that were kept, each with its envelope as header fields `X-Mail-Args` and `X-Rcpt-Args`.
    pub fn mails(&self) -> Vec<String> {
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        let files = fs::read_dir(self.dir.path())
            .expect("the folder is read")
            .map_while(Result::ok);
        files
            .map(|file| read(&file.path()))
            .filter(|mail| !mail.is_empty())
            .collect()
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        watchdog::forget(self.child.id());
        watchdog::forget(self.dir.path().display());
    }
}

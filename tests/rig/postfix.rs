//! A whole Postfix of its own: a real mail server with a configuration that operators use.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{poll::until, port, watchdog};

/// The path on Debian, which is in the `PATH` of root only.
const PROGRAM: &str = "/usr/sbin/postfix";

/// The programs that Postfix starts for what these tests do.
const MASTER: &str = "\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
discard unix - - n - - discard
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";

/// A running server, which accepts mail for everybody and throws it away; stopped when dropped.
pub struct Postfix {
    pub port: u16,
    master: u32,
    dir: TempDir,
}

impl Postfix {
    /// Starts a server with these lines of `main.cf` besides the least that it needs. Only root can do that.
    pub fn start(settings: &str) -> Self {
        let dir = TempDir::with_prefix("postfix-").expect("a folder is made");
        let (path, port) = (dir.path(), port::free());
        // Its processes run as the user `postfix`.
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("others may read it");
        for (folder, mode) in [("etc", 0o755), ("queue", 0o755), ("data", 0o777)] {
            fs::create_dir(path.join(folder)).expect("a folder is made");
            fs::set_permissions(path.join(folder), Permissions::from_mode(mode))
                .expect("its mode is set");
        }
        let main = format!("{}{settings}\n", main(path));
        fs::write(path.join("etc/main.cf"), main).expect("main.cf is written");
        let master = format!("127.0.0.1:{port} inet n - n - - smtpd\n{MASTER}");
        fs::write(path.join("etc/master.cf"), master).expect("master.cf is written");
        watchdog::watch(path.display());
        let mut server = Self {
            port,
            master: 0,
            dir,
        };
        server.run("start");
        server.master = until("Postfix to run", || server.pid());
        watchdog::watch(server.master);
        until("Postfix to listen", || {
            std::net::TcpStream::connect(port::loopback(port)).map_err(|error| error.to_string())
        });
        server
    }

    /// Waits until the log says that a mail to this address was accepted and thrown away.
    pub fn wait_for(&self, address: &str) {
        let to = format!("to=<{address}>");
        until("Postfix to deliver", || {
            let log = self.log();
            let is_sent = |line: &str| line.contains(&to) && line.contains("status=sent");
            log.lines().any(is_sent).then_some(()).ok_or(log.clone())
        });
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("data/log")).unwrap_or_default()
    }

    fn run(&self, command: &str) {
        let done = Command::new(PROGRAM)
            .arg("-c")
            .arg(self.dir.path().join("etc"))
            .arg(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let is_done = done
            .unwrap_or_else(|error| {
                panic!("{PROGRAM}: {error}; on Debian: apt-get install postfix")
            })
            .success();
        assert!(
            is_done,
            "postfix {command} failed, which only root may do: {}",
            self.log()
        );
    }

    fn pid(&self) -> Result<u32, String> {
        let text = fs::read_to_string(self.dir.path().join("queue/pid/master.pid"));
        let text = text.map_err(|error| error.to_string())?;
        text.trim().parse().map_err(|_| text)
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = Command::new(PROGRAM)
            .arg("-c")
            .arg(self.dir.path().join("etc"))
            .arg("stop")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        watchdog::forget(self.master);
        watchdog::forget(self.dir.path().display());
    }
}

fn main(path: &Path) -> String {
    let path = path.display();
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {path}/queue\n\
         data_directory = {path}/data\n\
         maillog_file = {path}/data/log\n\
         maillog_file_prefixes = {path}\n\
         mail_owner = postfix\n\
         setgid_group = postdrop\n\
         inet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\n\
         myhostname = mx.example.org\n\
         mydestination =\n\
         mynetworks = 127.0.0.0/8\n\
         alias_maps =\n\
         local_recipient_maps =\n\
         default_transport = discard:\n\
         smtpd_relay_restrictions = permit_mynetworks, reject\n"
    )
}

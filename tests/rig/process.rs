//! A `redis-server` process with its own directory.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use tempfile::TempDir;

use super::{poll::until, watchdog};

const PROGRAM: &str = "redis-server";
const CONFIG: &str = "redis.conf";
const LOG: &str = "log";
/// Lines of the log that are shown when a test fails.
const LOG_LINES: usize = 60;

/// The process, running or not, and its configuration. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    dir: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Writes the configuration without starting the process. It is a file because sentinels and clusters write to it.
    pub fn new(config: &str, arguments: Vec<String>, environment: Vec<(String, String)>) -> Self {
        let dir = TempDir::with_prefix("redis-").expect("a folder is made");
        watchdog::watch(dir.path().display());
        let config = format!("dir \"{}\"\n{config}", dir.path().display());
        fs::write(dir.path().join(CONFIG), config).expect("a file is written");
        Self {
            dir,
            arguments,
            environment,
            child: Mutex::default(),
        }
    }

    pub fn launch(&self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.file(LOG))
            .expect("a file is opened");
        let mut command = Command::new(PROGRAM);
        command
            .arg(self.file(CONFIG))
            .args(&self.arguments)
            .envs(self.environment.clone());
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a handle is copied"))
            .stderr(log);
        let child = command.spawn().unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound => panic!(
                "{PROGRAM} is missing; on Debian: apt-get install redis-server redis-sentinel"
            ),
            _ => panic!("{PROGRAM} does not start: {error}"),
        });
        watchdog::watch(child.id());
        *self.child() = Some(child);
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.file(LOG)).unwrap_or_default()
    }

    /// The process id, if it is running.
    pub fn id(&self) -> Option<u32> {
        let mut child = self.child();
        let ended = child
            .as_mut()
            .is_some_and(|child| child.try_wait().expect("it is our child").is_some());
        if ended {
            child
                .take()
                .iter()
                .for_each(|child| watchdog::forget(child.id()));
        }
        child.as_ref().map(|child| child.id())
    }

    /// Kills it as `kill -9` does; does nothing if it is not running.
    pub fn kill9(&self) {
        if let Some(mut child) = self.child().take() {
            let _ = child.kill();
            let _ = child.wait();
            watchdog::forget(child.id());
        }
    }

    /// Ends it with SIGTERM, and waits for the end.
    pub fn stop_gracefully(&self) {
        self.signal("TERM");
        until("redis-server to end", || {
            self.id().map_or(Ok(()), |_| Err(self.log()))
        });
    }

    /// Uses the shell's built-in `kill`, because not every system has the program.
    pub fn signal(&self, name: &str) {
        let id = self
            .id()
            .unwrap_or_else(|| panic!("{PROGRAM} does not run: {}", self.log()));
        let told = Command::new("sh")
            .args(["-c", &format!("kill -{name} {id}")])
            .status()
            .expect("a shell is started");
        assert!(told.success(), "signal {name} was sent");
    }

    /// Deletes all data files.
    pub fn wipe(&self) {
        for entry in fs::read_dir(self.dir.path())
            .expect("a folder is read")
            .map_while(Result::ok)
        {
            let kept = [CONFIG, LOG].iter().any(|name| entry.file_name() == *name);
            let gone = match entry.file_type() {
                Ok(kind) if kind.is_dir() => fs::remove_dir_all(entry.path()),
                _ if kept => Ok(()),
                _ => fs::remove_file(entry.path()),
            };
            gone.expect("a file is removed");
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
        watchdog::forget(self.dir().display());
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!(
                "{PROGRAM} said at the end:\n{}\n",
                lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
            );
        }
    }
}

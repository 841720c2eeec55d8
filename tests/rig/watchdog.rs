//! Kills the servers of a test process that was itself killed.

use std::{
    io::Write,
    process::{Child, Command, Stdio},
    sync::{LazyLock, Mutex, PoisonError},
};

/// Reads `+ PID` and `- PID`, and at the end of its input, which is the end of its parent, kills who is left.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
left=' '
while read -r sign pid; do
    case "$sign" in
        +) left="$left$pid " ;;
        -) case "$left" in *" $pid "*) left="${left%% $pid *} ${left#* $pid }" ;; esac ;;
    esac
done
for pid in $left; do kill -KILL "$pid"; done
"#;

static WATCHDOG: LazyLock<Mutex<Child>> = LazyLock::new(|| {
    let mut shell = Command::new("sh");
    shell.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    Mutex::new(shell.spawn().expect("a shell is started"))
});

/// This process is to end with us.
pub fn watch(pid: u32) {
    tell('+', pid);
}

/// This process has ended.
pub fn forget(pid: u32) {
    tell('-', pid);
}

fn tell(sign: char, pid: u32) {
    let mut shell = WATCHDOG.lock().unwrap_or_else(PoisonError::into_inner);
    // A watchdog that somebody killed is missed by nobody who ends in order.
    let _ = shell.stdin.as_mut().map(|input| writeln!(input, "{sign} {pid}"));
}

//! Kills the servers of a test process that ended without cleaning up.

use std::{
    fmt::Display,
    io::Write,
    process::{Child, Command, Stdio},
    sync::{LazyLock, Mutex, PoisonError},
};

/// Reads `+ THING` and `- THING`, where a thing is a process id or the path of a directory. At the end of its input,
/// which is the end of its parent, it kills the remaining processes and removes the remaining directories.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
nl='
'
left="$nl"
while read -r sign thing; do
    case "$sign" in
        +) left="$left$thing$nl" ;;
        -) case "$left" in *"$nl$thing$nl"*) left="${left%%$nl$thing$nl*}$nl${left#*$nl$thing$nl}" ;; esac ;;
    esac
done
printf '%s' "$left" | while read -r thing; do case "$thing" in [0-9]*) kill -KILL "$thing" ;; esac; done
printf '%s' "$left" | while read -r thing; do case "$thing" in /*) rm -rf -- "$thing" ;; esac; done
"#;

static WATCHDOG: LazyLock<Mutex<Child>> = LazyLock::new(|| {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Mutex::new(shell.spawn().expect("a shell is started"))
});

/// Registers a process id or a directory to be cleaned up after this process.
pub fn watch(thing: impl Display) {
    tell('+', &thing);
}

/// Removes it from the registered ones, because it has been cleaned up.
pub fn forget(thing: impl Display) {
    tell('-', &thing);
}

fn tell(sign: char, thing: &impl Display) {
    let mut shell = WATCHDOG.lock().unwrap_or_else(PoisonError::into_inner);
    // Errors are ignored: without a watchdog, a process that ends normally still cleans up.
    let _ = shell
        .stdin
        .as_mut()
        .map(|input| input.write_all(format!("{sign} {thing}\n").as_bytes()));
}

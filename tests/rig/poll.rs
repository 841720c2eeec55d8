//! Waits by asking again.

use std::time::{Duration, Instant};

/// How long anything may take to come about. Long, because the machine may be busy with something else.
pub const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(15);

/// Asks until there is an answer; fails with what was wanted and what was seen last.
pub fn until<T>(wanted: &str, ask: impl FnMut() -> Result<T, String>) -> T {
    until_within(PATIENCE, wanted, ask)
}

/// As [`until`], with less patience or more.
pub fn until_within<T>(
    patience: Duration,
    wanted: &str,
    mut ask: impl FnMut() -> Result<T, String>,
) -> T {
    let begun = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(seen) if begun.elapsed() > patience => {
                panic!(
                    "waited {} s for {wanted}; last seen: {seen}",
                    patience.as_secs_f32()
                )
            }
            Err(_) => pause(),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "blocks a thread of a test between two questions; nothing relies on its length"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}

//! Polls until a condition holds.

use std::time::{Duration, Instant};

/// The time limit for anything to happen. Long, because the machine may be busy with something else.
pub const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(15);

/// Polls until there is an answer; at the limit, panics with what was expected and what was seen last.
pub fn until<T>(wanted: &str, ask: impl FnMut() -> Result<T, String>) -> T {
    until_within(PATIENCE, wanted, ask)
}

/// The same as [`until`], with another time limit.
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

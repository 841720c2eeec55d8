//! The recipients at which a subject was recently reached, as keyed hashes.

use std::time::Duration;

use crate::domain::{
    crypto::keyring::Mark,
    time::{Now, Timestamp},
};

/// How long a recipient counts as known to a subject after its first use.
pub const KNOWN_PERIOD: Duration = Duration::from_secs(24 * 3600);
/// Recipients remembered per subject. The oldest one is dropped first, and is new again afterwards.
pub const KNOWN_MAX: usize = 8;

/// A recipient that is known to a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The keyed hash of the recipient.
    pub mark: Mark,
    /// When it was first used.
    pub since: Timestamp,
}

/// The recipients of a subject that were first used within a day, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached(Vec<Known>);

impl Reached {
    /// The list as it was stored.
    #[must_use]
    pub fn from_stored(known: Vec<Known>) -> Self {
        Self(known)
    }

    /// The recipients that are remembered, oldest first.
    #[must_use]
    pub fn as_slice(&self) -> &[Known] {
        &self.0
    }

    /// Remembers a recipient, and says whether it was new.
    pub fn meet(&mut self, mark: Mark, now: Now) -> bool {
        self.forget(now);
        let is_new = !self.0.iter().any(|known| known.mark == mark);
        if is_new {
            if self.0.len() >= KNOWN_MAX {
                self.0.remove(0);
            }
            self.0.push(Known {
                mark,
                since: now.stamp(),
            });
        }
        is_new
    }

    /// Forgets recipients that were first used more than a day ago.
    pub fn forget(&mut self, now: Now) {
        self.0
            .retain(|known| !now.has_reached(known.since.plus(KNOWN_PERIOD)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        let at = Timestamp::from_micros(1_800_000_000_000_000).plus(Duration::from_secs(seconds));
        Now::new(at, at)
    }

    #[test]
    fn a_recipient_is_new_once_a_day() {
        let mut reached = Reached::default();
        assert!(reached.meet([1; 16], at(0)));
        assert!(!reached.meet([1; 16], at(86_399)));
        assert!(
            reached.meet([1; 16], at(86_400)),
            "counted from when it was new, not from its last use"
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut reached = Reached::default();
        for n in 0..100 {
            assert!(reached.meet([n; 16], at(n.into())));
        }
        assert_eq!(reached.as_slice().len(), KNOWN_MAX);
        assert!(!reached.meet([99; 16], at(100)) && reached.meet([0; 16], at(100)));
    }
}

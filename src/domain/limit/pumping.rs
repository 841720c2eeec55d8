//! The guard against SMS pumping: it stops sending to number ranges where few codes are used.
//!
//! Each message to a number adds to a count for its country and to one for its block of a thousand neighbouring
//! numbers; each approval subtracts several messages. While about one code in seven is used, the counts stay near
//! zero, however many messages there are. If none is used, the budget ends after a fixed number of messages.
//! Approvals beyond that build up a reserve, so that the messages of a busy hour, whose codes are yet to be used, do
//! not look like fraud.

use std::{collections::BTreeSet, time::Duration};

use super::{bucket::Scope, rate::Rate};
use crate::domain::recipient::number::Country;

/// Parts that a message adds to a count. An approval subtracts [`APPROVAL_PARTS`], so at an approval rate of 3/20, or
/// 15 %, a count stays level.
pub const MESSAGE_PARTS: u32 = 3;
/// Parts that an approval subtracts from a count; see [`MESSAGE_PARTS`].
pub const APPROVAL_PARTS: u32 = 20;
/// The highest budget that the settings accept, in messages.
pub const BUDGET_MAX: u32 = 100_000;
/// The highest reserve that the settings accept, in messages.
pub const RESERVE_MAX: u32 = 10_000_000;

/// What happens to a message beyond the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is counted, and no message is refused.
    Off,
    /// The message is sent, and an event says that it would have been refused.
    RecordOnly,
    /// The message is refused.
    Enforce,
}

impl Mode {
    /// The name used in settings, events and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::RecordOnly => "record_only",
            Self::Enforce => "enforce",
        }
    }
}

/// The guard's rules, from the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// What happens to a message beyond the budget.
    pub mode: Mode,
    /// The number of messages to one country or block that may remain without an approval.
    pub budget: u32,
    /// The number of messages beyond the budget that earlier approvals can allow.
    pub reserve: u32,
    /// The time in which a used budget refills by itself.
    pub leak: Duration,
    /// Countries whose messages are not counted.
    pub exempt: BTreeSet<Country>,
}

impl Guard {
    /// The rate of a bucket, in parts of a message. Anonymous messages have half of the budget.
    #[must_use]
    pub fn rate(&self, scope: Scope) -> Rate {
        let messages = share(self.budget, scope);
        Rate::per(messages.saturating_mul(MESSAGE_PARTS), self.leak)
    }

    /// By how much a bucket may exceed its budget, in parts of a message.
    #[must_use]
    pub fn reserve_parts(&self, scope: Scope) -> u32 {
        share(self.reserve, scope).saturating_mul(MESSAGE_PARTS)
    }

    /// Whether messages to numbers of this country are counted.
    #[must_use]
    pub fn counts(&self, country: &str) -> bool {
        self.mode != Mode::Off && !self.exempt.iter().any(|exempt| exempt.as_str() == country)
    }
}

/// A number of messages, or half of it, rounded up, for anonymous ones.
fn share(messages: u32, scope: Scope) -> u32 {
    match scope {
        Scope::Vouched | Scope::All => messages,
        Scope::Anonymous => messages.div_ceil(2),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{limit::rate::Fill, time::Timestamp};

    fn guard() -> Guard {
        Guard {
            mode: Mode::Enforce,
            budget: 50,
            reserve: 5000,
            leak: Duration::from_secs(86_400),
            exempt: BTreeSet::new(),
        }
    }

    /// Sends one message per second; customers answer `per_mille` of a thousand, each after a minute. Returns how
    /// many the guard let through.
    fn sent(messages: u32, per_mille: u64, seed: u64) -> u32 {
        let (guard, mut level, mut sent) = (guard(), Fill::default(), 0);
        let (rate, reserve) = (guard.rate(Scope::All), guard.reserve_parts(Scope::All));
        let (mut state, mut answers) = (seed, VecDeque::new());
        for second in 0..messages {
            let now = Timestamp::from_micros(1_800_000_000_000_000)
                .plus(Duration::from_secs(second.into()));
            while answers.front().is_some_and(|at| now >= *at) {
                answers.pop_front();
                level = rate.give_back(level, APPROVAL_PARTS, reserve, now);
            }
            if let Ok((after, _)) = rate.take(level, MESSAGE_PARTS, MESSAGE_PARTS, now) {
                (level, sent) = (after, sent + 1);
                // A linear congruential generator: its upper bits are evenly distributed enough.
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                if (state >> 33) % 1000 < per_mille {
                    answers.push_back(now.plus(Duration::from_secs(10)));
                }
            }
        }
        sent
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn send_04_a_stream_that_comes_back_is_never_stopped(seed: u64, per_mille in 300_u64..1000) {
            prop_assert_eq!(sent(5000, per_mille, seed), 5000);
        }

        #[test]
        fn send_04_a_stream_that_does_not_come_back_is_stopped_at_the_budget(seed: u64) {
            // In 1,000 seconds the leak refills less than one message.
            prop_assert!((50..=51).contains(&sent(1000, 0, seed)));
        }

        #[test]
        fn send_04_a_stream_of_which_too_few_come_back_is_slowed_down(seed: u64, per_mille in 1_u64..50) {
            // Each approval pays for fewer than seven messages, so the budget, these, and a few by chance are sent.
            let most = 50 + per_mille * 7 + 150;
            prop_assert!(u64::from(sent(1000, per_mille, seed)) < most.min(1000));
        }
    }

    #[test]
    fn an_exempt_country_and_a_guard_that_is_off_count_nothing() {
        let guard = Guard {
            exempt: BTreeSet::from([Country::parse("NL").unwrap()]),
            ..guard()
        };
        assert!(!guard.counts("NL") && guard.counts("DE") && guard.counts("882"));
        assert!(
            !Guard {
                mode: Mode::Off,
                ..guard
            }
            .counts("DE")
        );
    }

    #[test]
    fn send_14_anonymous_messages_have_half_of_the_budget_rounded_up() {
        let halves = |budget, reserve| {
            let guard = Guard {
                budget,
                reserve,
                ..guard()
            };
            let messages = |scope| {
                let rate = guard.rate(scope).capacity() / u64::from(MESSAGE_PARTS);
                (rate, guard.reserve_parts(scope) / MESSAGE_PARTS)
            };
            assert_eq!(messages(Scope::All), (budget.into(), reserve));
            messages(Scope::Anonymous)
        };
        assert_eq!(halves(50, 5000), (25, 2500));
        assert_eq!(halves(51, 1), (26, 1));
        assert_eq!(halves(1, 0), (1, 0));
    }
}

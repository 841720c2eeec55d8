//! `[guesses]`: when failed guesses over many subjects are an alarm, and what follows.

use std::time::Duration;

use crate::{config::Table, domain::limit::guesses::GuessRules};

pub(in crate::config) fn guesses(mut table: Table<'_>) -> GuessRules {
    let slow_down = table.seconds("slow_down_s", 10, &(0..=600));
    let rules = GuessRules {
        alarm_failures: table.small("alarm_failures_per_h", 100, &(1..=1_000_000_000)),
        alarm_factor: table.small("alarm_factor", 10, &(2..=1000)),
        slow_down: (slow_down > Duration::ZERO).then_some(slow_down),
    };
    table.finish();
    rules
}

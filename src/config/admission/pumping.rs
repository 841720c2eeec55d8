//! `[guard]`: protection against SMS pumping.

use std::time::Duration;

use super::numbers::countries;
use crate::{
    config::Table,
    domain::limit::pumping::{BUDGET_MAX, Guard, Mode, RESERVE_MAX},
};

const HOUR: Duration = Duration::from_secs(3600);
/// One week, in hours.
const LEAK_H_MAX: u64 = 168;

pub(in crate::config) fn guard(mut table: Table<'_>) -> Guard {
    let modes = [Mode::Off, Mode::RecordOnly, Mode::Enforce].map(|mode| (mode.as_str(), mode));
    let exempt = countries(&mut table, "exempt").unwrap_or_default();
    let guard = Guard {
        mode: table.word("mode", &modes, Mode::RecordOnly),
        budget: table.small("budget", 50, &(1..=BUDGET_MAX.into())),
        reserve: table.small("reserve", 5000, &(0..=RESERVE_MAX.into())),
        leak: HOUR * table.small::<u32>("leak_h", 24, &(1..=LEAK_H_MAX)),
        exempt,
    };
    table.finish();
    guard
}

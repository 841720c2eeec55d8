//! `[guard]`: what becomes of messages where few codes come back.

use std::time::Duration;

use crate::{
    config::Table,
    domain::{
        ids::Invalid,
        limit::pumping::{BUDGET_MAX, Guard, Mode, RESERVE_MAX},
        recipient::number::Country,
    },
};

const HOUR: Duration = Duration::from_secs(3600);
/// A week.
const LEAK_H_MAX: u64 = 168;

pub(in crate::config) fn guard(mut table: Table<'_>) -> Guard {
    let modes = [Mode::Off, Mode::RecordOnly, Mode::Enforce].map(|mode| (mode.as_str(), mode));
    let mut exempt = std::collections::BTreeSet::new();
    for name in table.list("exempt").unwrap_or_default() {
        match Country::parse(&name) {
            Ok(country) => drop(exempt.insert(country)),
            Err(Invalid(what)) => table.mistake("exempt", format!("{name:?} {what}")),
        }
    }
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

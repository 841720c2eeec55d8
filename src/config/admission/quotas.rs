//! `[quotas]`: how many messages and starts are allowed, over all processes.

use crate::{
    config::Table,
    domain::limit::{
        quota::{Dimension, Quotas},
        rate::Rate,
    },
};

/// The largest count. With the shortest period it gives one per microsecond, the resolution of quotas.
const COUNT_MAX: u64 = 1_000_000;
/// One week; longer periods would fill the store with buckets.
const PERIOD_S_MAX: u64 = 7 * 86_400;

/// The default count and period in seconds, explained in `default.toml`; `None` for money and the
/// guard, which have budgets.
pub(in crate::config) const fn default(dimension: Dimension) -> Option<(u64, u64)> {
    Some(match dimension {
        Dimension::Recipient => (5, 600),
        Dimension::RecipientLong => (10, 6000),
        Dimension::Prefix => (10, 600),
        Dimension::RecipientSubjects | Dimension::SubjectRecipients => (3, 86_400),
        Dimension::Subject => (15, 3600),
        Dimension::Contact => (10, 3600),
        Dimension::QuotaKeys => (20, 3600),
        Dimension::SourceIp => (100, 3600),
        Dimension::Agent => (50, 3600),
        Dimension::Country => (5000, 3600),
        Dimension::NewSubjects | Dimension::Caller => (10_000, 3600),
        Dimension::Tenant => (20_000, 3600),
        Dimension::SpendHour
        | Dimension::SpendDay
        | Dimension::GuardPrefix
        | Dimension::GuardCountry => return None,
    })
}

pub(in crate::config) fn quotas(mut table: Table<'_>) -> Quotas {
    let quotas = Dimension::ALL.into_iter().filter_map(|dimension| {
        let (count, period_s) = default(dimension)?;
        let mut row = table.table(dimension.as_str());
        let count: u32 = row.small("count", count, &(0..=COUNT_MAX));
        let period = row.seconds("period_s", period_s, &(1..=PERIOD_S_MAX));
        row.finish();
        (count > 0).then(|| (dimension, Rate::per(count, period)))
    });
    let quotas = quotas.collect();
    table.finish();
    quotas
}

//! `[quotas]`: how many messages and starts are allowed, over all processes.

use crate::{
    config::Table,
    domain::limit::{
        bucket::{Quota, Quotas},
        quota::Dimension,
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
        let default = default(dimension)?;
        let quota = quota(table.table(dimension.as_str()), dimension, default)?;
        Some((dimension, quota))
    });
    let quotas = quotas.collect();
    table.finish();
    quotas
}

/// One quota; `None` if it is switched off.
fn quota(mut row: Table<'_>, dimension: Dimension, default: (u64, u64)) -> Option<Quota> {
    let (count, period_s) = default;
    let count: u32 = row.small("count", count, &(0..=COUNT_MAX));
    let period = row.seconds("period_s", period_s, &(1..=PERIOD_S_MAX));
    let quota = Quota::of(dimension, count, period);
    // All that this one counts is anonymous.
    let anonymous_count = if dimension == Dimension::RecipientSubjects {
        count
    } else if count > 0 {
        let usual = u64::from(quota.anonymous_count);
        row.small("anonymous_count", usual, &(1..=count.into()))
    } else {
        if row.text("anonymous_count").is_some() {
            row.mistake(
                "anonymous_count",
                "must be left out where count is 0, because that switches the quota off",
            );
        }
        0
    };
    row.finish();
    (count > 0).then_some(Quota {
        anonymous_count,
        ..quota
    })
}

//! The cost of messages, and the budgets of a tenant per hour and per day.

use std::{collections::BTreeMap, time::Duration};

use super::{
    bucket::{BucketKind, Scope},
    quota::Dimension,
    rate::Rate,
};
use crate::domain::{
    ids::{Invalid, TenantId},
    recipient::{Channel, Recipient, number::Country},
    verification::rules::Origin,
};

/// An amount of money in millionths of the settings' currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(u64);

/// The number of decimal places of a millionth.
const DECIMALS: usize = 6;
/// The largest number of digits before the decimal point.
const WHOLE_DIGITS_MAX: usize = 9;

impl Money {
    /// Parses a decimal number such as `0.08`, without rounding.
    ///
    /// # Errors
    /// [`Invalid`] describes the expected form.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        const WRONG: Invalid =
            Invalid("must be an amount from 0 to 999999999.999999, with at most 6 decimals");
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !are_digits(whole)
            || !are_digits(decimals)
            || whole.len() > WHOLE_DIGITS_MAX
            || decimals.len() > DECIMALS
        {
            return Err(WRONG);
        }
        format!("{whole}{decimals:0<DECIMALS$}")
            .parse()
            .map(Self)
            .map_err(|_| WRONG)
    }

    /// The amount in millionths of the currency.
    #[must_use]
    pub fn micros(self) -> u64 {
        self.0
    }
}

/// How much may be spent. An amount of 0 means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// The budget per hour.
    pub hour: Money,
    /// The budget per day.
    pub day: Money,
}

/// The part of one budget that a message uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The budget that is drawn from.
    pub kind: BucketKind,
    /// The rate at which the budget refills.
    pub rate: Rate,
    /// The number of parts of the budget that the message uses; drawn completely or not at all.
    pub parts: u32,
}

/// The number of parts in a whole budget. An hourly budget then refills one part per microsecond, which is
/// the resolution of quotas.
const PARTS: u32 = 3_600_000_000;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The costs of messages, and the budgets of tenants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spend {
    /// The currency of all amounts, as a three-letter code.
    pub currency: String,
    /// Costs per channel, and per country where they differ. A message without an entry is free.
    pub costs: BTreeMap<(Channel, Option<Country>), Money>,
    /// The budgets of tenants that have none of their own.
    pub budgets: Budgets,
    /// The budgets of tenants that have their own.
    pub by_tenant: BTreeMap<TenantId, Budgets>,
}

impl Spend {
    /// The cost of a message to this recipient.
    #[must_use]
    pub fn cost(&self, recipient: &Recipient) -> Money {
        if self.costs.is_empty() {
            return Money::default();
        }
        let channel = recipient.channel();
        let country = recipient.number_plan().and_then(|plan| plan.country);
        let there = country.and_then(|country| self.costs.get(&(channel, Some(country))));
        there
            .or_else(|| self.costs.get(&(channel, None)))
            .copied()
            .unwrap_or_default()
    }

    /// The parts of a tenant's budgets that a message of this cost uses; none if it is free.
    #[must_use]
    pub fn shares(&self, tenant: &TenantId, cost: Money, origin: Origin) -> Vec<Share> {
        if cost == Money(0) {
            return Vec::new();
        }
        let budgets = *self.by_tenant.get(tenant).unwrap_or(&self.budgets);
        let all = [
            (Dimension::SpendHour, budgets.hour, HOUR),
            (Dimension::SpendDay, budgets.day, DAY),
        ];
        let limited = all.into_iter().filter(|(_, budget, _)| *budget > Money(0));
        let shares = limited.flat_map(|(dimension, budget, period)| {
            dimension.kinds(origin).map(move |kind| {
                let budget = self.budget_of(kind.scope, budget);
                Share {
                    kind,
                    rate: Rate {
                        interval: period / PARTS,
                        burst: PARTS - 1,
                    },
                    parts: parts(cost, budget),
                }
            })
        });
        shares.collect()
    }

    /// What anonymous messages may spend of a budget: half of it, but at least one message of the most expensive kind.
    fn budget_of(&self, scope: Scope, budget: Money) -> Money {
        match scope {
            Scope::Vouched | Scope::All => budget,
            Scope::Anonymous => {
                let highest = self.costs.values().max().copied().unwrap_or_default();
                Money(budget.0.div_ceil(2)).max(highest).min(budget)
            }
        }
    }
}

/// The parts of a budget that a message uses. Rounded down by less than one part, so a budget that is a multiple of the
/// cost can be spent completely. With up to 60,000 messages in a budget this is exact; with a million the error is at
/// most one three-thousandth.
fn parts(cost: Money, budget: Money) -> u32 {
    let parts = u128::from(cost.0) * u128::from(PARTS) / u128::from(budget.0);
    u32::try_from(parts).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        limit::rate::Fill,
        time::{Timestamp, micros},
    };

    fn money(text: &str) -> Money {
        Money::parse(text).unwrap()
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn to(channel: Channel, address: &str) -> Recipient {
        Recipient::parse(channel, address).unwrap()
    }

    fn spend(hour: &str, day: &str) -> Spend {
        let nl = Country::parse("NL").ok();
        Spend {
            currency: "EUR".to_owned(),
            costs: [
                ((Channel::Sms, None), money("0.08")),
                ((Channel::Sms, nl), money("0.09")),
                ((Channel::Email, None), money("0")),
            ]
            .into(),
            budgets: Budgets {
                hour: money(hour),
                day: money(day),
            },
            by_tenant: [(
                tenant("small"),
                Budgets {
                    hour: money("1"),
                    day: money("0"),
                },
            )]
            .into(),
        }
    }

    #[test]
    fn an_amount_is_read_to_the_last_decimal_or_refused() {
        for (text, micros) in [
            ("0", 0),
            ("0.08", 80_000),
            ("100", 100_000_000),
            ("0.000001", 1),
            ("00.10", 100_000),
            ("999999999.999999", 999_999_999_999_999),
        ] {
            assert_eq!(money(text).micros(), micros, "{text}");
        }
        for text in [
            "",
            ".",
            ".5",
            "1.",
            "-1",
            "+1",
            "1e3",
            "0.0000001",
            "1000000000",
            "0,08",
            "NaN",
            "inf",
            "1.2.3",
            " 1",
            "١",
        ] {
            assert!(Money::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn send_06_a_message_costs_what_its_channel_costs_there() {
        let spend = spend("100", "1000");
        let cost = |channel, address| spend.cost(&to(channel, address)).micros();
        assert_eq!(
            (
                cost(Channel::Sms, "+31612345678"),
                cost(Channel::Sms, "+4915112345678")
            ),
            (90_000, 80_000)
        );
        assert_eq!(
            (
                cost(Channel::Voice, "+31612345678"),
                cost(Channel::Email, "a@example.org")
            ),
            (0, 0)
        );
    }

    #[test]
    fn send_06_what_costs_nothing_and_what_has_no_budget_draws_nothing() {
        let shares = |spend: &Spend, name: &str, cost: &str| {
            spend.shares(&tenant(name), money(cost), Origin::Vouched)
        };
        assert_eq!(shares(&spend("100", "1000"), "bank", "0"), []);
        assert_eq!(shares(&spend("0", "0"), "bank", "0.08"), []);
        let both: Vec<_> = shares(&spend("100", "1000"), "bank", "0.08")
            .into_iter()
            .map(|share| share.kind.dimension)
            .collect();
        assert_eq!(both, [Dimension::SpendHour, Dimension::SpendDay]);
        let own: Vec<_> = shares(&spend("100", "1000"), "small", "0.08")
            .into_iter()
            .map(|share| share.kind.dimension)
            .collect();
        assert_eq!(
            own,
            [Dimension::SpendHour],
            "a tenant's own budgets take the place of the common ones"
        );
    }

    #[test]
    fn send_06_no_more_is_spent_at_once_than_the_budget_and_a_period_brings_it_back() {
        for (hour, day, cost, fit) in [
            ("1", "3", "0.08", 12_u64),
            ("0.3", "0.7", "0.1", 3),
            ("7", "7", "7", 1),
            ("100000", "100000", "33333", 3),
            ("999", "4000", "0.07", 14271),
        ] {
            for share in spend(hour, day).shares(&tenant("bank"), money(cost), Origin::Vouched) {
                let (period, fit) = match share.kind.dimension {
                    Dimension::SpendHour => (HOUR, fit),
                    _ => (DAY, u64::MAX),
                };
                let mut now = Timestamp::from_micros(1_800_000_000_000_000);
                let (mut level, mut taken) = (Fill::default(), 0_u64);
                let mut draw = |now| match share.rate.take(level, share.parts, share.parts, now) {
                    Ok((after, _)) => {
                        level = after;
                        None
                    }
                    Err(wait) => Some(wait),
                };
                let mut wait = draw(now);
                while wait.is_none() {
                    taken += 1;
                    wait = draw(now);
                }
                let budget = if share.kind.dimension == Dimension::SpendHour {
                    money(hour)
                } else {
                    money(day)
                };
                assert_eq!(taken, budget.micros() / money(cost).micros(), "{share:?}");
                assert!(taken == fit || fit == u64::MAX);
                // The wait is exact: one microsecond less is refused.
                let wait = wait.unwrap();
                assert!(wait <= period);
                assert!(draw(now.plus(wait.saturating_sub(Duration::from_micros(1)))).is_some());
                now = now.plus(wait);
                assert!(draw(now).is_none());
                assert!(micros(share.rate.interval) > 0);
            }
        }
    }

    #[test]
    fn send_14_anonymous_messages_spend_half_of_a_budget_and_at_least_one_message() {
        // SMS to the Netherlands cost 0.09, the most of all messages.
        for (budget, anonymous) in [
            ("1", "0.5"),
            ("0.000003", "0.000003"),
            ("0.09", "0.09"),
            ("0.1", "0.09"),
            ("0.200001", "0.100001"),
        ] {
            let spend = spend(budget, "0");
            let shares = spend.shares(&tenant("bank"), money("0.08"), Origin::Anonymous);
            let scopes: Vec<_> = shares.iter().map(|share| share.kind.scope).collect();
            assert_eq!(scopes, [Scope::Anonymous, Scope::All], "{budget}");
            let whole = |budget| parts(money("0.08"), money(budget));
            assert_eq!(
                [shares[0].parts, shares[1].parts],
                [whole(anonymous), whole(budget)],
                "{budget}"
            );
        }
    }
}

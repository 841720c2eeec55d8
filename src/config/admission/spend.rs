//! `[spend]`: the prices of messages, and the budgets of each tenant.

use std::collections::BTreeMap;

use crate::{
    config::Table,
    domain::{
        ids::Invalid,
        limit::spend::{Budgets, Money, Spend},
        recipient::{Channel, number::Country},
    },
};

impl Spend {
    pub(in crate::config) fn read(mut table: Table<'_>) -> Self {
        let currency = table.parsed("currency", currency);
        let spend = Self {
            currency: currency.unwrap_or_default(),
            costs: costs(table.table("costs")),
            ..Self::default()
        };
        let budgets = budgets_of(&mut table, &spend);
        table.finish();
        Self { budgets, ..spend }
    }
}

fn currency(text: &str) -> Result<String, &'static str> {
    if text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase()) {
        Ok(text.to_owned())
    } else {
        Err("must be the three capital letters of a currency, such as EUR")
    }
}

/// The budgets of one tenant.
pub(in crate::config) fn budgets(mut table: Table<'_>, spend: &Spend) -> Budgets {
    let budgets = budgets_of(&mut table, spend);
    table.finish();
    budgets
}

/// The budgets per hour and day. Refuses one that is too small for any message, and one without prices,
/// which would limit nothing.
fn budgets_of(table: &mut Table<'_>, spend: &Spend) -> Budgets {
    let highest = spend.costs.values().max().copied().unwrap_or_default();
    let mut amount = |key: &str| {
        let amount = table.amount(key, Money::default());
        if table.is_root_mistaken("spend.costs") {
            // Which price is the highest is unknown.
        } else if amount > Money::default() && highest == Money::default() {
            table.mistake(
                key,
                "needs [spend.costs], because without them every message is free",
            );
        } else if amount > Money::default() && amount < highest {
            table.mistake(
                key,
                "must not be less than the cost of the most expensive message",
            );
        }
        amount
    };
    Budgets {
        hour: amount("hour"),
        day: amount("day"),
    }
}

/// The costs per channel, and per country: `sms`, and `"sms.DE"` for the numbers of one country.
fn costs(mut table: Table<'_>) -> BTreeMap<(Channel, Option<Country>), Money> {
    let mut costs = BTreeMap::new();
    for (name, text) in table.pairs() {
        let (channel, country) = name
            .split_once('.')
            .map_or((name.as_str(), None), |(channel, country)| {
                (channel, Some(country))
            });
        let parsed = match (
            Channel::from_name(channel),
            country.map(Country::parse).transpose(),
        ) {
            (None, _) => {
                Err("must begin with a channel: email, sms, voice, whatsapp, push".to_owned())
            }
            (Some(Channel::Email), Ok(Some(_))) => {
                Err("must name no country, because an e-mail address has none".to_owned())
            }
            (_, Err(Invalid(what))) => Err(format!("has a country that {what}")),
            (Some(channel), Ok(country)) => Ok((channel, country)),
        };
        let cost = Money::parse(&text).map_err(|Invalid(what)| what.to_owned());
        match parsed.and_then(|place| Ok((place, cost?))) {
            Ok((place, cost)) => drop(costs.insert(place, cost)),
            Err(what) => table.mistake(&name, what),
        }
    }
    table.finish();
    costs
}

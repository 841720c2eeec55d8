//! `[countries]`, `[numbers]` and `[test_recipients]`: which numbers may get a message, and which recipients have
//! fixed codes.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::Table,
    domain::{
        code::guess::Digits,
        ids::{ActionName, Invalid},
        recipient::{
            Channel, Recipient,
            number::{Country, NumberType},
            rules::NumberRules,
            test_recipients::TestRecipients,
        },
    },
    service::policy::Action,
};

/// `[numbers]`: the types of numbers that may get a message.
pub(in crate::config) fn rules(mut table: Table<'_>, countries: BTreeSet<Country>) -> NumberRules {
    let by_choice = [
        ("voip", NumberType::Voip),
        ("personal", NumberType::Personal),
        ("toll_free", NumberType::TollFree),
    ];
    let types = by_choice
        .into_iter()
        .filter(|(key, _)| table.switch(key, false))
        .map(|(_, kind)| kind)
        .collect();
    let rules = NumberRules {
        countries,
        by_tenant: BTreeMap::new(),
        types,
        fixed_line_text: table.switch("fixed_line_sms", false),
    };
    table.finish();
    rules
}

/// `[countries]`: the allowed countries, for tenants without their own list.
pub(in crate::config) fn allowed(mut table: Table<'_>) -> BTreeSet<Country> {
    let allowed = countries(&mut table, "allowed").unwrap_or_default();
    table.finish();
    allowed
}

/// A list of countries; `None` if there is none.
pub(in crate::config) fn countries(table: &mut Table<'_>, key: &str) -> Option<BTreeSet<Country>> {
    let mut countries = BTreeSet::new();
    for name in table.list(key)? {
        match Country::parse(&name) {
            Ok(country) => drop(countries.insert(country)),
            Err(Invalid(what)) => table.mistake(key, format!("has {name:?}; each {what}")),
        }
    }
    Some(countries)
}

/// The recipients of `[test_recipients]`, each with its code.
pub(in crate::config) fn test_recipients(
    mut table: Table<'_>,
    actions: &BTreeMap<ActionName, Action>,
) -> TestRecipients {
    let mut recipients = Vec::new();
    for (address, code) in table.pairs() {
        if table.is_production() {
            table.mistake(
                &address,
                "has a known code, which production refuses; remove it",
            );
            continue;
        }
        let channel = if address.contains('@') {
            Channel::Email
        } else {
            Channel::Sms
        };
        let code = Digits::from_ascii(code.as_bytes());
        let fits = |code: &Digits| {
            actions
                .values()
                .any(|action| action.limits.code_length.get() == code.len())
        };
        match (Recipient::parse(channel, &address), code) {
            (Err(Invalid(what)), _) => table.mistake(&address, format!("is a key that {what}")),
            (_, None) => table.mistake(&address, "must have a code of 6 to 8 digits"),
            (_, Some(code)) if !fits(&code) && !table.is_root_mistaken("actions") => table.mistake(
                &address,
                "must have a code as long as code_digits of an action",
            ),
            (Ok(recipient), Some(code)) => recipients.push((recipient, code)),
        }
    }
    table.finish();
    recipients.into_iter().collect()
}

//! `[countries]`, `[numbers]` and `[test_recipients]`: who may get a message at all, and who gets none but a known code.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::{ActionSettings, Profile, Table},
    domain::{
        code::guess::Digits,
        ids::{ActionName, Invalid},
        recipient::{
            Channel, Recipient,
            number::{Country, NumberType},
            test_recipients::TestRecipients,
        },
    },
};

/// Which types of numbers may get a message beside mobile ones, and beside fixed lines by voice.
#[derive(Clone, Debug)]
pub struct NumberSettings {
    /// Of personal, internet and toll-free numbers.
    pub types: BTreeSet<NumberType>,
    /// May a fixed line get a text message?
    pub fixed_line_text: bool,
}

impl NumberSettings {
    pub(in crate::config) fn read(mut table: Table<'_>) -> Self {
        let by_policy = [
            ("voip", NumberType::Voip),
            ("personal", NumberType::Personal),
            ("toll_free", NumberType::TollFree),
        ];
        let types = by_policy
            .into_iter()
            .filter(|(key, _)| table.switch(key, false))
            .map(|(_, kind)| kind)
            .collect();
        let settings = Self {
            types,
            fixed_line_text: table.switch("fixed_line_sms", false),
        };
        table.finish();
        settings
    }
}

/// `[countries]`: the list for every tenant that has none of its own.
pub(in crate::config) fn allowed(mut table: Table<'_>) -> BTreeSet<Country> {
    let allowed = countries(&mut table, "allowed").unwrap_or_default();
    table.finish();
    allowed
}

/// The countries that a list names; none where there is no list.
pub(in crate::config) fn countries(table: &mut Table<'_>, key: &str) -> Option<BTreeSet<Country>> {
    let names = table.list(key)?;
    let country = |name: &String| match Country::parse(name) {
        Ok(country) => Some(country),
        Err(Invalid(what)) => {
            table.mistake(key, format!("{name:?} {what}"));
            None
        }
    };
    Some(names.iter().filter_map(country).collect())
}

/// The recipients of `[test_recipients]`, each with its code.
pub(in crate::config) fn test_recipients(
    mut table: Table<'_>,
    actions: &BTreeMap<ActionName, ActionSettings>,
    profile: Profile,
) -> TestRecipients {
    let mut recipients = Vec::new();
    for (address, code) in table.pairs() {
        if profile == Profile::Production {
            table.mistake(
                &address,
                "must not be there: in production every code is secret",
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
            (Err(Invalid(what)), _) => table.mistake(&address, what),
            (_, None) => table.mistake(&address, "must have a code of 6 to 8 digits"),
            (_, Some(code)) if !fits(&code) => {
                table.mistake(&address, "must have a code as long as those of an action")
            }
            (Ok(recipient), Some(code)) => recipients.push((recipient, code)),
        }
    }
    table.finish();
    recipients.into_iter().collect()
}

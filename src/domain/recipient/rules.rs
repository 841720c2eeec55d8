//! Rules about the numbers that may get a message: their country and their type.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Channel, Recipient,
    number::{Country, NumberType},
};
use crate::domain::ids::TenantId;

/// Why a recipient may not get a message, whichever sender would carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The settings do not allow its country.
    Country,
    /// The settings do not allow numbers of its type on this channel.
    NumberType,
    /// It is a number of the agent who asks.
    AgentsOwn,
}

impl Unfit {
    /// All reasons, in the order of the API.
    pub const ALL: [Self; 3] = [Self::Country, Self::NumberType, Self::AgentsOwn];

    /// The reason as in the API's `ErrorReason`, for events.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Country => "COUNTRY_NOT_ALLOWED",
            Self::NumberType => "NUMBER_TYPE_NOT_ALLOWED",
            Self::AgentsOwn => "AGENT_IS_RECIPIENT",
        }
    }

    /// The problem as a phrase for people.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Country => {
                "is a number of a country that the settings do not allow ([countries]); give another channel"
            }
            Self::NumberType => {
                "is a number of a type that gets no message on this channel; give another number or channel"
            }
            Self::AgentsOwn => "is one of contact.agent_recipients; remove it and investigate",
        }
    }
}

/// The numbers that may get a message, as an allow-list. The default allows none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberRules {
    /// The countries for tenants without a list of their own.
    pub countries: BTreeSet<Country>,
    /// The countries for tenants with a list of their own.
    pub by_tenant: BTreeMap<TenantId, BTreeSet<Country>>,
    /// The types among personal, VoIP and toll-free that are allowed.
    pub types: BTreeSet<NumberType>,
    /// Whether a fixed line may get a text message.
    pub fixed_line_text: bool,
}

impl NumberRules {
    /// Checks whether a tenant may send to a recipient. Addresses other than numbers always pass.
    ///
    /// # Errors
    /// [`Unfit`] says why not.
    pub fn judge(&self, tenant: &TenantId, recipient: &Recipient) -> Result<(), Unfit> {
        let Some(plan) = recipient.number_plan() else {
            return Ok(());
        };
        let countries = self.by_tenant.get(tenant).unwrap_or(&self.countries);
        if !plan
            .country
            .is_some_and(|country| countries.contains(&country))
        {
            return Err(Unfit::Country);
        }
        let fits = match plan.kind {
            NumberType::Mobile | NumberType::FixedLineOrMobile => true,
            NumberType::FixedLine => recipient.channel() == Channel::Voice || self.fixed_line_text,
            NumberType::Voip | NumberType::Personal | NumberType::TollFree => {
                self.types.contains(&plan.kind)
            }
            NumberType::PremiumRate
            | NumberType::SharedCost
            | NumberType::Pager
            | NumberType::UniversalAccess
            | NumberType::Voicemail
            | NumberType::Unknown => false,
        };
        if fits { Ok(()) } else { Err(Unfit::NumberType) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [Channel; 3] = [Channel::Sms, Channel::Voice, Channel::Whatsapp];

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn countries(names: &[&str]) -> BTreeSet<Country> {
        names
            .iter()
            .map(|name| Country::parse(name).unwrap())
            .collect()
    }

    fn number(channel: Channel, text: &str) -> Recipient {
        Recipient::parse(channel, text).unwrap()
    }

    /// The numbers of the vectors, with their type and country.
    fn vectors() -> Vec<(String, String, String)> {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/number_types.json")).unwrap();
        let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap().to_owned();
        let rows = vectors["numbers"].as_array().unwrap();
        rows.iter()
            .map(|row| (text(row, "number"), text(row, "type"), text(row, "region")))
            .collect()
    }

    fn rules(types: &[NumberType], fixed_line_text: bool) -> NumberRules {
        let all = vectors()
            .into_iter()
            .filter_map(|(_, _, region)| Country::parse(&region).ok())
            .collect();
        NumberRules {
            countries: all,
            types: types.iter().copied().collect(),
            fixed_line_text,
            ..NumberRules::default()
        }
    }

    #[test]
    fn send_01_without_a_list_no_number_gets_a_message_and_mail_does() {
        let none = NumberRules::default();
        for channel in NUMBERS {
            assert_eq!(
                none.judge(&tenant("bank"), &number(channel, "+31612345678")),
                Err(Unfit::Country)
            );
        }
        assert_eq!(
            none.judge(
                &tenant("bank"),
                &Recipient::parse(Channel::Email, "a@example.org").unwrap()
            ),
            Ok(())
        );
    }

    #[test]
    fn send_01_a_tenants_own_list_takes_the_place_of_the_common_one() {
        let by_tenant = [
            (tenant("bank"), countries(&["DE"])),
            (tenant("shut"), countries(&[])),
        ]
        .into();
        let rules = NumberRules {
            countries: countries(&["NL"]),
            by_tenant,
            ..NumberRules::default()
        };
        let judge =
            |name: &str, text: &str| rules.judge(&tenant(name), &number(Channel::Sms, text));
        assert_eq!(
            (
                judge("shop", "+31612345678"),
                judge("shop", "+4915112345678")
            ),
            (Ok(()), Err(Unfit::Country))
        );
        assert_eq!(
            (
                judge("bank", "+31612345678"),
                judge("bank", "+4915112345678")
            ),
            (Err(Unfit::Country), Ok(()))
        );
        assert_eq!(judge("shut", "+31612345678"), Err(Unfit::Country));
    }

    #[test]
    fn send_01_no_list_allows_a_network_of_the_whole_world() {
        let rules = rules(
            &[NumberType::Voip, NumberType::Personal, NumberType::TollFree],
            true,
        );
        for text in [
            "+8823421234",
            "+979123456789",
            "+870301234567",
            "+80012345678",
        ] {
            for channel in NUMBERS {
                assert_eq!(
                    rules.judge(&tenant("bank"), &number(channel, text)),
                    Err(Unfit::Country),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn send_02_one_number_of_each_type_per_region() {
        let by_policy = [
            ("Voip", NumberType::Voip),
            ("Personal", NumberType::Personal),
            ("TollFree", NumberType::TollFree),
        ];
        let (strict, lax) = (
            rules(&[], false),
            rules(&by_policy.map(|(_, kind)| kind), true),
        );
        let mut judged = 0;
        for (text, kind, region) in vectors()
            .into_iter()
            .filter(|(_, _, region)| region != "001")
        {
            for channel in NUMBERS {
                let judge = |rules: &NumberRules| {
                    rules
                        .judge(&tenant("bank"), &number(channel, &text))
                        .is_ok()
                };
                let (in_strict, in_lax) = match kind.as_str() {
                    "Mobile" | "FixedLineOrMobile" => (true, true),
                    "FixedLine" => (channel == Channel::Voice, true),
                    "Voip" | "Personal" | "TollFree" => (false, true),
                    _ => (false, false),
                };
                assert_eq!(
                    (judge(&strict), judge(&lax)),
                    (in_strict, in_lax),
                    "{text} {kind} of {region} by {channel:?}"
                );
                judged += 1;
            }
        }
        assert!(judged > 200, "{judged}");
        for (name, kind) in by_policy {
            let rules = rules(&[kind], false);
            for (text, other, _) in vectors()
                .into_iter()
                .filter(|(_, other, _)| by_policy.iter().any(|(name, _)| name == other))
            {
                let judged = rules.judge(&tenant("bank"), &number(Channel::Sms, &text));
                assert!(other == name || judged.is_err(), "{name} allows no {other}");
            }
        }
    }
}

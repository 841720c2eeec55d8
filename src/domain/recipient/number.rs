//! Telephone numbers by the international numbering plans: canonical form, country and type.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, PhoneNumberType, Region};

use crate::domain::ids::Invalid;

/// A country with a numbering plan, by its ISO 3166 code. Global networks, such as +882 and
/// +979, have no country.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// Parses two capital letters.
    ///
    /// # Errors
    /// Describes the expected form.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let known = PHONE_NUMBER_UTIL
            .get_supported_regions()
            .filter_map(Self::of)
            .find(|country| country.as_str() == text);
        known.ok_or(Invalid(
            "must be the two capital letters of a country, such as NL",
        ))
    }

    /// The two letters, such as `NL`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Never the default: only ASCII letters are accepted.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The country of a region; `None` for the region `001` of global networks.
    fn of(region: Region) -> Option<Self> {
        region.as_region_str().as_bytes().try_into().ok().map(Self)
    }
}

/// The type of a number by its numbering plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NumberType {
    /// Fixed line: a landline telephone.
    FixedLine,
    /// Mobile: a number of a mobile network.
    Mobile,
    /// Fixed line or mobile: the plan does not tell them apart.
    FixedLineOrMobile,
    /// Toll free: the called party pays.
    TollFree,
    /// Premium rate: expensive to call; the called party earns a share.
    PremiumRate,
    /// Shared cost: the caller and the called party pay.
    SharedCost,
    /// VoIP: a number served over the internet.
    Voip,
    /// Personal number: forwarded to its owner's numbers, at a price of its own.
    Personal,
    /// Pager: it shows short messages and cannot answer.
    Pager,
    /// Universal access: one number for a whole company.
    UniversalAccess,
    /// Voicemail: a number that leads to a mailbox.
    Voicemail,
    /// Not valid: the numbering plan has no such number.
    Unknown,
}

impl From<PhoneNumberType> for NumberType {
    fn from(kind: PhoneNumberType) -> Self {
        match kind {
            PhoneNumberType::FixedLine => Self::FixedLine,
            PhoneNumberType::Mobile => Self::Mobile,
            PhoneNumberType::FixedLineOrMobile => Self::FixedLineOrMobile,
            PhoneNumberType::TollFree => Self::TollFree,
            PhoneNumberType::PremiumRate => Self::PremiumRate,
            PhoneNumberType::SharedCost => Self::SharedCost,
            PhoneNumberType::VoIP => Self::Voip,
            PhoneNumberType::PersonalNumber => Self::Personal,
            PhoneNumberType::Pager => Self::Pager,
            PhoneNumberType::UAN => Self::UniversalAccess,
            PhoneNumberType::VoiceMail => Self::Voicemail,
            PhoneNumberType::Unknown => Self::Unknown,
        }
    }
}

/// The entry of a numbering plan for a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberPlan {
    /// The country; `None` for a global network.
    pub country: Option<Country>,
    /// The calling code: the digits behind the `+` that select the plan.
    pub calling_code: u16,
    /// The type of the number.
    pub kind: NumberType,
}

impl NumberPlan {
    /// The entry for a number in canonical form; `None` if it fits no numbering plan.
    #[must_use]
    pub fn of(canonical: &str) -> Option<Self> {
        PHONE_NUMBER_UTIL
            .parse(canonical, None)
            .ok()
            .as_ref()
            .and_then(Self::read)
    }

    fn read(number: &PhoneNumber) -> Option<Self> {
        Some(Self {
            country: number.get_region_code().and_then(Country::of),
            calling_code: number.country_code.try_into().ok()?,
            kind: number.get_type().into(),
        })
    }
}

/// Parses a number as people write it; returns its canonical form (E.164) and
/// its numbering plan's entry.
///
/// # Errors
/// Describes the expected form.
pub(in crate::domain) fn parse(text: &str) -> Result<(String, NumberPlan), Invalid> {
    const WRONG: Invalid =
        Invalid("must be a valid telephone number in international form such as +31612345678");
    let digits = text.strip_prefix('+').ok_or(WRONG)?;
    let is_plain = |b: u8| b.is_ascii_digit() || matches!(b, b' ' | b'-' | b'.' | b'(' | b')');
    if text.len() > 32
        || !digits.bytes().all(is_plain)
        || !digits.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(WRONG);
    }
    let number = PHONE_NUMBER_UTIL.parse(text, None).map_err(|_| WRONG)?;
    let canonical = number.format_as(PhoneNumberFormat::E164).to_string();
    let read = NumberPlan::read(&number)
        .filter(|plan| plan.kind != NumberType::Unknown)
        .ok_or(WRONG)?;
    // E.164 allows a plus and 15 digits.
    if canonical.len() <= 16 {
        Ok((canonical, read))
    } else {
        Err(WRONG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn send_01_a_country_is_two_letters_with_a_plan() {
        for text in ["NL", "DE", "US", "GB"] {
            assert_eq!(Country::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "nl", "NLD", "001", "XX", "N", "31", "+31", "ZZ"] {
            assert!(Country::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn send_01_a_network_of_the_whole_world_is_of_no_country() {
        for number in [
            "+8823421234",
            "+979123456789",
            "+870301234567",
            "+881612345678",
            "+80012345678",
            "+88812345678901",
        ] {
            let (canonical, plan) = parse(number).unwrap_or_else(|_| panic!("{number} is valid"));
            assert_eq!((canonical.as_str(), plan.country), (number, None));
            assert!(
                number[1..].starts_with(&plan.calling_code.to_string()),
                "{number}"
            );
        }
        let of = |number| parse(number).unwrap().1;
        assert_eq!(of("+31612345678").country, Country::parse("NL").ok());
        assert_eq!(
            (of("+12125550123").country, of("+14165550123").country),
            (Country::parse("US").ok(), Country::parse("CA").ok())
        );
    }

    #[test]
    fn send_02_each_number_is_what_the_oracle_says() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/number_types.json")).unwrap();
        let mut seen = std::collections::BTreeMap::new();
        for row in vectors["numbers"].as_array().unwrap() {
            let text = |name: &str| row[name].as_str().unwrap();
            let (canonical, plan) = parse(text("number")).unwrap_or_else(|_| panic!("{row}"));
            assert_eq!(canonical, text("number"), "{row}");
            assert_eq!(format!("{:?}", plan.kind), text("type"), "{row}");
            assert_eq!(
                plan.country
                    .map_or_else(|| "001".to_owned(), |country| country.as_str().to_owned()),
                text("region"),
                "{row}"
            );
            *seen.entry(plan.kind).or_insert(0) += 1;
        }
        for kind in [
            NumberType::SharedCost,
            NumberType::Pager,
            NumberType::Voicemail,
        ] {
            assert!(seen[&kind] >= 3, "{kind:?}: several regions of each");
        }
        assert_eq!(seen.len(), 11, "every type but unknown");
        for row in vectors["unknown"].as_array().unwrap() {
            assert!(parse(row["number"].as_str().unwrap()).is_err(), "{row}");
        }
    }
}

//! Builds the `submit_sm` commands of a message: addresses, validity and parts.

use std::{ops::RangeInclusive, time::Duration};

use rusmpp::{
    pdus::SubmitSm,
    types::{COctetString, EmptyOrFullCOctetString, OctetString},
    values::{EsmClass, Npi, RegisteredDelivery, Ton},
};

use super::{status::unfit, text::code};
use crate::{
    domain::delivery::reason::Reason,
    ports::sender::{Message, SendError},
};

/// The bit of `esm_class` for a text that begins with a header.
const WITH_HEADER: u8 = 0b0100_0000;
/// Asks for a receipt of the final state, whatever it is.
const RECEIPT: u8 = 1;
/// The longest validity that fits the format used here. The life of a code is far shorter.
const VALIDITY_MAX: Duration = Duration::from_secs(99 * 24 * 3600);

/// An SMPP address, with its type of number and numbering plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    ton: Ton,
    npi: Npi,
    text: COctetString<1, 21>,
}

impl Address {
    /// A number with its plus, a short code, or a name; `None` if it is none of these.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (ton, npi, text) = match text.strip_prefix('+') {
            Some(number) if is_digits(number, 1..=15) => (Ton::International, Npi::Isdn, number),
            None if is_digits(text, 3..=8) => (Ton::NetworkSpecific, Npi::Unknown, text),
            None if is_name(text) => (Ton::Alphanumeric, Npi::Unknown, text),
            Some(_) | None => return None,
        };
        Some(Self {
            ton,
            npi,
            text: COctetString::from_string(text.to_owned()).ok()?,
        })
    }
}

fn is_digits(text: &str, lengths: RangeInclusive<usize>) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A name has at least one character that is not a digit; otherwise it would be
/// a malformed short code.
fn is_name(text: &str) -> bool {
    (1..=11).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && text.bytes().any(|byte| !byte.is_ascii_digit())
}

/// The parts of a message, in order. The receipt of the last part stands for the whole message.
pub(super) fn submissions(
    from: &Address,
    message: &Message,
    life: Duration,
) -> Result<Vec<SubmitSm>, SendError> {
    let to = Address::parse(message.recipient.expose()).filter(|to| to.ton == Ton::International);
    let to = to.ok_or_else(|| unfit(Reason::NotANumber))?;
    // The number is the same for every attempt, so that a telephone recognises a repeated part.
    let coded =
        code(&message.content.text, message.delivery.0[0]).ok_or_else(|| unfit(Reason::TooLong))?;
    let last = coded.parts.len() - 1;
    let class = EsmClass::from(if last == 0 { 0 } else { WITH_HEADER });
    let submission = |(at, part): (usize, Vec<u8>)| {
        let submission = SubmitSm::builder()
            .source_addr_ton(from.ton)
            .source_addr_npi(from.npi)
            .source_addr(from.text.clone())
            .dest_addr_ton(to.ton)
            .dest_addr_npi(to.npi)
            .destination_addr(to.text.clone())
            .esm_class(class)
            .validity_period(
                EmptyOrFullCOctetString::from_string(validity(life))
                    .map_err(|_| unfit(Reason::TooLong))?,
            )
            .registered_delivery(RegisteredDelivery::from(if at == last {
                RECEIPT
            } else {
                0
            }))
            .data_coding(coded.coding)
            .short_message(OctetString::from_vec(part).map_err(|_| unfit(Reason::TooLong))?);
        Ok(submission.build())
    };
    coded
        .parts
        .into_iter()
        .enumerate()
        .map(submission)
        .collect()
}

/// The validity period, relative: days, hours, minutes and seconds (SMPP 3.4 §7.1.1.1). A later delivery is of no use.
fn validity(life: Duration) -> String {
    let seconds = life.min(VALIDITY_MAX).as_secs().max(1);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    format!("0000{days:02}{hours:02}{minutes:02}{:02}000R", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_it_is() {
        for (text, ton, npi, sent) in [
            ("+31612345678", 1, 1, "31612345678"),
            ("12345", 3, 0, "12345"),
            ("Bank", 5, 0, "Bank"),
            ("Example Bk1", 5, 0, "Example Bk1"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(
                (
                    u8::from(address.ton),
                    u8::from(address.npi),
                    address.text.as_str()
                ),
                (ton, npi, sent)
            );
        }
        for bad in [
            "",
            "+",
            "+12a",
            "+1234567890123456",
            "12",
            "123456789",
            "Example Bank",
            "Bänk",
        ] {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_message_counts_as_long_as_its_code() {
        for (seconds, text) in [
            (300, "000000000500000R"),
            (0, "000000000001000R"),
            (90_061, "000001010101000R"),
            (u64::MAX, "000099000000000R"),
        ] {
            assert_eq!(validity(Duration::from_secs(seconds)), text);
        }
    }
}

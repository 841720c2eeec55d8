//! Builds the `submit_sm` commands of a message: addresses, validity, parts and requests for receipts.

use std::{ops::RangeInclusive, time::Duration};

use rusmpp::{
    pdus::SubmitSm,
    types::{COctetString, EmptyOrFullCOctetString, OctetString},
    values::{DataCoding, EsmClass, Npi, RegisteredDelivery, Ton},
};

use super::{
    status::unfit,
    text::{DefaultAlphabet, code},
};
use crate::{
    domain::{delivery::reason::Reason, time::Timestamp},
    ports::sender::{Message, SendError},
};

/// The bit of `esm_class` for a text that begins with a header.
const WITH_HEADER: u8 = 0b0100_0000;
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

/// The type of number and numbering plan of an address, where a message centre wants others than usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressType {
    /// Type of number (SMPP 3.4 §5.2.5); `None`: the usual one of the address.
    pub ton: Option<u8>,
    /// Numbering plan indicator (§5.2.6); `None`: the usual one of the address.
    pub npi: Option<u8>,
}

impl Address {
    pub(super) fn with(self, wanted: AddressType) -> Self {
        Self {
            ton: wanted.ton.map_or(self.ton, Ton::from),
            npi: wanted.npi.map_or(self.npi, Npi::from),
            text: self.text,
        }
    }
}

/// How `submit_sm` says until when a message may be delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validity {
    /// As a time from now, which needs no clock that agrees with ours.
    #[default]
    Relative,
    /// As a time of day in UTC.
    Absolute,
    /// Not at all: the message centre's own limit holds.
    None,
}

/// The parts of a long message for which receipts are requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptParts {
    /// The last one, which most message centres send last.
    #[default]
    Last,
    /// The first one, for message centres that report on the whole message under its id.
    First,
    /// Every part; the first report that one arrived counts.
    Every,
    /// No part: messages stay sent.
    None,
}

impl ReceiptParts {
    fn include(self, at: usize, last: usize) -> bool {
        match self {
            Self::Last => at == last,
            Self::First => at == 0,
            Self::Every => true,
            Self::None => false,
        }
    }
}

/// What a message centre wants of every `submit_sm`.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) from: Address,
    pub(super) to: AddressType,
    pub(super) alphabet: DefaultAlphabet,
    /// `data_coding` of texts in the default alphabet.
    pub(super) data_coding: u8,
    pub(super) validity: Validity,
    pub(super) receipts: ReceiptParts,
}

/// The parts of a message, in order.
pub(super) fn submissions(
    form: &Form,
    message: &Message,
    now: Timestamp,
) -> Result<Vec<SubmitSm>, SendError> {
    let to = Address::parse(message.recipient.expose()).filter(|to| to.ton == Ton::International);
    let to = to.ok_or_else(|| unfit(Reason::NotANumber))?.with(form.to);
    // The number is the same for every attempt, so that a telephone recognises a repeated part.
    let coded = code(&message.content.text, form.alphabet, message.delivery.0[0])
        .ok_or_else(|| unfit(Reason::TooLong))?;
    let last = coded.parts.len() - 1;
    let class = EsmClass::from(if last == 0 { 0 } else { WITH_HEADER });
    let data_coding = if coded.is_ucs2 {
        DataCoding::Ucs2
    } else {
        DataCoding::from(form.data_coding)
    };
    let until = validity(form.validity, now, message.expires_at);
    let submission = |(at, part): (usize, Vec<u8>)| {
        let wants_receipt = u8::from(form.receipts.include(at, last));
        let submission = SubmitSm::builder()
            .source_addr_ton(form.from.ton)
            .source_addr_npi(form.from.npi)
            .source_addr(form.from.text.clone())
            .dest_addr_ton(to.ton)
            .dest_addr_npi(to.npi)
            .destination_addr(to.text.clone())
            .esm_class(class)
            .validity_period(
                EmptyOrFullCOctetString::from_string(until.clone())
                    .map_err(|_| unfit(Reason::TooLong))?,
            )
            // One asks for a receipt of the final state, whatever it is.
            .registered_delivery(RegisteredDelivery::from(wants_receipt))
            .data_coding(data_coding)
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

/// The validity period (SMPP 3.4 §7.1.1); empty for none. A delivery after the code expired is of no use.
fn validity(form: Validity, now: Timestamp, expires_at: Timestamp) -> String {
    match form {
        Validity::Relative => relative(expires_at.since(now)),
        Validity::Absolute => absolute(expires_at),
        Validity::None => String::new(),
    }
}

/// Days, hours, minutes and seconds from now.
fn relative(life: Duration) -> String {
    let seconds = life.min(VALIDITY_MAX).as_secs().max(1);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    format!("0000{days:02}{hours:02}{minutes:02}{:02}000R", seconds % 60)
}

/// Year to second, tenths, and no difference from UTC.
fn absolute(at: Timestamp) -> String {
    let micros = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
    at.strftime("%y%m%d%H%M%S000+").to_string()
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
            assert_eq!(relative(Duration::from_secs(seconds)), text);
        }
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let until = now.plus(Duration::from_secs(300));
        let said = |form| validity(form, now, until);
        assert_eq!(said(Validity::Relative), "000000000500000R");
        assert_eq!(said(Validity::Absolute), "270115080500000+");
        assert_eq!(said(Validity::None), "");
    }

    #[test]
    fn an_address_is_typed_as_the_message_centre_wants_it() {
        let address = Address::parse("+31612345678").unwrap();
        let typed = |ton, npi| {
            let typed = address.clone().with(AddressType { ton, npi });
            (u8::from(typed.ton), u8::from(typed.npi))
        };
        assert_eq!(typed(None, None), (1, 1));
        assert_eq!(typed(Some(0), None), (0, 1));
        assert_eq!(typed(Some(2), Some(8)), (2, 8));
    }

    #[test]
    fn receipts_are_requested_for_the_parts_of_the_settings() {
        for (parts, expected) in [
            (ReceiptParts::Last, [false, false, true]),
            (ReceiptParts::First, [true, false, false]),
            (ReceiptParts::Every, [true, true, true]),
            (ReceiptParts::None, [false, false, false]),
        ] {
            assert_eq!([0, 1, 2].map(|at| parts.include(at, 2)), expected);
            let alone = parts != ReceiptParts::None;
            assert_eq!(parts.include(0, 0), alone, "a short message is one part");
        }
    }
}

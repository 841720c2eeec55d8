//! The ids of messages, which message centres spell one way in the answer and another way in the receipt: in the other
//! letter case, with or without leading zeros, or in another base.

use super::receipt::Found;
use crate::{domain::ids::ProviderReference, ports::sender::Sent};

/// Stands before an id whose letter case does not count, so that it is never mistaken for one where it does.
const ANY_CASE: char = '~';

/// How receipts spell the id that the answer to `submit_sm` gave. Letter case and leading zeros never matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptIds {
    /// As the answer spells it.
    #[default]
    Same,
    /// Hexadecimal in the answer, decimal in the receipt.
    HexToDecimal,
    /// Decimal in the answer, hexadecimal in the receipt.
    DecimalToHex,
}

impl ReceiptIds {
    /// What the sender keeps of a message that was accepted with this id.
    pub(super) fn accepted(self, id: &str) -> Sent {
        let (mut names, spelled) = (Names::default(), self.convert(id));
        names.add_number(&spelled);
        names.add_number(bare(&spelled));
        if !is_number(&spelled) {
            names.add(&in_any_case(&spelled));
        }
        let reference = ProviderReference::parse(id).ok();
        let is_known = |name: &ProviderReference| Some(name) != reference.as_ref();
        Sent {
            aliases: names.0.into_iter().filter(is_known).collect(),
            reference,
        }
    }

    /// The names under which the message of a receipt may be known, the likeliest first.
    pub(super) fn named(self, found: &Found) -> Vec<ProviderReference> {
        let (in_field, in_text) = (found.in_field.as_deref(), found.in_text.as_deref());
        let mut names = Names::default();
        for id in [in_field, in_text].into_iter().flatten() {
            names.add_number(id);
            names.add(id);
        }
        for id in [in_field, in_text].into_iter().flatten() {
            names.add(&without_zeros(id).to_ascii_lowercase());
            names.add(&in_any_case(id));
        }
        for id in [in_field, in_text].into_iter().flatten() {
            names.add_number(bare(id));
        }
        // Some write the optional field as the answer, and only the text differently.
        if let Some(id) = in_field {
            names.add_number(&self.convert(id));
        }
        names.0
    }

    /// The id of an answer as receipts spell it.
    fn convert(self, id: &str) -> String {
        let converted = match self {
            Self::Same => None,
            Self::HexToDecimal => u128::from_str_radix(bare(id), 16)
                .ok()
                .map(|id| id.to_string()),
            Self::DecimalToHex => id.parse().ok().map(|id: u128| format!("{id:x}")),
        };
        converted.unwrap_or_else(|| id.to_owned())
    }
}

/// Names without repeats. An id that is too long or has odd characters is left out.
#[derive(Default)]
struct Names(Vec<ProviderReference>);

impl Names {
    fn add(&mut self, name: &str) {
        if let Ok(name) = ProviderReference::parse(name)
            && !self.0.contains(&name)
        {
            self.0.push(name);
        }
    }

    /// An id that may be a number: in lower case, without leading zeros. Any other id as it is.
    fn add_number(&mut self, id: &str) {
        if is_number(id) {
            self.add(&without_zeros(id).to_ascii_lowercase());
        } else {
            self.add(id);
        }
    }
}

/// The id without what some message centres put around it: quotes, the comma before the next field, and the mark of
/// hexadecimal numbers.
fn bare(id: &str) -> &str {
    let id = id.trim_matches(['"', '\'', ',', ';', '|']);
    let digits = id.strip_prefix("0x").or_else(|| id.strip_prefix("0X"));
    digits.filter(|digits| is_number(digits)).unwrap_or(id)
}

/// The name of an id that is no number, whose letter case is likely to be kept: only a second look ignores it.
fn in_any_case(id: &str) -> String {
    format!("{ANY_CASE}{}", without_zeros(id).to_ascii_lowercase())
}

/// Whether an id may be a decimal or hexadecimal number, or a UUID. With letters of both cases it is not: there the case
/// tells messages apart.
fn is_number(id: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    let has = |is: fn(&u8) -> bool| id.bytes().any(|byte| is(&byte));
    id.bytes().all(is_digit) && !(has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase))
}

fn without_zeros(id: &str) -> &str {
    let rest = id.trim_start_matches('0');
    if rest.is_empty() && !id.is_empty() {
        "0"
    } else {
        rest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::delivery::receipt::Receipt;

    fn found(in_field: &str, in_text: &str) -> Found {
        let id = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Found {
            in_field: id(in_field),
            in_text: id(in_text),
            receipt: Receipt::Delivered,
        }
    }

    /// Whether a receipt that names these ids is taken for the message with this answer.
    fn finds(ids: ReceiptIds, answer: &str, in_field: &str, in_text: &str) -> bool {
        let sent = ids.accepted(answer);
        let kept: Vec<_> = sent.reference.into_iter().chain(sent.aliases).collect();
        ids.named(&found(in_field, in_text))
            .iter()
            .any(|name| kept.contains(name))
    }

    #[test]
    fn send_20_a_receipt_finds_its_message_in_every_spelling_of_the_id() {
        use ReceiptIds::{DecimalToHex, HexToDecimal, Same};
        for (ids, answer, in_field, in_text) in [
            (Same, "7001", "", "7001"),
            (Same, "221067780", "", "0221067780"),
            (Same, "0221067780", "", "221067780"),
            (Same, "00B8BE19", "", "B8BE19"),
            (Same, "B8BE19", "00B8BE19", ""),
            (Same, "AB00001F", "", "ab00001f"),
            (Same, "ab00001f", "", "AB00001F"),
            (Same, "Ab00001f", "", "AB00001F"),
            (Same, "ab00001f", "", "Ab00001F"),
            (Same, "SMSC-1xyz", "", "smsc-1XYZ"),
            (Same, "0D3F-77AA", "", "d3f-77aa"),
            (Same, "000", "", "0"),
            // The text is right and the field another spelling, and the reverse.
            (Same, "7010", "1B62", "7010"),
            (Same, "1B62", "1B62", "7010"),
            (HexToDecimal, "1F4", "", "500"),
            (HexToDecimal, "000001f4", "", "0500"),
            (HexToDecimal, "1F4", "1F4", ""),
            (HexToDecimal, "0a1b2c3d4e5f6071", "", "728224406569967729"),
            (HexToDecimal, "no-number", "", "NO-NUMBER"),
            (DecimalToHex, "500", "", "1F4"),
            (DecimalToHex, "500", "", "000001f4"),
            (DecimalToHex, "500", "500", ""),
            // With what stands around it.
            (Same, "7001", "", "\"7001\""),
            (Same, "7001", "", "7001,"),
            (Same, "0x1F4", "", "1f4"),
            (Same, "1F4", "", "0x000001F4"),
            (Same, "0xAb", "", "0xAb"),
            (HexToDecimal, "0x1F4", "", "500"),
            (DecimalToHex, "500", "", "0x1F4"),
        ] {
            let what = format!("{ids:?} {answer} {in_field} {in_text}");
            assert!(finds(ids, answer, in_field, in_text), "{what}");
        }
        for (ids, answer, in_field, in_text) in [
            (Same, "7001", "", "7002"),
            (Same, "1F4", "", "500"),
            (Same, "7001", "", "70010"),
            (HexToDecimal, "1F4", "", "501"),
        ] {
            assert!(!finds(ids, answer, in_field, in_text), "{ids:?} {answer}");
        }
    }

    #[test]
    fn where_the_letter_case_tells_messages_apart_it_counts_first() {
        let first = |answer| ReceiptIds::Same.accepted(answer).reference.unwrap();
        for id in ["xyzA1", "xyza1", "aB", "Ab"] {
            assert_eq!(ReceiptIds::Same.named(&found("", id))[0], first(id));
        }
    }

    proptest! {
        #[test]
        fn the_id_of_the_answer_always_finds_it(id in "[!-~]{1,128}") {
            prop_assert!(finds(ReceiptIds::Same, &id, "", &id));
            let names = ReceiptIds::Same.named(&found(&id, &id));
            prop_assert!(names.len() <= 11);
        }
    }
}

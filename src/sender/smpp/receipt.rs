//! Reads receipts: the optional fields, and the text form that SMPP 3.4 gives only as an example
//! but nearly all message centres use.

use rusmpp::{pdus::DeliverSm, tlvs::TlvValue, values::MessageState};

use crate::domain::{
    delivery::{reason::Reason, receipt::Receipt},
    ids::ProviderReference,
};

/// The bits of `esm_class` with the kind of message.
const KIND: u8 = 0b0011_1100;
const FINAL_RECEIPT: u8 = 0b0000_0100;
const INTERMEDIATE_RECEIPT: u8 = 0b0010_0000;

/// The message centre's id of the message, and the receipt; `None` if this is not a receipt, cannot
/// be read, or has no known state.
pub(super) fn read(deliver: &DeliverSm) -> Option<(ProviderReference, Receipt)> {
    if ![FINAL_RECEIPT, INTERMEDIATE_RECEIPT].contains(&(u8::from(deliver.esm_class) & KIND)) {
        return None;
    }
    let fields = Fields::of(deliver);
    let text = Text::parse(fields.payload.unwrap_or(deliver.short_message().as_ref()));
    let reference = fields.reference.or(text.id.as_deref())?;
    let receipt = fields
        .state
        .and_then(|state| by_state(state, text.error.as_deref()));
    let receipt = receipt.or_else(|| by_word(text.state.as_deref()?, text.error.as_deref()))?;
    Some((ProviderReference::parse(reference).ok()?, receipt))
}

/// The optional fields of a receipt.
#[derive(Default)]
struct Fields<'a> {
    reference: Option<&'a str>,
    state: Option<MessageState>,
    payload: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn of(deliver: &'a DeliverSm) -> Self {
        let mut fields = Self::default();
        for value in deliver.tlvs().iter().filter_map(|tlv| tlv.value()) {
            match value {
                TlvValue::ReceiptedMessageId(id) => fields.reference = Some(id.as_str()),
                TlvValue::MessageState(state) => fields.state = Some(*state),
                TlvValue::MessagePayload(payload) => fields.payload = Some(payload.value.as_ref()),
                _ => {}
            }
        }
        fields
    }
}

/// The text of a receipt: `id:IIII sub:SSS dlvrd:DDD submit date:... done date:... stat:DDDDDDD err:EEE text:...`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Text {
    id: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

impl Text {
    fn parse(octets: &[u8]) -> Self {
        let mut said = Self::default();
        for word in String::from_utf8_lossy(octets).split_ascii_whitespace() {
            let Some((key, value)) = word.split_once(':') else {
                continue;
            };
            let place = match key.to_ascii_lowercase().as_str() {
                "id" => &mut said.id,
                "stat" => &mut said.state,
                "err" => &mut said.error,
                // The beginning of the message itself, which may contain anything.
                "text" => break,
                _ => continue,
            };
            place.get_or_insert_with(|| value.to_owned());
        }
        said
    }
}

fn by_state(state: MessageState, error: Option<&str>) -> Option<Receipt> {
    let word = match state {
        MessageState::Scheduled => "SCHEDULED",
        MessageState::Enroute => "ENROUTE",
        MessageState::Delivered => "DELIVRD",
        MessageState::Expired => "EXPIRED",
        MessageState::Deleted => "DELETED",
        MessageState::Undeliverable => "UNDELIV",
        MessageState::Accepted => "ACCEPTD",
        MessageState::Rejected => "REJECTD",
        MessageState::Skipped => "SKIPPED",
        // The message centre does not know the state either.
        MessageState::Unknown | MessageState::Other(_) => return None,
    };
    by_word(word, error)
}

fn by_word(word: &str, error: Option<&str>) -> Option<Receipt> {
    let undelivered = |state: Reason| {
        let error = error.filter(|error| !error.bytes().all(|digit| digit == b'0'));
        Receipt::Undelivered {
            reason: error.map_or(state, Reason::from_provider),
        }
    };
    match word.to_ascii_uppercase().as_str() {
        "DELIVRD" => Some(Receipt::Delivered),
        "SCHEDULED" | "ENROUTE" | "ACCEPTD" => Some(Receipt::Sent),
        "EXPIRED" => Some(undelivered(Reason::Expired)),
        "DELETED" => Some(undelivered(Reason::Deleted)),
        "UNDELIV" => Some(undelivered(Reason::Undeliverable)),
        "REJECTD" => Some(undelivered(Reason::Rejected)),
        "SKIPPED" => Some(undelivered(Reason::Skipped)),
        // An unknown word tells nothing new.
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use rusmpp::{
        tlvs::MessageDeliveryRequestTlvValue as Field,
        types::{COctetString, OctetString},
        values::EsmClass,
    };

    use super::*;

    /// A final receipt with this text.
    pub(in super::super) fn receipt(text: &str) -> DeliverSm {
        let text = OctetString::from_vec(text.into()).unwrap();
        DeliverSm::builder()
            .esm_class(EsmClass::from(FINAL_RECEIPT))
            .short_message(text)
            .build()
    }

    fn said(text: &str) -> Option<(String, Receipt)> {
        read(&receipt(text)).map(|(reference, receipt)| (reference.as_str().to_owned(), receipt))
    }

    fn undelivered(reason: &str) -> Receipt {
        Receipt::Undelivered {
            reason: Reason::from_word(reason),
        }
    }

    #[test]
    fn a_receipt_in_text_is_read() {
        let text = "id:0a1B-7 sub:001 dlvrd:001 submit date:2511252000 done date:2511252001 stat:DELIVRD err:000 text:Your code";
        assert_eq!(said(text), Some(("0a1B-7".to_owned(), Receipt::Delivered)));
        for (state, expected) in [
            ("stat:ENROUTE err:000", Some(Receipt::Sent)),
            ("stat:ACCEPTD", Some(Receipt::Sent)),
            ("STAT:undeliv ERR:034", Some(undelivered("034"))),
            ("stat:EXPIRED err:000", Some(undelivered("expired"))),
            ("stat:REJECTD err:8", Some(undelivered("8"))),
            ("stat:DELETED", Some(undelivered("deleted"))),
            ("stat:UNKNOWN err:000", None),
            ("stat: err:000", None),
            ("err:000 text:stat:DELIVRD", None),
            (
                "stat:EXPIRED text: stat:DELIVRD",
                Some(undelivered("expired")),
            ),
        ] {
            assert_eq!(
                said(&format!("id:7 {state}")).map(|(_, receipt)| receipt),
                expected,
                "{state}"
            );
        }
        assert_eq!(said("stat:DELIVRD err:000"), None, "of no message");
        assert_eq!(said("id: stat:DELIVRD"), None);
        let message = DeliverSm::builder()
            .esm_class(EsmClass::from(0))
            .short_message(OctetString::from_static_str("id:7 stat:DELIVRD").unwrap())
            .build();
        assert_eq!(read(&message), None, "somebody wrote it by hand");
    }

    #[test]
    fn the_fields_of_a_receipt_come_before_its_text() {
        let mut both = receipt("id:1 stat:DELIVRD err:000");
        both.set_tlvs(vec![
            Field::ReceiptedMessageId(COctetString::from_static_slice(b"2\0").unwrap()),
            Field::MessageState(MessageState::Undeliverable),
        ]);
        let (reference, said) = read(&both).unwrap();
        assert_eq!((reference.as_str(), said), ("2", undelivered("undeliv")));
        both.set_tlvs(vec![Field::MessageState(MessageState::Unknown)]);
        assert_eq!(
            read(&both).unwrap().1,
            Receipt::Delivered,
            "a state that says nothing leaves it to the text"
        );
    }

    proptest! {
        #[test]
        fn no_receipt_is_too_strange_to_be_looked_at(text in prop::collection::vec(any::<u8>(), 0..255), class: u8) {
            let text = OctetString::from_vec(text).unwrap();
            let deliver = DeliverSm::builder().esm_class(EsmClass::from(class)).short_message(text).build();
            let _ = read(&deliver);
        }

        #[test]
        fn what_a_receipt_says_is_what_it_was_given(id in "[!-9;-~]{1,64}", error in 0_u16..1000, delivered: bool) {
            let state = if delivered { "DELIVRD" } else { "UNDELIV" };
            let (reference, receipt) = said(&format!("id:{id} sub:001 stat:{state} err:{error:03} text:")).unwrap();
            prop_assert_eq!(reference, id);
            let reason = if error == 0 { "undeliv".to_owned() } else { format!("{error:03}") };
            prop_assert_eq!(receipt, if delivered { Receipt::Delivered } else { undelivered(&reason) });
        }
    }
}

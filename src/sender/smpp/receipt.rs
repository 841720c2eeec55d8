//! Reads receipts: the optional fields, and the text form.

mod alphabet;
mod envelope;
mod state;
mod words;

pub(super) use self::envelope::message_id;
use self::{envelope::Envelope, state::State, words::ReceiptText};
use crate::{domain::delivery::receipt::Receipt, ports::sender::receipts::UnreadableReceipt};

/// The bits of `esm_class` for a receipt of the message centre, an acknowledgement of the telephone, and a receipt of an
/// intermediate state (SMPP 3.4 §5.2.12).
const RECEIPT_KINDS: u8 = 0b0010_1100;
/// The bit for what a person or the telephone's application says, which is no receipt.
const OF_A_PERSON: u8 = 0b0001_0000;
/// The bits of `esm_class` for the kind of a message.
const MESSAGE_KIND: u8 = 0b0011_1100;
/// The kind of a notification about one effort to deliver, after which the message centre goes on.
const INTERMEDIATE: u8 = 0b0010_0000;

/// What a command of the message centre says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It is a receipt.
    Receipt(Found),
    /// It is a receipt that tells nothing new: the message centre does not know the state.
    Nothing,
    /// It is a receipt that cannot be used.
    Unreadable(UnreadableReceipt),
    /// It is something else, such as the reply of a customer.
    Other,
}

/// A receipt, with the ids by which it names its message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The id in the optional field.
    pub(super) in_field: Option<String>,
    /// The id in the text, which may be another spelling.
    pub(super) in_text: Option<String>,
    pub(super) receipt: Receipt,
}

/// Reads the body of a `deliver_sm`.
pub(super) fn of_deliver_sm(body: &[u8]) -> Said {
    read(Envelope::of_deliver_sm(body))
}

/// Reads the body of a `data_sm`.
pub(super) fn of_data_sm(body: &[u8]) -> Said {
    read(Envelope::of_data_sm(body))
}

fn read(envelope: Option<Envelope>) -> Said {
    let Some(envelope) = envelope else {
        return Said::Unreadable(UnreadableReceipt::Malformed);
    };
    let fields = &envelope.fields;
    let class = envelope.esm_class;
    let is_marked = class & RECEIPT_KINDS != 0 && class & OF_A_PERSON == 0;
    let text = ReceiptText::best(envelope.texts());
    // A telephone cannot send these fields, so with them the class need not say it.
    if !is_marked && fields.reference.is_none() && fields.state.is_none() {
        return unmarked(&text);
    }
    let in_field = fields.reference.clone().filter(|id| !id.is_empty());
    if in_field.is_none() && text.id.is_none() {
        return Said::Unreadable(UnreadableReceipt::NoReference);
    }
    let (by_field, by_text) = (state_of_field(fields.state), state_of_text(&text));
    let mut state = by_field.or(by_text);
    if class & MESSAGE_KIND == INTERMEDIATE {
        state = state.before_the_end();
    }
    match state {
        State::Known(state) => {
            let error = text.error.filter(|error| !is_zero(error));
            let error = error.or_else(|| fields.error.map(|code| code.to_string()));
            Said::Receipt(Found {
                in_field,
                in_text: text.id,
                receipt: state.receipt(error.as_deref()),
            })
        }
        State::NotKnownThere => Said::Nothing,
        State::NotThere => Said::Unreadable(UnreadableReceipt::UnknownState),
    }
}

fn state_of_field(number: Option<u8>) -> State {
    number.map_or(State::NotThere, State::numbered)
}

fn state_of_text(text: &ReceiptText) -> State {
    let word = text.state.as_deref();
    word.map_or(State::NotThere, State::worded)
}

/// A message that nothing marks as a receipt. It may be a customer's, who must not be able to report on messages, so
/// what looks like a receipt of a message centre is only counted.
fn unmarked(text: &ReceiptText) -> Said {
    let has_state = state_of_text(text) != State::NotThere;
    if text.id.is_some() && text.has_counts && has_state {
        Said::Unreadable(UnreadableReceipt::NotMarked)
    } else {
        Said::Other
    }
}

/// Whether an error code says that there is no error: `000`, `0x00000000`.
fn is_zero(error: &str) -> bool {
    let digits = error.trim_end_matches([',', ';']);
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    digits.bytes().all(|digit| digit == b'0')
}

#[cfg(test)]
pub(super) mod tests;

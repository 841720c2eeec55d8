//! Reads receipts: the optional fields, and the text form.

mod envelope;
mod words;

pub(super) use self::envelope::message_id;
use self::{envelope::Envelope, words::ReceiptText};
use crate::{
    domain::delivery::{reason::Reason, receipt::Receipt},
    ports::sender::receipts::UnreadableReceipt,
};

/// The bits of `esm_class` for a receipt of the message centre, an acknowledgement of the telephone, and a receipt of an
/// intermediate state (SMPP 3.4 §5.2.12).
const RECEIPT_KINDS: u8 = 0b0010_1100;
/// The bit for what a person or the telephone's application says, which is no receipt.
const OF_A_PERSON: u8 = 0b0001_0000;

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
    let is_receipt = class & RECEIPT_KINDS != 0 && class & OF_A_PERSON == 0;
    // A telephone cannot send these fields, so with them the class need not say it.
    if !is_receipt && fields.reference.is_none() && fields.state.is_none() {
        return Said::Other;
    }
    let mut texts = envelope.texts().map(ReceiptText::parse);
    let first = texts.next().unwrap_or_default();
    let text = if first.id.is_some() {
        first
    } else {
        texts.find(|text| text.id.is_some()).unwrap_or(first)
    };
    let in_field = fields.reference.clone().filter(|id| !id.is_empty());
    if in_field.is_none() && text.id.is_none() {
        return Said::Unreadable(UnreadableReceipt::NoReference);
    }
    let error = text.error.filter(|error| !is_zero(error));
    let error = error.or_else(|| fields.error.map(|code| code.to_string()));
    let by_field = fields.state.map_or(State::NotThere, State::numbered);
    let by_text = text.state.as_deref().map_or(State::NotThere, State::worded);
    match (by_field, by_text) {
        (State::Known(state), _) | (_, State::Known(state)) => Said::Receipt(Found {
            in_field,
            in_text: text.id,
            receipt: state.receipt(error.as_deref()),
        }),
        (State::NotKnownThere, _) | (_, State::NotKnownThere) => Said::Nothing,
        (State::NotThere, State::NotThere) => Said::Unreadable(UnreadableReceipt::UnknownState),
    }
}

fn is_zero(error: &str) -> bool {
    error.bytes().all(|digit| digit == b'0')
}

/// What one of the two places says of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Known(MessageState),
    /// The message centre says that it does not know the state.
    NotKnownThere,
    /// It says nothing, or a word that nobody knows.
    NotThere,
}

/// The states of a message (SMPP 3.4 §5.2.28), with scheduled and skipped of SMPP 5.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MessageState {
    Underway,
    Delivered,
    Expired,
    Deleted,
    Undeliverable,
    Rejected,
    Skipped,
}

impl State {
    fn numbered(number: u8) -> Self {
        Self::Known(match number {
            // Scheduled, en route, accepted.
            0 | 1 | 6 => MessageState::Underway,
            2 => MessageState::Delivered,
            3 => MessageState::Expired,
            4 => MessageState::Deleted,
            5 => MessageState::Undeliverable,
            7 => return Self::NotKnownThere,
            8 => MessageState::Rejected,
            9 => MessageState::Skipped,
            _ => return Self::NotThere,
        })
    }

    /// Reads the first word, or if nobody knows it all of the text: `EN ROUTE`, `NOT DELIVERED`.
    fn worded(text: &str) -> Self {
        let first = text.split_whitespace().next().unwrap_or_default();
        match Self::of_word(first) {
            Self::NotThere => Self::of_word(text),
            known @ (Self::Known(_) | Self::NotKnownThere) => known,
        }
    }

    fn of_word(word: &str) -> Self {
        if let [digit @ b'1'..=b'9'] = word.as_bytes() {
            return Self::numbered(digit - b'0');
        }
        let letters = word.chars().filter(char::is_ascii_alphabetic);
        let word: String = letters.map(|letter| letter.to_ascii_uppercase()).collect();
        Self::Known(match word.as_str() {
            "SCHEDULED" | "SCHEDLD" | "ENROUTE" | "ACCEPTD" | "ACCEPTED" | "BUFFRED"
            | "BUFFERD" | "BUFFERED" | "QUEUED" | "PENDING" | "SENT" | "SUBMITD" | "SUBMITTED" => {
                MessageState::Underway
            }
            "DELIVRD" | "DELIVERD" | "DELIVERED" => MessageState::Delivered,
            "EXPIRED" => MessageState::Expired,
            "DELETED" | "CANCELED" | "CANCELLED" => MessageState::Deleted,
            "UNDELIV" | "UNDELIVRD" | "UNDELIVERD" | "UNDELIVERED" | "UNDELIVERABLE"
            | "NOTDELIVERED" | "FAILED" | "FAIL" | "FAILURE" | "ERROR" => {
                MessageState::Undeliverable
            }
            "REJECTD" | "REJECTED" => MessageState::Rejected,
            "SKIPPED" => MessageState::Skipped,
            "UNKNOWN" => return Self::NotKnownThere,
            _ => return Self::NotThere,
        })
    }
}

impl MessageState {
    fn receipt(self, error: Option<&str>) -> Receipt {
        let undelivered = |state: Reason| Receipt::Undelivered {
            reason: error.map_or(state, Reason::from_provider),
        };
        match self {
            Self::Underway => Receipt::Sent,
            Self::Delivered => Receipt::Delivered,
            Self::Expired => undelivered(Reason::Expired),
            Self::Deleted => undelivered(Reason::Deleted),
            Self::Undeliverable => undelivered(Reason::Undeliverable),
            Self::Rejected => undelivered(Reason::Rejected),
            Self::Skipped => undelivered(Reason::Skipped),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;

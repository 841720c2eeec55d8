//! The states of a message, by number and by word. Message centres spell the words in their own ways: in full or with
//! fewer vowels, cut to the seven letters that the field has in SMPP 3.4, in two words, or as a number.

use crate::domain::delivery::{reason::Reason, receipt::Receipt};

/// The letters of a state in the text of a receipt (SMPP 3.4, appendix B); longer words are cut there.
const LETTERS: usize = 7;
/// Fewest letters of a word that is also known without its vowels: shorter ones would be too much alike.
const WITHOUT_VOWELS_MIN: usize = 6;

/// What one of the two places says of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Known(MessageState),
    /// The message centre says that it does not know the state.
    NotKnownThere,
    /// It says nothing, or a word that nobody knows.
    NotThere,
}

/// The states of a message (SMPP 3.4 §5.2.28), with scheduled and skipped of SMPP 5.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageState {
    Underway,
    Delivered,
    Expired,
    Deleted,
    Undeliverable,
    Rejected,
    Skipped,
}

/// The words for each state, in full.
const WORDS: [(State, &[&str]); 8] = [
    (
        State::Known(MessageState::Underway),
        &[
            "SCHEDULED",
            "ENROUTE",
            "ACCEPTED",
            "BUFFERED",
            "QUEUED",
            "PENDING",
            "SENT",
            "SENDING",
            "SUBMITTED",
            "SUBMITED",
            "ACKED",
            "ACKNOWLEDGED",
            "PROCESSING",
            "INPROGRESS",
            "RETRYING",
            "DELAYED",
        ],
    ),
    (
        State::Known(MessageState::Delivered),
        // Some messages by SMPP end in apps, which also report that they were read.
        &["DELIVERED", "READ", "SEEN", "DISPLAYED"],
    ),
    (State::Known(MessageState::Expired), &["EXPIRED"]),
    (
        State::Known(MessageState::Deleted),
        &["DELETED", "CANCELED", "CANCELLED"],
    ),
    (
        State::Known(MessageState::Undeliverable),
        &[
            "UNDELIVERABLE",
            "UNDELIVERED",
            "NOTDELIVERED",
            "NONDELIVERED",
            "DELIVERYFAILED",
            "DELIVERYFAILURE",
            "FAILED",
            "FAIL",
            "FAILURE",
            "ERROR",
            "ABORTED",
        ],
    ),
    (
        State::Known(MessageState::Rejected),
        &["REJECTED", "REJECT", "REFUSED", "BLOCKED"],
    ),
    (State::Known(MessageState::Skipped), &["SKIPPED"]),
    (State::NotKnownThere, &["UNKNOWN"]),
];

impl State {
    pub(super) fn numbered(number: u8) -> Self {
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
    pub(super) fn worded(text: &str) -> Self {
        let first = text.split_whitespace().next().unwrap_or_default();
        match Self::of_word(first) {
            Self::NotThere => Self::of_word(text),
            known @ (Self::Known(_) | Self::NotKnownThere) => known,
        }
    }

    fn of_word(word: &str) -> Self {
        if let [digit @ b'1'..=b'9'] = word.trim_start_matches('0').as_bytes() {
            return Self::numbered(digit - b'0');
        }
        let letters = word.chars().filter(char::is_ascii_alphabetic);
        let word: String = letters.map(|letter| letter.to_ascii_uppercase()).collect();
        let row = WORDS
            .iter()
            .find(|(_, words)| words.iter().any(|known| is_same(known, &word)));
        row.map_or(Self::NotThere, |(state, _)| *state)
    }

    /// What both places say: the first, unless the second says more. A state on the way says little, because some message
    /// centres leave the field at the value that it had when the message was accepted.
    pub(super) fn or(self, second: Self) -> Self {
        match (self, second) {
            (Self::NotThere, _) => second,
            (Self::NotKnownThere | Self::Known(MessageState::Underway), Self::Known(_)) => second,
            (first, _) => first,
        }
    }

    /// What an intermediate notification says: an effort that failed there is not the last one.
    pub(super) fn before_the_end(self) -> Self {
        match self {
            Self::Known(state) if state.is_failure() => Self::Known(MessageState::Underway),
            other @ (Self::Known(_) | Self::NotKnownThere | Self::NotThere) => other,
        }
    }
}

/// Whether a word is this one in full, without some of its vowels, or cut to the length of the field.
fn is_same(known: &str, word: &str) -> bool {
    let is_cut = || word.len() == LETTERS && known.starts_with(word);
    let is_short = || known.len() >= WITHOUT_VOWELS_MIN && consonants(known) == consonants(word);
    known == word || is_cut() || is_short()
}

/// The word without its vowels, except for the one that it begins with.
fn consonants(word: &str) -> String {
    let begin = word.get(..1).unwrap_or_default();
    let rest = word.get(1..).unwrap_or_default();
    let rest = rest.replace(['A', 'E', 'I', 'O', 'U'], "");
    format!("{begin}{rest}")
}

impl MessageState {
    fn is_failure(self) -> bool {
        match self {
            Self::Underway | Self::Delivered => false,
            Self::Expired
            | Self::Deleted
            | Self::Undeliverable
            | Self::Rejected
            | Self::Skipped => true,
        }
    }

    /// The receipt of this state. An error code that cannot be kept says less than the state.
    pub(super) fn receipt(self, error: Option<&str>) -> Receipt {
        let undelivered = |state: Reason| {
            let code = error.map(Reason::from_provider);
            let reason = code.filter(|reason| *reason != Reason::NotSaid);
            Receipt::Undelivered {
                reason: reason.unwrap_or(state),
            }
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
mod tests {
    use super::*;

    #[test]
    fn send_20_a_word_is_known_without_its_vowels_and_cut_to_its_field() {
        for (state, words) in [
            (
                MessageState::Delivered,
                &[
                    "DELIVRD",
                    "DELIVERD",
                    "DELIVRED",
                    "DLVRD",
                    "DELIVER",
                    "delivered",
                ][..],
            ),
            (
                MessageState::Undeliverable,
                &["UNDELIV", "UNDLVRD", "UNDELIVRD", "UNDELIVERABL", "FAILD"],
            ),
            (MessageState::Rejected, &["REJECTD", "REJECTE", "RJCTD"]),
            (MessageState::Expired, &["EXPIRD", "EXPRD"]),
            (MessageState::Deleted, &["DELETD", "CANCELD", "CANCELL"]),
            (
                MessageState::Underway,
                &[
                    "ENROUT", "ACCEPTD", "ACCPTD", "ACCEPTE", "BUFFRED", "BUFFERE", "SCHEDLD",
                    "SCHEDUL", "SUBMITD", "ACKED",
                ],
            ),
        ] {
            for word in words {
                assert_eq!(State::worded(word), State::Known(state), "{word}");
            }
        }
        assert_eq!(State::worded("UNKNWN"), State::NotKnownThere);
        for word in [
            "DELIVE",
            "DELIVERY",
            "UNDELIVRDX",
            "SNT",
            "RD",
            "DEL",
            "-",
            "é",
        ] {
            assert_eq!(State::worded(word), State::NotThere, "{word}");
        }
    }

    #[test]
    fn send_20_of_two_places_the_one_that_says_more_counts() {
        use State::{Known, NotKnownThere, NotThere};
        let (underway, delivered, failed) = (
            Known(MessageState::Underway),
            Known(MessageState::Delivered),
            Known(MessageState::Undeliverable),
        );
        for (field, text, expected) in [
            (NotThere, delivered, delivered),
            (NotKnownThere, delivered, delivered),
            (NotKnownThere, NotThere, NotKnownThere),
            (NotThere, NotKnownThere, NotKnownThere),
            (underway, delivered, delivered),
            (underway, failed, failed),
            (underway, NotKnownThere, underway),
            (failed, delivered, failed),
            (delivered, underway, delivered),
        ] {
            assert_eq!(field.or(text), expected, "{field:?} {text:?}");
        }
        assert_eq!(failed.before_the_end(), underway);
        assert_eq!(delivered.before_the_end(), delivered);
    }

    #[test]
    fn no_word_is_that_of_two_states() {
        for (state, words) in WORDS {
            for word in words {
                for spelled in [(*word).to_owned(), consonants(word)] {
                    let found = State::of_word(&spelled);
                    let is_short = word.len() < WITHOUT_VOWELS_MIN;
                    assert!(
                        found == state || (is_short && spelled != *word),
                        "{word} {spelled}"
                    );
                }
            }
        }
    }
}

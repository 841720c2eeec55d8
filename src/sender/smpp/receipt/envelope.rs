//! Reads the commands that carry receipts, `deliver_sm` and `data_sm`, as far as they can be read: message centres
//! send them with stray octets, cut fields and texts without an end.

/// The tag of the message's id, as in the answer to `submit_sm` (SMPP 3.4 §5.3.2.12).
const RECEIPTED_MESSAGE_ID: u16 = 0x001e;
/// The tag of an error code of the network (§5.3.2.31).
const NETWORK_ERROR_CODE: u16 = 0x0423;
/// The tag of a text that is in no other field (§5.3.2.32).
const MESSAGE_PAYLOAD: u16 = 0x0424;
/// The tag of the message's state (§5.3.2.35).
const MESSAGE_STATE: u16 = 0x0427;
/// The bit of `esm_class` for a text that begins with a header.
const WITH_HEADER: u8 = 0b0100_0000;

/// What a command says that may be a receipt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) esm_class: u8,
    /// The text with its header, if it has one.
    text: Vec<u8>,
    pub(super) fields: Fields,
}

/// The optional fields that matter in a receipt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) reference: Option<String>,
    pub(super) state: Option<u8>,
    /// The network's error code; zero, which means none, is left out.
    pub(super) error: Option<u16>,
    payload: Option<Vec<u8>>,
}

impl Envelope {
    /// Reads the body of a `deliver_sm` (§4.6.1). `None` if it ends before its text.
    pub(super) fn of_deliver_sm(body: &[u8]) -> Option<Self> {
        let mut octets = Octets(body);
        let esm_class = octets.addresses()?;
        // protocol_id, priority_flag
        octets.take(2)?;
        // schedule_delivery_time, validity_period
        octets.text()?;
        octets.text()?;
        // registered_delivery, replace_if_present_flag, data_coding, sm_default_msg_id
        octets.take(4)?;
        let length = usize::from(octets.octet()?);
        let text = octets.take_up_to(length).to_vec();
        Some(Self {
            esm_class,
            text,
            fields: Fields::read(octets),
        })
    }

    /// Reads the body of a `data_sm` (§4.7.1). `None` if it ends before its optional fields.
    pub(super) fn of_data_sm(body: &[u8]) -> Option<Self> {
        let mut octets = Octets(body);
        let esm_class = octets.addresses()?;
        // registered_delivery, data_coding
        octets.take(2)?;
        Some(Self {
            esm_class,
            text: Vec::new(),
            fields: Fields::read(octets),
        })
    }

    /// The texts, each with and without what its first octet may say is a header: the one in the optional field, which
    /// stands for the other, and that other, because some message centres put the receipt there all the same.
    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let has_header = self.esm_class & WITH_HEADER != 0;
        let texts = [self.fields.payload.as_deref(), Some(&*self.text)];
        let texts = texts.into_iter().flatten().filter(|text| !text.is_empty());
        texts.flat_map(move |whole| {
            let header = usize::from(whole[0]) + 1;
            let rest = whole.get(header..).filter(|_| has_header);
            rest.into_iter().chain([whole])
        })
    }
}

impl Fields {
    fn read(mut octets: Octets<'_>) -> Self {
        let mut fields = Self::default();
        // A text whose stated length leaves out its final zero.
        if octets.0.first() == Some(&0) && !octets.begins_with_field() {
            octets.take(1);
        }
        while let Some((tag, value)) = octets.field() {
            match tag {
                RECEIPTED_MESSAGE_ID => fields.reference = Some(text_of(value)),
                MESSAGE_STATE => fields.state = value.last().copied(),
                NETWORK_ERROR_CODE => fields.error = error(value),
                MESSAGE_PAYLOAD => fields.payload = Some(value.to_vec()),
                _ => {}
            }
        }
        fields
    }
}

/// The code behind the octet with the type of network.
fn error(value: &[u8]) -> Option<u16> {
    let code = value.last_chunk().map(|code| u16::from_be_bytes(*code));
    code.filter(|code| *code != 0)
}

fn text_of(octets: &[u8]) -> String {
    let end = octets.iter().position(|octet| *octet == 0);
    String::from_utf8_lossy(&octets[..end.unwrap_or(octets.len())])
        .trim()
        .to_owned()
}

/// The message's id in the body of a `submit_sm_resp`, with or without its final zero; empty if there is none.
pub(in super::super) fn message_id(body: &[u8]) -> String {
    text_of(body)
}

/// Octets that have not been read yet.
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn take_up_to(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn octet(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    /// A text up to its final zero.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|octet| *octet == 0)?;
        self.take(end + 1)
    }

    /// What both commands begin with: service type, source and destination. Returns `esm_class`, which follows.
    fn addresses(&mut self) -> Option<u8> {
        self.text()?;
        for _ in 0..2 {
            // Type of number, numbering plan, address.
            self.take(2)?;
            self.text()?;
        }
        self.octet()
    }

    fn begins_with_field(&self) -> bool {
        Octets(self.0).field().is_some()
    }

    /// Tag and value of the next optional field; `None` if the rest holds no whole one.
    fn field(&mut self) -> Option<(u16, &'a [u8])> {
        let mut ahead = Octets(self.0);
        let tag = u16::from_be_bytes(*ahead.take(2)?.first_chunk()?);
        let length = u16::from_be_bytes(*ahead.take(2)?.first_chunk()?);
        let value = ahead.take(usize::from(length))?;
        self.0 = ahead.0;
        Some((tag, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ADDRESSES: &[u8] = b"\0\x01\x011316\0\x01\x01316\0";

    fn deliver(class: u8, text: &[u8], rest: &[u8]) -> Vec<u8> {
        let length = u8::try_from(text.len()).unwrap();
        [ADDRESSES, &[class], &[0; 8], &[length], text, rest].concat()
    }

    #[test]
    fn what_stands_behind_a_text_or_is_cut_off_does_not_hide_it() {
        let state = [4, 0x27, 0, 1, 2];
        for (rest, expected) in [
            (&[][..], None),
            (&[0], None),
            (&[4, 0x27, 0, 9, 2], None),
            (&[4, 0x23, 0, 9, 3], None),
            (&[4], None),
            (&state, Some(2)),
            // A zero that the length does not count.
            (&[&[0], state.as_slice()].concat(), Some(2)),
            (&[state.as_slice(), &[0xff, 0xff, 0xff]].concat(), Some(2)),
        ] {
            let read = Envelope::of_deliver_sm(&deliver(4, b"id:7", rest)).unwrap();
            assert_eq!(read.texts().collect::<Vec<_>>(), [b"id:7"], "{rest:?}");
            assert_eq!(read.fields.state, expected, "{rest:?}");
        }
        let mut longer_than_there = deliver(4, b"id:7", &[]);
        let at = longer_than_there.len() - 5;
        longer_than_there[at] = 200;
        let read = Envelope::of_deliver_sm(&longer_than_there).unwrap();
        assert_eq!(read.text, b"id:7");
    }

    #[test]
    fn a_header_is_skipped_where_the_class_says_so() {
        let text = [&[5, 0, 3, 7, 1, 1], b"id:7".as_slice()].concat();
        let read = Envelope::of_deliver_sm(&deliver(0x44, &text, &[])).unwrap();
        assert_eq!(read.texts().next(), Some(b"id:7".as_slice()));
        let read = Envelope::of_deliver_sm(&deliver(0x44, b"id:7", &[])).unwrap();
        assert_eq!(
            read.texts().next(),
            Some(b"id:7".as_slice()),
            "there is none"
        );
    }

    #[test]
    fn the_id_of_an_answer_ends_at_its_zero_or_with_the_command() {
        for body in [b"7009".as_slice(), b"7009\0", b" 7009\0rest"] {
            assert_eq!(message_id(body), "7009");
        }
        assert_eq!(message_id(b""), "");
    }

    proptest! {
        #[test]
        fn no_octets_are_too_strange(body in prop::collection::vec(any::<u8>(), 0..300)) {
            for read in [Envelope::of_deliver_sm(&body), Envelope::of_data_sm(&body)].into_iter().flatten() {
                prop_assert!(read.texts().all(|text| text.len() <= body.len()));
            }
        }
    }
}

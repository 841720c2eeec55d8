//! Reads the text of a receipt: `id:IIII sub:SSS dlvrd:DDD submit date:... done date:... stat:DDDDDDD err:EEE text:...`,
//! which SMPP 3.4 gives only as an example (appendix B) but nearly all message centres send, each in its own way.

/// The fields of a receipt's text, as far as they are there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ReceiptText {
    pub(super) id: Option<String>,
    /// All that stands between `stat:` and the next field.
    pub(super) state: Option<String>,
    pub(super) error: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Id,
    State,
    Error,
    /// The beginning of the message itself, which may contain anything.
    Text,
    /// A field that nothing is read from; it ends the one before it.
    Other,
}

impl Key {
    fn named(word: &str) -> Option<Self> {
        Some(match word {
            "id" | "msgid" => Self::Id,
            "stat" | "status" | "state" => Self::State,
            "err" | "error" => Self::Error,
            "text" => Self::Text,
            "sub" | "dlvrd" | "date" => Self::Other,
            _ => return None,
        })
    }
}

/// A key and where its value begins and ends.
#[derive(Clone, Copy)]
struct Field {
    key: Key,
    begin: usize,
    end: usize,
}

impl ReceiptText {
    pub(super) fn parse(octets: &[u8]) -> Self {
        let text = decode(octets);
        let fields = fields(&text);
        let quote = fields.iter().position(|field| field.key == Key::Text);
        let (before, after) = fields.split_at(quote.unwrap_or(fields.len()));
        let find = |key| {
            let is_it = |field: &&Field| field.key == key;
            let has_id = before.iter().any(|field| field.key == Key::Id);
            // Where the quoted message does not stand at the end, its own words come first.
            before
                .iter()
                .find(is_it)
                .or_else(|| after.iter().rev().find(is_it).filter(|_| !has_id))
        };
        let value = |key| find(key).map(|field| text[field.begin..field.end].trim());
        let word = |key| {
            let word = value(key)?.split_whitespace().next()?;
            Some(word.to_owned())
        };
        Self {
            id: word(Key::Id),
            state: value(Key::State).map(str::to_owned),
            error: word(Key::Error),
        }
    }
}

/// The fields in their order: a known word, then a colon.
fn fields(text: &str) -> Vec<Field> {
    let mut found: Vec<Field> = Vec::new();
    for (colon, _) in text.match_indices(':') {
        let before = text[..colon].trim_end_matches(' ');
        let start = before
            .rfind(|c: char| !c.is_ascii_alphanumeric())
            .map_or(0, |at| {
                at + before[at..].chars().next().map_or(1, char::len_utf8)
            });
        let Some(key) = Key::named(&before[start..].to_ascii_lowercase()) else {
            continue;
        };
        if let Some(last) = found.last_mut() {
            last.end = start;
        }
        found.push(Field {
            key,
            begin: colon + 1,
            end: text.len(),
        });
    }
    found
}

/// The text in Latin letters. Its alphabet is seen from the octets, because many message centres give a wrong
/// `data_coding`, or none: UCS-2 has a zero in every other octet, and all others agree on what a receipt is made of.
fn decode(octets: &[u8]) -> String {
    let zeros = |odd: usize| {
        let of_parity = octets.iter().skip(odd).step_by(2);
        of_parity.filter(|octet| **octet == 0).count()
    };
    let quarter = octets.len() / 4;
    let (high_first, low_first) = (zeros(0), zeros(1));
    let units = if high_first.max(low_first) <= quarter {
        octets.iter().map(|octet| u16::from(*octet)).collect()
    } else {
        let unit = |pair: &[u8; 2]| {
            if high_first > low_first {
                u16::from_be_bytes(*pair)
            } else {
                u16::from_le_bytes(*pair)
            }
        };
        octets.as_chunks().0.iter().map(unit).collect::<Vec<_>>()
    };
    char::decode_utf16(units)
        .map(|unit| match unit.unwrap_or(char::REPLACEMENT_CHARACTER) {
            // The low line of the GSM alphabet, which ids are made with.
            '\u{11}' => '_',
            // Padding and line ends.
            c if c.is_control() => ' ',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> [Option<String>; 3] {
        let ReceiptText { id, state, error } = ReceiptText::parse(text.as_bytes());
        [id, state, error]
    }

    fn some(id: &str, state: &str, error: &str) -> [Option<String>; 3] {
        [id, state, error].map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()))
    }

    #[test]
    fn send_20_a_text_is_read_however_it_is_laid_out() {
        for (text, expected) in [
            (
                "id:7 sub:001 stat:DELIVRD err:000 text:hi",
                some("7", "DELIVRD", "000"),
            ),
            (
                "id: 7 sub: 001 stat: DELIVRD err: 000 text: hi",
                some("7", "DELIVRD", "000"),
            ),
            ("id : 7 stat : DELIVRD", some("7", "DELIVRD", "")),
            ("stat:DELIVRD err:000 id:7", some("7", "DELIVRD", "000")),
            ("ID:7 STAT:delivrd ERR:1", some("7", "delivrd", "1")),
            (
                "id:7\nstat:DELIVRD\r\nerr:000\0",
                some("7", "DELIVRD", "000"),
            ),
            ("id:7 stat:EN ROUTE err:0", some("7", "EN ROUTE", "0")),
            ("id:7 stat: DELIVRD  \0\0 err:", some("7", "DELIVRD", "")),
            ("id:a:b stat:DELIVRD", some("a:b", "DELIVRD", "")),
            ("msgid:7 status:DELIVRD error:5", some("7", "DELIVRD", "5")),
            (
                "text:stat:FAILED hello id:7 stat:DELIVRD err:000",
                some("7", "DELIVRD", "000"),
            ),
            ("id:7 text:id:8 stat:DELIVRD", some("7", "", "")),
            ("hello", some("", "", "")),
        ] {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
        let empty = ReceiptText::parse(b"id: stat: err:000");
        assert_eq!((empty.id, empty.state.as_deref()), (None, Some("")));
    }

    #[test]
    fn send_20_a_text_is_read_in_every_alphabet() {
        let text = "id:AB_1 stat:DELIVRD err:000";
        let wide =
            |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<_>>();
        let marked = |mark: &[u8], octets: &[u8]| [mark, octets].concat();
        let gsm = text.replace('_', "\u{11}");
        for octets in [
            text.as_bytes().to_vec(),
            gsm.into_bytes(),
            wide(u16::to_be_bytes),
            wide(u16::to_le_bytes),
            marked(&[0xfe, 0xff], &wide(u16::to_be_bytes)),
            marked(&[0xff, 0xfe], &wide(u16::to_le_bytes)),
            // A header that nothing announces, and a quoted message in Latin-1.
            marked(&[5, 0, 3, 7, 1, 1], &wide(u16::to_be_bytes)),
            [text.as_bytes(), b" text:caf\xe9"].concat(),
        ] {
            let read = ReceiptText::parse(&octets);
            assert_eq!(read.id.as_deref(), Some("AB_1"), "{octets:?}");
            assert_eq!(read.state.as_deref(), Some("DELIVRD"), "{octets:?}");
        }
    }
}

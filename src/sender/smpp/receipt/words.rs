//! Reads the text of a receipt: `id:IIII sub:SSS dlvrd:DDD submit date:... done date:... stat:DDDDDDD err:EEE text:...`,
//! which SMPP 3.4 gives only as an example (appendix B) but nearly all message centres send, each in its own way.

use super::alphabet::readings;

/// The fields of a receipt's text, as far as they are there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ReceiptText {
    pub(super) id: Option<String>,
    /// All that stands between `stat:` and the next field.
    pub(super) state: Option<String>,
    pub(super) error: Option<String>,
    /// Whether it also has fields that only a message centre writes, such as counts and dates.
    pub(super) has_counts: bool,
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
            "id" | "msgid" | "messageid" => Self::Id,
            "stat" | "status" | "state" => Self::State,
            "err" | "error" | "errcode" | "errorcode" => Self::Error,
            "text" => Self::Text,
            "sub" | "dlvrd" | "date" | "submitdate" | "donedate" => Self::Other,
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
    /// Reads the first of these texts, and of the alphabets that it may be in, that says most.
    pub(super) fn best<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Self {
        let found = texts.flat_map(readings).map(|text| Self::parse(&text));
        found.fold(Self::default(), |best, next| {
            if next.worth() > best.worth() {
                next
            } else {
                best
            }
        })
    }

    /// How much it says: without an id the state is of use only with optional fields.
    fn worth(&self) -> u8 {
        2 * u8::from(self.id.is_some()) + u8::from(self.state.is_some())
    }

    fn parse(text: &str) -> Self {
        let fields = fields(text);
        let quote = fields.iter().position(|field| field.key == Key::Text);
        let (before, after) = fields.split_at(quote.unwrap_or(fields.len()));
        // Where the quoted message does not stand at the end, its own words come first.
        let behind = |key| after.iter().rev().find(|field| field.key == key);
        let goes_on = !has(before, Key::Id) || has(after, Key::Error) || has(after, Key::Other);
        let find = |key| {
            let found = before.iter().find(|field| field.key == key);
            found.or_else(|| behind(key).filter(|_| goes_on))
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
            has_counts: has(before, Key::Other),
        }
    }
}

fn has(fields: &[Field], key: Key) -> bool {
    fields.iter().any(|field| field.key == key)
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
            last.end = start - first_half(&text[..start]).len();
        }
        found.push(Field {
            key,
            begin: colon + 1,
            end: text.len(),
        });
    }
    found
}

/// The first word of a key of two words, such as `submit date`, and what is between them.
fn first_half(before: &str) -> &str {
    let word = before.trim_end_matches([' ', '_', '-']);
    let is_end = |half: &&str| {
        let begin = word.len().checked_sub(half.len());
        let end = begin.and_then(|begin| word.get(begin..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(half))
    };
    let half = ["submit", "done"].into_iter().find(is_end);
    half.map_or("", |half| &before[word.len() - half.len()..])
}

#[cfg(test)]
mod tests {
    use super::{super::alphabet::tests::pack, *};

    fn parsed(text: &str) -> [Option<String>; 3] {
        let read = ReceiptText::best([text.as_bytes()].into_iter());
        [read.id, read.state, read.error]
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
            (
                "id:7 sub:001 text:stat:FAILED stat:DELIVRD err:000 done date:1",
                some("7", "DELIVRD", "000"),
            ),
            (
                "id:7 stat:EN ROUTE submit date:2401 err:0",
                some("7", "EN ROUTE", "0"),
            ),
            (
                "id:7 stat:NOT DELIVERED done_date:2401",
                some("7", "NOT DELIVERED", ""),
            ),
            (
                "message_id:7 submitdate:2401donedate:2401 stat:DELIVRD errcode:0",
                some("7", "DELIVRD", "0"),
            ),
            ("hello", some("", "", "")),
        ] {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
        assert_eq!(parsed("id: stat: err:000")[0], None);
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
            // The quoted message alone is in UCS-2.
            [text.as_bytes(), b" text:", &wide(u16::to_be_bytes)].concat(),
            pack(text),
            pack(&format!("\u{5}\u{0}\u{3}{text}")),
        ] {
            let read = ReceiptText::best([octets.as_slice()].into_iter());
            assert_eq!(read.id.as_deref(), Some("AB_1"), "{octets:?}");
            assert_eq!(read.state.as_deref(), Some("DELIVRD"), "{octets:?}");
        }
    }
}

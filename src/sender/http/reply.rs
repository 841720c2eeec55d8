//! Finds values in a provider's answer: by pointers in JSON and XML, by lines in text.

use std::borrow::Cow;

use serde_json::Value;

use super::xml;

/// The form of a provider's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerForm {
    /// JSON, in which pointers lead to the values.
    #[default]
    Json,
    /// XML, in which pointers lead through elements; `@name` is an attribute.
    Xml,
    /// Text, in which each line is a value.
    Text,
}

/// The content of an answer; empty if it does not have the expected form.
pub(super) enum Content {
    Tree(Value),
    Lines(Vec<String>),
}

impl Content {
    pub(super) fn read(form: AnswerForm, body: &[u8]) -> Self {
        let text = decode(body);
        let tree = match form {
            AnswerForm::Json => serde_json::from_str(&text).ok(),
            AnswerForm::Xml => xml::parse(&text),
            AnswerForm::Text => {
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                return Self::Lines(lines.map(str::to_owned).collect());
            }
        };
        Self::Tree(tree.unwrap_or_default())
    }

    /// The lines of a text; none of other forms.
    pub(super) fn lines(&self) -> &[String] {
        match self {
            Self::Lines(lines) => lines,
            Self::Tree(_) => &[],
        }
    }

    /// The values that a pointer leads to. An item of a list that has no value there gives `None`.
    pub(super) fn values(&self, pointer: &str) -> Vec<Option<String>> {
        let mut values = Vec::new();
        if let Self::Tree(tree) = self {
            collect(tree, pointer, &mut values);
        }
        values
    }
}

/// Follows a pointer, with `*` for each item of a list. Where only one item is there, many providers write it without
/// the list, and XML has no other way.
fn collect(value: &Value, pointer: &str, values: &mut Vec<Option<String>>) {
    let stars = pointer.match_indices("/*").map(|(at, _)| at);
    let star = stars
        .into_iter()
        .find(|at| matches!(pointer.as_bytes().get(at + 2), None | Some(b'/')));
    let Some(at) = star else {
        values.push(value.pointer(pointer).and_then(text));
        return;
    };
    let rest = &pointer[at + 2..];
    match value.pointer(&pointer[..at]) {
        Some(Value::Array(items)) => items.iter().for_each(|item| collect(item, rest, values)),
        Some(item) => collect(item, rest, values),
        None => values.push(None),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The text of an answer without a byte order mark; in UTF-16 if the mark says so.
fn decode(body: &[u8]) -> Cow<'_, str> {
    let units = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.as_chunks().0.iter().copied().map(unit).collect();
        Cow::Owned(String::from_utf16_lossy(&units))
    };
    match body {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        [0xfe, 0xff, rest @ ..] => units(rest, u16::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes),
        _ => String::from_utf8_lossy(body),
    }
}

/// What marks the place of a message's id in a pattern that has several `*`.
const ID: &str = "{id}";

/// A text in which `*` stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The texts around and between the `*`.
    parts: Vec<String>,
    /// Which `*` stands for the id of a message, counted from 0.
    id: usize,
}

impl Pattern {
    /// The pattern of a setting.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            parts: text.split('*').map(str::to_owned).collect(),
            id: 0,
        }
    }

    /// The pattern of a line with an id, which is at `{id}`, or at the only `*`. `None` if it has neither, or several.
    #[must_use]
    pub fn with_id(text: &str) -> Option<Self> {
        let mut halves = text.split(ID);
        let (before, after) = (halves.next()?, halves.next());
        let id = match after {
            Some(_) => before.matches('*').count(),
            None => 0,
        };
        let pattern = Self {
            id,
            ..Self::new(&text.replace(ID, "*"))
        };
        let has_one = after.is_some() || pattern.parts.len() == 2;
        (has_one && halves.next().is_none()).then_some(pattern)
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.found(text).is_some()
    }

    /// The id in a text that matches; `None` if it does not.
    pub(super) fn id_in<'a>(&self, text: &'a str) -> Option<&'a str> {
        self.found(text)?.get(self.id).copied()
    }

    /// What each `*` stands for; `None` if the text does not match.
    fn found<'a>(&self, text: &'a str) -> Option<Vec<&'a str>> {
        let (first, rest) = self.parts.split_first()?;
        let mut left = text.strip_prefix(first.as_str())?;
        let Some((last, middle)) = rest.split_last() else {
            return left.is_empty().then(Vec::new);
        };
        let mut found = Vec::new();
        for part in middle {
            let at = left.find(part.as_str())?;
            found.push(&left[..at]);
            left = &left[at + part.len()..];
        }
        found.push(left.strip_suffix(last.as_str())?);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_what_it_leaves_open() {
        for (pattern, text, stars) in [
            ("OK", "OK", Some(&[][..])),
            ("OK", "OK!", None),
            ("OK: *", "OK: 123", Some(&["123"])),
            ("OK: *", "OK: ", Some(&[""])),
            ("OK: *", "ERR: 3", None),
            ("*", "anything", Some(&["anything"])),
            (
                "0: *",
                "0: Accepted for delivery",
                Some(&["Accepted for delivery"]),
            ),
            ("id=* to=*", "id=7 to=31", Some(&["7", "31"])),
            ("<id>*</id>", "<id>7</id>", Some(&["7"])),
            ("a*a", "a", None),
            ("*b*", "abc", Some(&["a", "c"])),
            ("", "", Some(&[])),
        ] {
            let found = Pattern::new(pattern).found(text);
            assert_eq!(found.as_deref(), stars, "{pattern} {text}");
        }
    }

    #[test]
    fn send_20_the_id_of_a_line_stands_where_the_pattern_says() {
        for (pattern, text, id) in [
            ("OK: *", "OK: 123", Some("123")),
            ("1701|*|{id}", "1701|31612345678|bc3b-01", Some("bc3b-01")),
            (
                "Send OK,ID={id},Balance=*",
                "Send OK,ID=77,Balance=3.20",
                Some("77"),
            ),
            ("{id}", "77", Some("77")),
            ("OK {id}", "ERR 5", None),
        ] {
            let pattern = Pattern::with_id(pattern).unwrap();
            assert_eq!(pattern.id_in(text), id, "{pattern:?} {text}");
        }
        for wrong in ["OK", "", "1701|*|*", "{id} {id}"] {
            assert_eq!(Pattern::with_id(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_pointer_leads_to_every_item() {
        let read = |form, body: &str| Content::read(form, body.as_bytes());
        let some = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| Some((*text).to_owned()))
                .collect::<Vec<_>>()
        };
        let json = read(
            AnswerForm::Json,
            r#"{"m": [{"s": 0}, {"s": "x"}, {}], "one": {"s": true}}"#,
        );
        let mut expected = some(&["0", "x"]);
        expected.push(None);
        assert_eq!(json.values("/m/*/s"), expected);
        assert_eq!(json.values("/m/0/s"), some(&["0"]));
        assert_eq!(
            json.values("/one/*/s"),
            some(&["true"]),
            "an item without a list"
        );
        assert_eq!(json.values("/none/*/s"), [None]);
        assert_eq!(json.values("/m/s"), [None]);
        let xml = read(
            AnswerForm::Xml,
            "<r><m id='1'>sent</m><m id='2'>failed</m></r>",
        );
        assert_eq!(xml.values("/r/m/*/@id"), some(&["1", "2"]));
        assert_eq!(xml.values("/r/m/*/#text"), some(&["sent", "failed"]));
        assert_eq!(
            read(AnswerForm::Xml, "<r><m id='1'/></r>").values("/r/m/*/@id"),
            some(&["1"])
        );
        let text = read(AnswerForm::Text, "\u{feff}OK: 1\r\n\r\n  OK: 2\n");
        assert_eq!(text.lines(), ["OK: 1", "OK: 2"]);
        assert_eq!(read(AnswerForm::Json, "nonsense").values("/a"), [None]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_an_answer() {
        let wide = |unit: fn(u16) -> [u8; 2]| {
            "\u{feff}{\"id\": \"é\"}"
                .encode_utf16()
                .flat_map(unit)
                .collect::<Vec<_>>()
        };
        for body in [
            "\u{feff}{\"id\": \"é\"}".as_bytes().to_vec(),
            wide(u16::to_be_bytes),
            wide(u16::to_le_bytes),
        ] {
            let content = Content::read(AnswerForm::Json, &body);
            assert_eq!(content.values("/id"), [Some("é".to_owned())]);
        }
    }
}

//! Parses receipts from a provider's callback, by the rules of its preset or of the settings.

use std::slice::from_ref;

use serde_json::{Map, Value};

use crate::domain::delivery::{
    callback::{CallbackFormat, Place},
    reason::Reason,
    receipt::Receipt,
};

/// Longest word that is kept, in bytes.
const WORD_BYTES_MAX: usize = 40;

/// One receipt of a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// The receipt; `None` if the status does not change a delivery, for example "queued".
    pub(super) receipt: Option<Receipt>,
    /// What it says of the status, understood or not.
    pub(super) word: StatusWord,
    /// The provider's id of the message; `None` if the callback has none.
    pub(super) reference: Option<String>,
}

/// What a callback has where the status should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatusWord {
    /// A word of the settings.
    Known,
    /// A word in none of the lists.
    Unknown,
    /// Nothing: it may be about something else.
    Absent,
}

/// The callback is not in the format that the rules expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// All receipts of a callback. A callback about something else, such as a customer's message, has none.
pub(super) fn read(
    format: &CallbackFormat,
    query: &str,
    body: &[u8],
) -> Result<Vec<Item>, Unreadable> {
    let whole = match format.place {
        Place::Json => json(body)?,
        Place::Form => fields(body),
        Place::Query => fields(query.as_bytes()),
    };
    let items = match (&format.items, &whole) {
        (Some(path), _) => all(&whole, path),
        // Providers that report one by one join what waits into a list.
        (None, Value::Array(items)) => items.iter().collect(),
        (None, _) => vec![&whole],
    };
    Ok(items
        .into_iter()
        .map(|item| read_one(format, item))
        .collect())
}

/// JSON with or without a byte order mark. Texts that it quotes may be in another character set.
fn json(body: &[u8]) -> Result<Value, Unreadable> {
    let text = String::from_utf8_lossy(body);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    serde_json::from_str(text).map_err(|_| Unreadable)
}

fn read_one(format: &CallbackFormat, item: &Value) -> Item {
    let word = first(item, &format.status);
    let is_in = |words: &[String]| {
        let is_it = |known: &String| word.as_ref().is_some_and(|word| is_same(known, word));
        words.iter().any(is_it)
    };
    let receipt = if is_in(&format.delivered) {
        Some(Receipt::Delivered)
    } else if is_in(&format.sent) {
        Some(Receipt::Sent)
    } else if is_in(&format.undelivered) {
        let code = first(item, &format.error).filter(|code| is_error(code));
        // A code that cannot be kept says less than the state.
        let code = code.map(|code| reason(&code));
        let code = code.filter(|reason| *reason != Reason::NotSaid);
        Some(Receipt::Undelivered {
            reason: code.unwrap_or_else(|| reason(word.as_deref().unwrap_or_default())),
        })
    } else {
        None
    };
    let status = match word {
        None => StatusWord::Absent,
        Some(_) if receipt.is_some() || is_in(&format.ignored) => StatusWord::Known,
        Some(_) => StatusWord::Unknown,
    };
    Item {
        word: status,
        receipt,
        reference: first(item, &format.reference),
    }
}

fn is_same(known: &str, word: &str) -> bool {
    known.eq_ignore_ascii_case(word)
}

/// A form or query string as a flat JSON object.
fn fields(text: &[u8]) -> Value {
    let pairs = url::form_urlencoded::parse(text).into_owned();
    Value::Object(
        pairs
            .map(|(name, value)| (name, Value::String(value)))
            .collect::<Map<_, _>>(),
    )
}

/// All values that a JSON pointer with `*` for list entries leads to. Some providers leave the list out around a single
/// entry.
fn all<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let Some((before, after)) = path.split_once("/*") else {
        return value.pointer(path).into_iter().collect();
    };
    let list = match value.pointer(before) {
        Some(Value::Array(list)) => list.as_slice(),
        Some(single @ Value::Object(_)) => from_ref(single),
        Some(_) | None => &[],
    };
    list.iter().flat_map(|item| all(item, after)).collect()
}

fn first(item: &Value, pointers: &[String]) -> Option<String> {
    pointers
        .iter()
        .find_map(|pointer| match item.pointer(pointer)? {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        })
}

/// Zero and `false` say that there is no error.
fn is_error(code: &str) -> bool {
    code != "false" && !code.bytes().all(|digit| digit == b'0')
}

/// The provider's code, or its word for the state, as a word for programs, so that no text of a provider gets into a record.
fn reason(said: &str) -> Reason {
    let mut word = said.to_ascii_lowercase().replace(
        |c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit(),
        "_",
    );
    word.truncate(WORD_BYTES_MAX);
    Reason::from_provider(&word)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn format(place: Place, items: Option<&str>) -> CallbackFormat {
        CallbackFormat {
            place,
            items: items.map(str::to_owned),
            status: texts(&["/MessageStatus", "/status"]),
            reference: texts(&["/id"]),
            error: texts(&["/errors/0/code", "/ErrorCode"]),
            sent: texts(&["sent"]),
            delivered: texts(&["delivered", "read"]),
            undelivered: texts(&["undelivered", "failed"]),
            ignored: texts(&["queued"]),
        }
    }

    fn item(receipt: Option<Receipt>, reference: Option<&str>) -> Item {
        Item {
            receipt,
            word: StatusWord::Known,
            reference: reference.map(str::to_owned),
        }
    }

    fn undelivered(reason: &str) -> Receipt {
        Receipt::Undelivered {
            reason: Reason::from_word(reason),
        }
    }

    #[test]
    fn a_form_is_read_as_one_flat_object() {
        let of = |body: &str| read(&format(Place::Form, None), "", body.as_bytes()).unwrap();
        assert_eq!(
            of("MessageStatus=delivered&id=SM1"),
            [item(Some(Receipt::Delivered), Some("SM1"))]
        );
        assert_eq!(
            of("MessageStatus=undelivered&ErrorCode=30003"),
            [item(Some(undelivered("30003")), None)]
        );
        assert_eq!(
            of("MessageStatus=sent&id="),
            [item(Some(Receipt::Sent), None)]
        );
        assert_eq!(of("MessageStatus=queued"), [item(None, None)], "no news");
        let unrelated = Item {
            word: StatusWord::Absent,
            ..item(None, None)
        };
        assert_eq!(of("unrelated=1"), [unrelated]);
    }

    #[test]
    fn send_20_a_word_is_known_in_any_case_and_an_unknown_one_is_seen() {
        let of = |word: &str| {
            let body = format!("status={word}");
            let mut found = read(&format(Place::Form, None), "", body.as_bytes()).unwrap();
            let Item { receipt, word, .. } = found.remove(0);
            (receipt, word)
        };
        let delivered = (Some(Receipt::Delivered), StatusWord::Known);
        assert_eq!(of("Delivered"), delivered);
        assert_eq!(of("DELIVERED+"), delivered);
        assert_eq!(of("Queued"), (None, StatusWord::Known), "no news");
        assert_eq!(of("gone"), (None, StatusWord::Unknown));
        assert_eq!(of(""), (None, StatusWord::Absent), "about something else");
    }

    #[test]
    fn send_20_json_is_read_however_a_provider_lays_it_out() {
        let delivered = || item(Some(Receipt::Delivered), Some("7"));
        let of = |items, body: &[u8]| read(&format(Place::Json, items), "", body);
        for (items, body) in [
            (None, &br#"{"id": "7", "status": "delivered"}"#[..]),
            (None, br#"{"id": 7, "status": " Delivered "}"#),
            (None, br#"{"id": " 7\n", "status": "read"}"#),
            (None, br#"[{"id": "7", "status": "delivered"}]"#),
            (Some("/*"), br#"[{"id": "7", "status": "delivered"}]"#),
            (
                Some("/r/*"),
                br#"{"r": {"id": "7", "status": "delivered"}}"#,
            ),
            (
                None,
                b"\xef\xbb\xbf{\"id\": \"7\", \"status\": \"delivered\"}",
            ),
            (
                None,
                b"{\"id\": 7, \"status\": \"delivered\", \"text\": \"caf\xe9\"}",
            ),
        ] {
            assert_eq!(of(items, body), Ok(vec![delivered()]), "{body:?}");
        }
        let bad_between = br#"[{"id": 7, "status": "delivered"}, 5, null, {"id": {}, "status": []}, {"id": 7, "status": "read"}]"#;
        let found = of(None, bad_between).unwrap();
        let known = |item: &&Item| item.word == StatusWord::Known;
        assert_eq!((found.len(), found.iter().filter(known).count()), (5, 2));
        for body in [&b""[..], b"\xff\xfe", b"{", b"status=delivered"] {
            assert_eq!(of(None, body), Err(Unreadable), "{body:?}");
        }
    }

    #[test]
    fn send_20_a_yes_or_no_can_be_a_status() {
        let mut format = format(Place::Json, None);
        (format.delivered, format.undelivered) = (texts(&["true"]), texts(&["false"]));
        let of = |body: &str| {
            let mut found = read(&format, "", body.as_bytes()).unwrap();
            found.remove(0).receipt
        };
        assert_eq!(of(r#"{"status": true}"#), Some(Receipt::Delivered));
        assert_eq!(
            of(r#"{"status": false, "ErrorCode": false}"#),
            Some(undelivered("false"))
        );
    }

    #[test]
    fn a_query_is_read_and_the_body_is_not() {
        let found = read(
            &format(Place::Query, None),
            "id=m%201&status=delivered",
            b"status=failed",
        );
        assert_eq!(found, Ok(vec![item(Some(Receipt::Delivered), Some("m 1"))]));
    }

    #[test]
    fn a_batch_within_lists_gives_all_its_items() {
        let body = json!({"entry": [
            {"changes": [{"value": {"statuses": [{"id": "a", "status": "read"}, {"id": "b", "status": "sent"}]}}, {"value": {}}]},
            {"changes": [{"value": {"statuses": [{"id": 7, "status": "failed", "errors": [{"code": 131_026}]}]}}]},
            {"changes": "none"},
        ]});
        let format = format(Place::Json, Some("/entry/*/changes/*/value/statuses/*"));
        let expected = [
            item(Some(Receipt::Delivered), Some("a")),
            item(Some(Receipt::Sent), Some("b")),
            item(Some(undelivered("131026")), Some("7")),
        ];
        assert_eq!(
            read(&format, "", body.to_string().as_bytes()).unwrap(),
            expected
        );
        assert_eq!(read(&format, "", b"{\"entry\": 1}"), Ok(Vec::new()));
        assert_eq!(read(&format, "", b"{\"entry\": [}"), Err(Unreadable));
    }

    #[test]
    fn a_code_stands_alone_and_without_one_the_state_does() {
        let of = |body: &str| {
            let mut found = read(&format(Place::Form, None), "", body.as_bytes()).unwrap();
            found.remove(0).receipt
        };
        for (body, reason) in [
            ("status=failed&ErrorCode=No-Route", "no_route"),
            ("status=failed&ErrorCode=Busy", "busy"),
            ("status=failed&ErrorCode=0", "failed"),
            ("status=failed&ErrorCode=000", "failed"),
            ("status=failed&ErrorCode=", "failed"),
            ("status=undelivered", "undelivered"),
            ("status=failed&ErrorCode=1234567", "failed"),
        ] {
            assert_eq!(of(body), Some(undelivered(reason)), "{body}");
        }
    }

    #[test]
    fn log_03_no_text_of_a_provider_gets_into_a_reason() {
        let long = "Number +31 61234 äé\r\n".repeat(9);
        assert_eq!(
            reason(&long).as_str(),
            "number__31_61234_____number__31_61234___"
        );
        let address = reason("Number +31612345678 is unknown");
        assert_eq!(address, Reason::NotSaid, "it may hold an address");
    }
}

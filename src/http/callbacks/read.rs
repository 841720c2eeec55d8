//! Parses receipts from a provider's callback, by the rules of its preset or of the settings.

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
    /// Whether it has a status that is not known.
    pub(super) is_unknown: bool,
    /// The provider's id of the message; `None` if the callback has none.
    pub(super) reference: Option<String>,
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
        Place::Json => serde_json::from_slice(body).map_err(|_| Unreadable)?,
        Place::Form => fields(body),
        Place::Query => fields(query.as_bytes()),
    };
    let items = match &format.items {
        None => vec![&whole],
        Some(path) => all(&whole, path),
    };
    Ok(items
        .into_iter()
        .map(|item| read_one(format, item))
        .collect())
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
        Some(Receipt::Undelivered {
            reason: reason(&code.or_else(|| word.clone()).unwrap_or_default()),
        })
    } else {
        None
    };
    Item {
        is_unknown: receipt.is_none() && word.is_some() && !is_in(&format.ignored),
        receipt,
        reference: first(item, &format.reference),
    }
}

fn is_same(known: &str, word: &str) -> bool {
    known.eq_ignore_ascii_case(word.trim())
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

/// All values that a JSON pointer with `*` for list entries leads to.
fn all<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let Some((before, after)) = path.split_once("/*") else {
        return value.pointer(path).into_iter().collect();
    };
    let list = value.pointer(before).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .flat_map(|item| all(item, after))
        .collect()
}

fn first(item: &Value, pointers: &[String]) -> Option<String> {
    pointers
        .iter()
        .find_map(|pointer| match item.pointer(pointer)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::String(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        })
}

/// Zero says that there is no error.
fn is_error(code: &str) -> bool {
    !code.bytes().all(|digit| digit == b'0')
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
            is_unknown: false,
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
        assert_eq!(of("unrelated=1"), [item(None, None)]);
    }

    #[test]
    fn send_20_a_word_is_known_in_any_case_and_an_unknown_one_is_seen() {
        let of = |word: &str| {
            let body = format!("status={word}");
            let mut found = read(&format(Place::Form, None), "", body.as_bytes()).unwrap();
            let Item {
                receipt,
                is_unknown,
                ..
            } = found.remove(0);
            (receipt, is_unknown)
        };
        assert_eq!(of("Delivered"), (Some(Receipt::Delivered), false));
        assert_eq!(of("DELIVERED+"), (Some(Receipt::Delivered), false));
        assert_eq!(of("Queued"), (None, false), "no news");
        assert_eq!(of("gone"), (None, true));
        assert_eq!(of(""), (None, false), "about something else");
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
            ("status=failed&ErrorCode=1234567", "not_said"),
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

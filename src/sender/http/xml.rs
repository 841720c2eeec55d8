//! Reads the XML of a provider's answer into the same form as JSON, so that the same pointers lead to its values.
//!
//! Only what answers are made of: elements, attributes, text, CDATA, and the entities of XML itself. A document type
//! may be named and is not read; one that declares anything is refused, so no entity can grow.

use serde_json::{Map, Value};

/// Deepest nesting of elements; no provider's answer is nearly that deep.
const DEPTH_MAX: usize = 32;
/// The name under which an element with attributes or children has its text.
const TEXT: &str = "#text";

/// The document as an object with its root element; `None` if it is not XML. An element with neither attributes nor
/// children is its text; any other is an object with its children, its attributes as `@name` and its text as `#text`.
/// Children of one name are a list. Prefixes of namespaces are left out.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut reader = Reader(text);
    reader.skip_prolog()?;
    let (name, value) = reader.element(0)?;
    let mut root = Map::new();
    root.insert(name, value);
    reader.skip_prolog()?;
    reader.0.is_empty().then_some(Value::Object(root))
}

struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn take(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// What stands before `end`, which is taken too.
    fn until(&mut self, end: &str) -> Option<&'a str> {
        let (before, rest) = self.0.split_once(end)?;
        self.0 = rest;
        Some(before)
    }

    fn skip_space(&mut self) {
        self.0 = self.0.trim_start();
    }

    /// Skips space, comments, instructions and the name of the document type around the root element.
    fn skip_prolog(&mut self) -> Option<()> {
        loop {
            self.skip_space();
            if self.take("<?") {
                self.until("?>")?;
            } else if self.take("<!--") {
                self.until("-->")?;
            } else if self.take("<!DOCTYPE") {
                let name = self.until(">")?;
                (!name.contains('[')).then_some(())?;
            } else {
                return Some(());
            }
        }
    }

    /// A name without the prefix of its namespace.
    fn name(&mut self) -> Option<String> {
        let end = self
            .0
            .find(|c: char| c.is_whitespace() || matches!(c, '=' | '/' | '>' | '<' | '"' | '\''))?;
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        let local = name.rsplit(':').next().unwrap_or(name);
        let is_name = local.starts_with(|c: char| c.is_alphabetic() || c == '_');
        is_name.then(|| local.to_owned())
    }

    fn element(&mut self, depth: usize) -> Option<(String, Value)> {
        if depth > DEPTH_MAX || !self.take("<") {
            return None;
        }
        let name = self.name()?;
        let mut fields = Map::new();
        loop {
            self.skip_space();
            if self.take("/>") {
                return Some((name, value(fields, String::new())));
            }
            if self.take(">") {
                break;
            }
            let (key, text) = self.attribute()?;
            fields.insert(format!("@{key}"), Value::String(text));
        }
        let text = self.content(&mut fields, depth)?;
        // The end of this element: its name, with or without a prefix.
        (self.name()? == name).then_some(())?;
        self.skip_space();
        self.take(">").then(|| (name, value(fields, text)))
    }

    fn attribute(&mut self) -> Option<(String, String)> {
        let key = self.name()?;
        self.skip_space();
        self.take("=").then_some(())?;
        self.skip_space();
        let quote = if self.take("\"") {
            "\""
        } else {
            self.take("'").then_some("'")?
        };
        Some((key, unescaped(self.until(quote)?)))
    }

    /// Reads children and text up to the end tag, of which `</` is taken; returns the text.
    fn content(&mut self, fields: &mut Map<String, Value>, depth: usize) -> Option<String> {
        let mut text = String::new();
        // This loop ends: each round takes something, or returns.
        loop {
            let begin = self.0.find('<')?;
            let (before, rest) = self.0.split_at(begin);
            text.push_str(&unescaped(before));
            self.0 = rest;
            if self.take("</") {
                return Some(text.trim().to_owned());
            } else if self.take("<!--") {
                self.until("-->")?;
            } else if self.take("<![CDATA[") {
                text.push_str(self.until("]]>")?);
            } else if self.take("<?") {
                self.until("?>")?;
            } else {
                let (name, child) = self.element(depth + 1)?;
                add(fields, name, child);
            }
        }
    }
}

fn value(mut fields: Map<String, Value>, text: String) -> Value {
    if fields.is_empty() {
        return Value::String(text);
    }
    if !text.is_empty() {
        fields.insert(TEXT.to_owned(), Value::String(text));
    }
    Value::Object(fields)
}

fn add(fields: &mut Map<String, Value>, name: String, child: Value) {
    match fields.get_mut(&name) {
        None => drop(fields.insert(name, child)),
        Some(Value::Array(list)) => list.push(child),
        Some(first) => *first = Value::Array(vec![first.take(), child]),
    }
}

/// The text with its entities replaced. An unknown one is left as it is.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('&');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let entity = part.split_once(';');
        let entity = entity.and_then(|(name, rest)| Some((character(name)?, rest)));
        if let Some((character, rest)) = entity {
            out.push(character);
            out.push_str(rest);
        } else {
            out.push('&');
            out.push_str(part);
        }
    }
    out
}

fn character(entity: &str) -> Option<char> {
    Some(match entity {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_in_xml_is_read_like_json() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- answer -->\n<r:response xmlns:r='urn:x'>\
                    <status code=\"0\">OK &amp; &#233;&#x20AC;</status><id><![CDATA[a<b]]></id><empty/><none></none>\
                    <message id='1'/><message id='2'><state>sent</state></message></r:response>\n";
        let expected = json!({"response": {
            "@r": "urn:x",
            "status": {"@code": "0", "#text": "OK & é€"},
            "id": "a<b",
            "empty": "",
            "none": "",
            "message": [{"@id": "1"}, {"@id": "2", "state": "sent"}],
        }});
        assert_eq!(parse(text), Some(expected));
        assert_eq!(
            parse("<ok>&unknown; &#0;</ok>").unwrap()["ok"],
            "&unknown; \0"
        );
    }

    #[test]
    fn send_20_a_document_type_is_skipped_unless_it_declares_something() {
        let named = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<!DOCTYPE result SYSTEM \"result.dtd\">\n<result>1</result>";
        assert_eq!(parse(named), Some(json!({"result": "1"})));
        for declaring in [
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<!DOCTYPE a SYSTEM \"a.dtd\" [ ]><a/>",
            "<!DOCTYPE a",
        ] {
            assert_eq!(parse(declaring), None, "{declaring}");
        }
    }

    #[test]
    fn what_is_not_xml_is_none() {
        let deep = "<a>".repeat(100_000);
        for text in [
            "",
            "OK: 123",
            "<a>",
            "<a></b>",
            "<a><b></a></b>",
            "<a b></a>",
            "<a b=c></a>",
            "<a/><b/>",
            "<a/>rest",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "{\"a\": 1}",
            &deep,
        ] {
            let shown: String = text.chars().take(40).collect();
            assert_eq!(parse(text), None, "{shown}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[<>/a!&;=\"' \\[\\]?#x-]{0,80}") {
            let _ = parse(&text);
        }
    }
}
